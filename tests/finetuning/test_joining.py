"""A head on a graph and in the weights: both give the same logits as the arrays."""

from __future__ import annotations

import numpy as np
import pytest

from signet.cards import Card
from signet.finetuning.joining import (
    Head,
    Rebuilt,
    card_of,
    joined,
    rebuilt,
    with_shift,
    write_state,
)
from signet.models import load
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.preprocessing import finish
from signet.resolving import module_source
from signet.testing import TinyNetwork
from signet.zoos import from_package

pytest.importorskip("onnx")


def head_for(width, classes=3, seed=0):
    random = np.random.default_rng(seed)
    return Head(
        random.normal(size=(classes, width)).astype(np.float32),
        random.normal(size=classes).astype(np.float32),
    )


def test_a_graph_gets_the_head(tmp_path, floor3):
    pretrained = floor3.graph_model(tmp_path / "model")
    head = head_for(8)
    graph = joined(pretrained.networks[0], head, tmp_path)
    card = card_of(pretrained.card, ("a", "b", "c"))
    with load(Pretrained(card, (graph,), graph.digest, "file"), engine="onnx") as model:
        batch = model.prepare([floor3.picture(1)])
        outputs = model.run(batch)
        features = TinyNetwork.made().answer(finish(batch).arrays)["features"]
    np.testing.assert_allclose(outputs["logits"], features @ head.weights.T + head.bias, atol=1e-5)
    np.testing.assert_allclose(outputs["features"], features, atol=1e-5)


def test_what_a_killed_run_left_does_not_stop_the_next(tmp_path, floor3):
    pretrained = floor3.graph_model(tmp_path / "model")
    first = joined(pretrained.networks[0], head_for(8), tmp_path)
    before = first.path.read_bytes()
    assert joined(pretrained.networks[0], head_for(8), tmp_path).path.read_bytes() == before


def test_the_card_keeps_the_lineage_apart_and_no_claims():
    parent = Card.from_dict(from_package.pretrained().card.to_dict())
    card = card_of(parent, ("a", "b"), name="mine", lineage={"x": 1})
    assert card.task == "classify"
    assert card.labels == ("a", "b")
    assert card.output.classes == 2
    assert card.claims == ()
    assert card.weights_digest is None
    assert card.licence == parent.licence
    assert card.program == parent.program


def test_the_starter_is_rebuilt_with_its_head(tmp_path):
    torch = pytest.importorskip("torch")
    starter = from_package.pretrained()
    head = head_for(512)
    found = rebuilt(starter, head)
    assert isinstance(found, Rebuilt)
    weights = write_state(found.state, tmp_path / "weights.safetensors")
    source = module_source(found.spec, weights, "0" * 64, (128, 128))
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = source.build()(images).numpy()
        bare = next(network for network in starter.networks if isinstance(network, ModuleSource))
        features = bare.build()(images).numpy()
    np.testing.assert_allclose(logits, features @ head.weights.T + head.bias, atol=1e-3)


@pytest.mark.parametrize(
    ("zoo", "architecture", "classifier", "width", "shift"),
    [
        ("torchvision", "squeezenet1_1", "classifier.1", 512, 100.0),
        ("torchvision", "mobilenet_v2", "classifier.1", 1280, 0.0),
        ("torchvision", "googlenet", "fc", 1024, 0.0),
        ("timm", "resnet10t", "fc", 512, 0.0),
    ],
)
def test_modules_of_every_kind_of_head_are_rebuilt(tmp_path, zoo, architecture, classifier, width, shift):
    torch = pytest.importorskip("torch")
    timm_or_other = pytest.importorskip(zoo)
    assert timm_or_other
    spec = ModuleSpec(zoo=zoo, architecture=architecture, classes=1000, classifier=classifier)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = module_source(spec, tmp_path / "none", "0" * 64, (64, 64)).build.func(spec, None)
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    weights = write_state(state, tmp_path / "weights.safetensors")
    source = module_source(spec, weights, "0" * 64, (64, 64))
    parent = Pretrained(from_package.pretrained().card, (source,), source.digest, "file")
    head = with_shift(parent, head_for(width))
    assert head.bias[0] - head_for(width).bias[0] == pytest.approx(shift, abs=1e-4)
    found = rebuilt(parent, head)
    again = module_source(
        found.spec, write_state(found.state, tmp_path / "new.safetensors"), "1" * 64, (64, 64)
    ).build()
    taken = []
    again.get_submodule(classifier).register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = again(images).numpy()
    features = taken[0].mean((2, 3)) if taken[0].ndim == 4 else taken[0]
    expected = features.numpy() @ head.weights.T + head.bias
    np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_weights_are_the_same_bytes_for_the_same_tensors(tmp_path):
    state = {"b": np.zeros((2, 2), np.float32), "a": np.array(3, np.int64)}
    first = write_state(state, tmp_path / "1").read_bytes()
    second = write_state(dict(reversed(state.items())), tmp_path / "2").read_bytes()
    assert first == second


def test_a_scalar_stays_a_scalar(tmp_path):
    from safetensors.numpy import load_file

    write_state({"num_batches_tracked": np.array(3, np.int64)}, tmp_path / "w")
    assert load_file(tmp_path / "w")["num_batches_tracked"].shape == ()


def test_a_graph_alone_has_no_module(tmp_path, floor3):
    assert rebuilt(floor3.graph_model(tmp_path), head_for(8)) is None


def test_a_module_that_only_its_maker_can_build_has_none(floor3):
    assert rebuilt(floor3.module_model(), head_for(8)) is None
