"""The starter: its network, its graph and its card say the same, and it stays small."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(str(resources.files("signet.catalogue"))) / "starter"
LIMIT_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads((FOLDER / "card.json").read_text())


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, 3, 128, 128)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from signet.architectures.starter import StarterNet

    module = StarterNet()
    state = load_file(FOLDER / "model.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in state.values())
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    return module.eval()


@pytest.fixture(scope="module")
def features(network, images) -> np.ndarray:
    import torch

    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


def test_parameters_are_as_stated(network, card):
    from signet.architectures.starter import PARAMETERS, WIDTH

    assert sum(value.numel() for value in network.parameters()) == PARAMETERS == card["parameters"]
    assert card["output"] == {"head": "embedding", "tensor": "features", "width": WIDTH}


def test_stages_have_the_shapes_of_the_docstring(network, images):
    import torch

    from signet.architectures.starter import StarterNet

    value = torch.from_numpy(images)
    for name in ("stem", "stage1", "stage2", "stage3", "stage4", "neck"):
        stage = getattr(network, name)
        value = stage(value)
        shape = "(N, " + ", ".join(str(length) for length in value.shape[1:]) + ")"
        count = f"{sum(number.numel() for number in stage.parameters()):,}"
        (row,) = [
            line for line in (StarterNet.__doc__ or "").splitlines() if line.strip().startswith(f"| {name} ")
        ]
        assert shape in row
        assert count in row
    assert torch.equal(value, network.forward_map(torch.from_numpy(images)))


def test_onnx_runtime_agrees_with_torch(features, images):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(FOLDER / "graph.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["features"], {"images": images})
    np.testing.assert_allclose(found, features, atol=1e-4, rtol=0)


def test_openvino_agrees_with_torch(features, images):
    openvino = pytest.importorskip("openvino")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(FOLDER / "graph.onnx", "CPU", settings)
    np.testing.assert_allclose(compiled(images)["features"], features, atol=1e-4, rtol=0)


def test_the_graph_has_no_weights_of_its_own(card):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(FOLDER / "graph.onnx", load_external_data=False)
    size = (FOLDER / "model.safetensors").stat().st_size
    for tensor in model.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        assert not tensor.raw_data
        assert place["location"] == "model.safetensors"
        assert int(place["offset"]) + int(place["length"]) <= size
    (entry,) = model.graph.input
    dimensions = entry.type.tensor_type.shape.dim
    assert entry.name == card["inputs"][0]["name"]
    assert dimensions[0].dim_param
    assert [dimension.dim_value for dimension in dimensions][1:] == card["inputs"][0]["shape"][1:]


def test_the_card_can_be_read_and_names_these_weights(card):
    from signet.cards import Card

    read = Card.from_dict(card)
    assert read.input_size == (128, 128)
    assert read.licence.verdict == "permissive"
    weights = (FOLDER / "model.safetensors").read_bytes()
    assert read.weights_digest == hashlib.sha256(weights).hexdigest()
    pool = json.loads((FOLDER / "pool.json").read_text())
    assert card["lineage"]["sets"] == pool["sets"]
    sizes = {entry["images"] for entry in pool["sets"].values()}
    assert sum(sizes) == len(pool["images"])


def test_every_claim_has_its_interval(card):
    assert card["claims"]
    for claim in card["claims"]:
        assert 0 <= claim["low"] <= claim["value"] <= claim["high"] <= 1
        assert claim["source"] == "measured, recipes/starter.py evaluate"


def test_the_floor_is_kept(card):
    figures = {
        claim["metric"]: claim["value"]
        for claim in card["claims"]
        if claim["dataset"].startswith("cifar10_small")
    }
    assert figures["probe_top1"] >= 0.52
    assert figures["probe_top1"] >= figures["probe_top1_random_weights"] + 0.10


def test_it_stays_small():
    files = sorted(FOLDER.iterdir())
    assert {file.name for file in files} == {"card.json", "graph.onnx", "model.safetensors", "pool.json"}
    assert all(file.stat().st_size < LIMIT_BYTES for file in files)
    assert (FOLDER / "model.safetensors").stat().st_size <= 4_000_000
    assert sum((FOLDER / name).stat().st_size for name in ("model.safetensors", "graph.onnx")) < 4_100_000
