"""Names of own architectures: understood strictly, and each entry of the table builds what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from signet.architectures.building import build, compound, parse_name, request
from signet.architectures.catalogue import ARCHITECTURES
from signet.errors import BadRequest, UnknownName


def test_a_name_with_arguments():
    asked = parse_name("efficientnet:width=1.1,depth=1.2,size=240")
    assert asked.architecture == "efficientnet"
    assert asked.arguments == {"width": 1.1, "depth": 1.2}
    assert asked.size == 240


def test_a_name_of_its_own_sets_them():
    asked = parse_name("efficientnet_b2")
    assert asked.arguments == {"width": 1.1, "depth": 1.2, "dropout": 0.3}
    assert asked.size == 260
    assert parse_name("efficientnet_b2:size=300,padding=symmetric").size == 300


def test_what_a_name_gave_is_taken_again():
    for name in (*ARCHITECTURES, "efficientnet:phi=1.5", "nasnet_a_mobile:borders=keras"):
        asked = parse_name(name)
        assert request(asked.architecture, asked.arguments).arguments == asked.arguments


def test_phi_scales_width_depth_and_size_together():
    assert compound(0) == {"width": 1.0, "depth": 1.0, "size": 224}
    asked = parse_name("efficientnet:phi=1")
    assert asked.arguments == {"width": 1.1, "depth": 1.2}
    assert asked.size == 256
    with pytest.raises(BadRequest, match="not both"):
        parse_name("efficientnet:phi=1,width=2")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("efficientnet_b9", UnknownName, "Did you mean 'efficientnet_b0'"),
        ("densenet246", UnknownName, "Did you mean 'densenet264'"),
        ("efficientnet:widht=1", UnknownName, "Did you mean 'width'"),
        ("efficientnet_b0:width=2", UnknownName, "No argument of efficientnet_b0 named 'width'"),
        ("densenet264:growth=3", UnknownName, "It takes: nothing"),
        ("nasnet_a_mobile:borders=kears", UnknownName, "Did you mean 'keras'"),
        ("nasnet_b", BadRequest, "Nearest substitute: nasnet_a_mobile"),
        ("efficientnet:", BadRequest, "expected key=value"),
        ("efficientnet:width", BadRequest, "expected key=value"),
        ("efficientnet:width=1,width=2", BadRequest, "given twice"),
        ("efficientnet:width=9", BadRequest, "a number from 0.1 to 8, received '9'"),
        ("efficientnet:width=nan", BadRequest, "a number from 0.1 to 8"),
        ("efficientnet:width=wide", BadRequest, "received 'wide'"),
        ("efficientnet:size=240.5", BadRequest, "a whole number from 32 to 2048"),
        ("yolov8n:size=600", BadRequest, "a multiple of 32"),
        ("yolov8n:variant=x", UnknownName, "It takes: size"),
        ("yolov9t:head=grouped", UnknownName, "published"),
        ("yolov10n", UnknownName, "yolov8n"),
    ],
)
def test_what_is_not_understood_is_refused(name, error, message):
    with pytest.raises(error) as caught:
        parse_name(name)
    assert message in str(caught.value)


def test_classes_are_counted_from_zero():
    with pytest.raises(BadRequest, match="received -1"):
        build("densenet264", -1)
    with pytest.raises(BadRequest, match="nothing but its head"):
        build("yolov8n", 0)


def test_the_table_loads_no_torch():
    code = "import signet.architectures.building, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_entry_builds_what_it_says(name):
    torch = pytest.importorskip("torch")
    entry = ARCHITECTURES[name]
    with torch.device("meta"):
        module = build(name, entry.classes)
        assert sum(value.numel() for value in module.parameters()) == entry.parameters
        if entry.outputs:
            answers = module.eval()(torch.zeros(1, 3, entry.size, entry.size))
            assert len(answers) == len(entry.outputs)
            assert {len(answer) for answer in answers} == {1}
            return
        head = module.get_submodule(entry.classifier)
        assert isinstance(head, torch.nn.Linear)
        assert (head.in_features, head.out_features) == (entry.features, entry.classes)
        assert module.eval()(torch.zeros(1, 3, entry.size, entry.size)).shape == (1, entry.classes)
        assert isinstance(build(name, 0).get_submodule(entry.classifier), torch.nn.Identity)


def test_arguments_reach_the_network():
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        asked = parse_name("efficientnet:width=1.1,depth=1.2,dropout=0.5,padding=symmetric,epsilon=1e-5")
        module = build(asked.architecture, 1000, asked.arguments)
    assert sum(value.numel() for value in module.parameters()) == 9_109_994
    assert module.dropout.p == 0.5
    assert module.stem.norm.eps == 1e-5
