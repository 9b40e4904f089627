"""YOLO of our own by name: weights in the names of the original package, labels and preprocessing by rule."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.boxes import Boxes
from signet.errors import BadCard, BadInput
from signet.instances import Instances
from signet.models import load
from signet.resolving import resolve
from signet.testing import made_images
from signet.untrained import untrained

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

SIDE = 64
Mirror = Callable[..., Path]


def stirred(architecture: str, classes: int) -> Any:
    """A network whose numbers are random, BatchNorms included."""
    from signet.architectures import building

    torch.manual_seed(5)
    module = building.build(architecture, classes).eval()
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if value.is_floating_point() and not key.endswith(("mean.weight", "anchors")):
                noise = 0.01 * torch.randn_like(value)
                value.add_(noise.abs() if key.endswith("running_var") else noise)
    return module


def original(module: Any, architecture: str) -> dict[str, Any]:
    """Its tensors as the original package names them."""
    from signet.architectures.yolo_names import key_map, original_names
    from signet.architectures.yolo_table import NETWORKS

    names, state = original_names(module, key_map(NETWORKS[architecture].keys)), {}
    for key, value in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        state[f"{names[path]}.{leaf}"] = value.clone()
    return state


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "mirror"))

    def put(architecture: str, state: dict[str, Any], **config: Any) -> Path:
        folder = tmp_path / "mirror/signet" / architecture
        folder.mkdir(parents=True)
        save_file(state, folder / "model.safetensors")
        stated = {"library": "signet", "architecture": architecture, **config}
        stated.setdefault("pretrained_cfg", {"input_size": [3, SIDE, SIDE]})
        (folder / "config.json").write_text(json.dumps(stated))
        return folder

    return put


@pytest.mark.parametrize(
    ("architecture", "kind"), [("yolov8n", Boxes), ("yolov8n-seg", Instances), ("yolov7-tiny", Boxes)]
)
def test_weights_in_the_original_names_answer_as_the_module(
    architecture: str, kind: Any, mirror: Mirror
) -> None:
    module = stirred(architecture, 80)
    mirror(architecture, original(module, architecture))
    found = resolve(f"signet/{architecture}", offline=True)
    assert found.card.labels is not None
    assert (len(found.card.labels), found.card.labels[0], found.card.labels[79]) == (
        80,
        "person",
        "toothbrush",
    )
    with load(found, engine="torch") as model:
        batch = model.prepare(made_images(2))
        outputs = model.run(batch)
        assert all(isinstance(answer, kind) for answer in model.answer(outputs, batch))
    images = torch.from_numpy(np.ascontiguousarray(batch.arrays))
    assert images.shape == (2, 3, SIDE, SIDE)
    with torch.inference_mode():
        expected = module(images)
    assert list(outputs) == ["predictions", "prototypes"][: len(expected)]
    for got, wanted in zip(outputs.values(), expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5, atol=1e-5)


def test_what_a_config_says_of_classes_is_kept(mirror: Mirror) -> None:
    module = stirred("yolov8n", 3)
    labels = ["RBC", "WBC", "Platelets"]
    mirror("yolov8n", original(module, "yolov8n"), num_classes=3, labels=labels)
    found = resolve("signet/yolov8n", offline=True)
    assert (found.card.task, found.card.output.head, found.card.output.classes) == ("detect", "yolov8", 3)
    assert found.card.labels == tuple(labels)


def test_our_own_names_are_read_too(mirror: Mirror) -> None:
    module = stirred("yolov8n", 3)
    mirror("yolov8n", module.state_dict(), num_classes=3)
    found = resolve("signet/yolov8n", offline=True)
    assert found.card.labels == ("class 0", "class 1", "class 2")
    (source,) = found.networks
    filled = source.build().state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(filled[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("words", ["", "model.model."])
def test_the_word_before_the_numbers_may_be_there_twice_or_not(words: str, mirror: Mirror) -> None:
    module = stirred("yolov8n", 3)
    state = original(module, "yolov8n")
    mirror("yolov8n", {words + name.removeprefix("model."): state[name] for name in state}, num_classes=3)
    (source,) = resolve("signet/yolov8n", offline=True).networks
    filled = source.build().state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(filled[key], value) for key, value in module.state_dict().items())


def test_weights_of_other_classes_or_another_form_of_the_head_are_refused_by_name(mirror: Mirror) -> None:
    mirror("yolov9t", original(stirred("yolov9t", 80), "yolov9t"), model_args={"head": "ultralytics"})
    (source,) = resolve("signet/yolov9t", offline=True).networks
    with pytest.raises(BadInput, match=r"other shape: model\.22\.cv2\.0\.1\.conv\.weight"):
        source.build()  # type: ignore[union-attr]
    mirror("yolov8n", original(stirred("yolov8n", 3), "yolov8n"), num_classes=4)
    (source,) = resolve("signet/yolov8n", offline=True).networks
    with pytest.raises(
        BadInput, match=r"model\.22\.cv3\.0\.2\.weight \(3, 64, 1, 1\) instead of \(4, 64, 1, 1\)"
    ):
        source.build()  # type: ignore[union-attr]


def test_labels_that_are_not_as_many_are_refused(mirror: Mirror) -> None:
    mirror("yolov8n", {"x": torch.zeros(1)}, num_classes=3, labels=["one"])
    with pytest.raises(BadCard, match="expected 3 labels"):
        resolve("signet/yolov8n", offline=True)


def test_an_untrained_one_has_the_preprocessing_of_its_kind() -> None:
    words = untrained("signet/yolov8n:size=320").card.program.words()
    assert "to fit inside 320x320, bilinear without antialias" in " ".join(words)
    assert "pad to 320x320 with 114, picture at the center" in " ".join(words)
    assert untrained("signet/yolov8n-cls").card.task == "classify"
    assert untrained("signet/yolov8n-seg").card.task == "instances"


@pytest.mark.large
def test_every_engine_gives_the_same_numbers() -> None:
    answers = {}
    torch.manual_seed(0)
    found = untrained("signet/yolov8n-seg:size=64")
    module = found.networks[0].build()  # type: ignore[union-attr]
    network = dataclasses.replace(found.networks[0], build=lambda: module, digest="5e" * 32)
    same = dataclasses.replace(found, networks=(network,))
    for engine in ("torch", "onnx", "openvino"):
        with load(same, engine=engine, precision="fp32") as model:
            answers[engine] = model.run(model.prepare(made_images(2)))
    for engine in ("onnx", "openvino"):
        for name, expected in answers["torch"].items():
            np.testing.assert_allclose(answers[engine][name], expected, rtol=1e-4, atol=2e-4)
