"""The error tree as it is drawn, near misses, and what the messages say."""

from __future__ import annotations

import inspect
import re

import pytest

from signet import errors
from signet.errors import AlreadyExists, MissingExtra, SignetError, UnknownName, near_misses

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, SignetError)
}


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = {"SignetError": "Exception"}
    above = ["SignetError"]
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ([│├└─ ]*)[├└]── (\w+)", line)
        if found:
            depth = len(found[1]) // 4 + 1
            del above[depth:]
            drawn[found[2]] = above[-1]
            above.append(found[2])
    assert {name: kind.__base__.__name__ for name, kind in CLASSES.items()} == drawn


def test_each_error_says_when_it_is_raised() -> None:
    for kind in CLASSES.values():
        assert kind.__doc__


@pytest.mark.parametrize(
    ("asked", "known", "near"),
    [
        ("resnet5", ["timm/resnet50.a1_in1k", "timm/vgg16.tv_in1k"], ["timm/resnet50.a1_in1k"]),
        ("RESNET50", ["timm/resnet50.a1_in1k"], ["timm/resnet50.a1_in1k"]),
        ("timm/resnet50.a1_in1", ["timm/resnet50.a1_in1k"], ["timm/resnet50.a1_in1k"]),
        ("startr", ["starter", "timm/x.y"], ["starter"]),
        ("openvin", ["openvino", "onnx", "torch"], ["openvino"]),
        ("quite another thing", ["openvino", "onnx"], []),
        ("x", [], []),
        ("", ["a"], []),
    ],
)
def test_near_misses(asked: str, known: list[str], near: list[str]) -> None:
    assert list(near_misses(asked, known)) == near


def test_near_misses_are_the_best_first_and_few() -> None:
    known = ["resnet18", "resnet34", "resnet50", "resnet101", "resnest50"]
    found = near_misses("resnet501", known)
    assert found[0] == "resnet50"
    assert len(found) == 3
    assert list(near_misses("resnet501", reversed(known))) == list(found), (
        "the order of the names is no matter"
    )
    assert len(near_misses("resnet501", known, most=1)) == 1


def test_an_unknown_name_offers_what_is_near_and_a_hint() -> None:
    error = UnknownName("model", "resnet5", ["timm/resnet50.a1_in1k", "resnet18"], "See `signet find`.")
    assert error.name == "resnet5"
    assert error.near == ["resnet18", "timm/resnet50.a1_in1k"] or error.near[0].endswith("resnet50.a1_in1k")
    assert str(error).startswith("No model named 'resnet5'. Did you mean 'timm/resnet50.a1_in1k'")
    assert str(error).endswith("See `signet find`.")
    assert str(UnknownName("task", "zzz", ["classify"])) == "No task named 'zzz'."


def test_a_name_with_control_characters_cannot_act_on_a_terminal() -> None:
    assert "\x1b" not in str(UnknownName("model", "\x1b[31mred", []))


def test_a_missing_extra_gives_the_line_that_installs_it() -> None:
    error = MissingExtra("Fine-tuning", "train", "torch")
    assert error.extra == "train"
    assert "python -m pip install 'signet[train]'" in str(error)
    assert "torch is not installed" in str(error)
    assert "()" not in str(MissingExtra("Fine-tuning", "train"))


def test_an_existing_output_names_the_way_out() -> None:
    assert "out.jsonl" in str(AlreadyExists("out.jsonl"))
    assert "--overwrite" in str(AlreadyExists("out.jsonl"))
