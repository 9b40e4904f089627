"""YOLO against its own packages: the same names and shapes, and with the same tensors the same answers.

`tests/golden/yolo.json` was written by `tools/yolo_golden.py`, which ran those packages as black boxes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from signet.architectures import yolov7, yolov8, yolov9  # noqa: E402
from signet.architectures.renaming import renamed  # noqa: E402
from signet.architectures.yolo_names import key_map, original_names, without_ignored  # noqa: E402
from signet.errors import BadInput  # noqa: E402

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/yolo.json").read_text("utf-8"))
SMALL = ("yolov8n", "yolov8n-seg", "yolov8n-cls", "yolov9t", "gelan-t", "yolov7-tiny")
"""The rest take a second each, and run with LARGE=1."""
ANSWERED = [
    pytest.param(name, marks=() if name.partition("/")[2] in SMALL else pytest.mark.large) for name in GOLDEN
]


def made(name: str) -> tuple[Any, str]:
    """Our network of a package's name, and the name of the key map of its files."""
    package, _, architecture = name.partition("/")
    variant = architecture.removeprefix("yolo").removeprefix("gelan-")
    if package == "sas_yolov7":
        return yolov7.build(variant[3:], 80), architecture
    if package == "yolo9":
        return yolov9.build(variant, 80, "authors"), "yolov9e" if variant == "e" else "yolov9"
    if variant.startswith("v9"):
        return yolov9.build(variant[2], 80, "ultralytics"), "yolov9e" if variant == "v9e" else "yolov9"
    if variant.endswith("-cls"):
        return yolov8.build(variant[2], "classify", 1000), "yolov8-cls"
    return yolov8.build(variant[2], "instances" if variant.endswith("-seg") else "detect", 80), "yolov8"


def original(module: Any, keys: str) -> dict[str, Any]:
    """The tensors of a network by the names that its own package gives them."""
    names, found = original_names(module, key_map(keys)), {}
    for key, value in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        found[f"{names[path]}.{leaf}"] = value
    if keys.startswith("yolov7"):
        grid = module.head.anchors * torch.tensor([8, 16, 32], device=module.head.anchors.device).view(
            3, 1, 1
        )
        found[f"{names['head']}.anchor_grid"] = grid.view(3, 1, 3, 1, 1, 2)
    return found


@pytest.fixture
def filled(rule: Any) -> Callable[[Any, str], dict[str, Any]]:
    """Makes a state dict in the original naming by the rule."""

    def fill(module: Any, keys: str) -> dict[str, Any]:
        state = original(module, keys)
        drawn = rule.drawn({name: tuple(value.shape) for name, value in state.items()})
        return {**state, **{name: torch.from_numpy(value) for name, value in drawn.items()}}

    return fill


@pytest.mark.parametrize("name", GOLDEN)
def test_names_and_shapes_are_those_of_the_original(name: str, rule: Any) -> None:
    with torch.device("meta"):
        module, keys = made(name)
        shapes = {key: tuple(value.shape) for key, value in original(module, keys).items()}
    assert rule.names_digest(shapes) == GOLDEN[name]["names"]
    assert sum(not key.endswith("num_batches_tracked") for key in shapes) == GOLDEN[name]["tensors"]
    # The original counts the sixteen constant distances among the parameters.
    constants = 16 if hasattr(module.head, "mean") or hasattr(module.head, "detect") else 0
    assert sum(value.numel() for value in module.parameters()) + constants == GOLDEN[name]["parameters"]


@pytest.mark.parametrize("name", ANSWERED)
def test_a_state_dict_of_the_original_gives_its_answers(name: str, rule: Any, filled: Any) -> None:
    module, keys = made(name)
    state = without_ignored(filled(module, keys), key_map(keys))
    module.load_state_dict(renamed(state, original_names(module, key_map(keys)), module), strict=True)
    with torch.no_grad():
        found = module.double().eval()(torch.from_numpy(rule.picture()).double())
        answers = found if isinstance(found, tuple) else (found.softmax(dim=1),)
    expected = GOLDEN[name]["outputs"].values()
    for answer, wanted in zip(answers, expected, strict=True):
        got = rule.kept(answer.numpy())
        assert got["shape"] == wanted["shape"]
        for part in ("mean", "deviation", "values"):
            np.testing.assert_allclose(got[part], wanted[part], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["ultralytics/yolov8n-seg", "yolo9/gelan-t", "sas_yolov7/yolov7-tiny"])
def test_in_single_precision_the_answers_are_within_a_ten_thousandth(
    name: str, rule: Any, filled: Any
) -> None:
    module, keys = made(name)
    state = without_ignored(filled(module, keys), key_map(keys))
    module.load_state_dict(renamed(state, original_names(module, key_map(keys)), module), strict=True)
    with torch.no_grad():
        answers = module.eval()(torch.from_numpy(rule.picture()))
    for answer, wanted in zip(answers, GOLDEN[name]["outputs"].values(), strict=True):
        np.testing.assert_allclose(
            rule.kept(answer.numpy())["values"], wanted["values"], rtol=1e-5, atol=1e-4
        )


def test_a_tensor_too_few_or_too_many_is_named() -> None:
    with torch.device("meta"):
        module, keys = made("ultralytics/yolov8n")
        names, state = original_names(module, key_map(keys)), original(module, keys)
    short = {key: value for key, value in state.items() if key != "model.22.cv2.0.2.bias"}
    with pytest.raises(BadInput, match=r"missing: model\.22\.cv2\.0\.2\.bias"):
        renamed(short, names, module)
    with pytest.raises(BadInput, match=r"unexpected: model\.23\.weight"):
        renamed({**state, "model.23.weight": state["model.22.cv2.0.2.bias"]}, names, module)
    with pytest.raises(BadInput, match=r"other shape: model\.22\.cv3\.0\.2\.bias \(7,\) instead of \(80,\)"):
        renamed({**state, "model.22.cv3.0.2.bias": torch.zeros(7)}, names, module)
