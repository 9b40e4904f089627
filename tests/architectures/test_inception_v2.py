"""Inception v2: counts, and the answers that two independent implementations gave with the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signet.errors import BadInput, BadRequest

torch = pytest.importorskip("torch")

from signet.architectures.inception_v2 import FORMS, PAPER, InceptionV2, caffe_names  # noqa: E402
from signet.architectures.renaming import renamed  # noqa: E402

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden" / "architectures" / "inception_v2.json").read_text()
)["cases"]


@pytest.mark.parametrize(
    ("form", "classes", "parameters"),
    [("caffe", 1000, 11_295_240), ("slim", 1001, 11_179_361), ("slim", 1000, 11_178_336)],
)
def test_parameters_are_as_stated_to_the_unit(form, classes, parameters):
    with torch.device("meta"):
        module = InceptionV2(form, classes)
    assert sum(value.numel() for value in module.parameters()) == parameters


@pytest.mark.parametrize(("form", "stated"), [("caffe", 2.03), ("slim", 1.94)])
def test_multiply_adds_are_as_stated(form, stated):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = InceptionV2(form, 1000).eval()
        with FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(stated, abs=0.006)


def test_the_table_gives_the_channels_of_the_paper():
    channels, found = 192, []
    for row in PAPER:
        channels = row.outputs + (0 if row.projection else channels)
        found.append(channels)
    assert found == [256, 320, 576, 576, 576, 576, 576, 1024, 1024, 1024]
    assert [row.outputs for row in FORMS["caffe"].rows if row.name in ("4c", "4d")] == [608, 608]


@pytest.mark.parametrize("case", GOLDEN)
def test_the_answers_are_those_of_independent_implementations(case, filled, pictures, difference):
    form, expected = case.split()[0], GOLDEN[case]
    module = filled(InceptionV2(form, 1001 if form == "slim" else 1000))
    with torch.no_grad():
        logits = module(pictures(expected["size"], expected["size"]))
    assert difference(logits[0, ::125], expected["logits"]) < 1e-5
    assert logits.argmax(1).tolist() == expected["best"]


def test_the_public_names_load_strictly():
    module = InceptionV2("caffe", 1000)
    names = caffe_names()
    theirs = {}
    for key, tensor in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        theirs[f"{names[path]}.{leaf}"] = tensor
    assert {"conv1_7x7_s2.bias", "inception_4e_double_3x3_2_bn.running_var", "last_linear.weight"} <= set(
        theirs
    )
    module.load_state_dict(renamed(theirs, names, module), strict=True)
    del theirs["inception_5b_pool_proj.weight"]
    with pytest.raises(BadInput, match=r"missing: inception_5b_pool_proj\.weight"):
        renamed(theirs, names, module)


def test_a_size_that_caffe_cannot_halve_is_refused(pictures):
    module = InceptionV2("caffe", 10).eval()
    with torch.no_grad(), pytest.raises(BadRequest, match="multiples of 32"):
        module(pictures(240, 240))
    with torch.no_grad():
        assert InceptionV2("slim", 10).eval()(pictures(75, 90)).shape == (2, 10)


@pytest.mark.parametrize("form", ["caffe", "slim"])
def test_every_parameter_learns_at_the_input_size(form, pictures):
    torch.manual_seed(0)
    module = InceptionV2(form, 10).train()
    module(pictures(224, 224)).square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_features_come_without_classes(pictures):
    with torch.no_grad():
        assert InceptionV2("caffe", 0).eval()(pictures(64, 96)).shape == (2, 1024)


@pytest.mark.parametrize("form", ["caffe", "slim"])
def test_the_graph_answers_as_the_module(form, filled, pictures, exported, tmp_path):
    module = filled(InceptionV2(form, 10))
    assert max(exported(module, pictures(96, 64), "head", tmp_path)) < 1e-4
