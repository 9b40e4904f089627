"""The benchmark of detectors: what it lays side by side, and the state dict that it hands over."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.boxes import Boxes

ROOT = Path(__file__).resolve().parents[2]
LEAST, IOU = 0.25, 0.7


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def comparing() -> ModuleType:
    return importlib.import_module("detection.comparing")


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Boxes:
    table = np.array(rows, np.float64).reshape(-1, 6)
    indices = table[:, 5].astype(np.int64)
    labels = tuple("abc"[index] for index in indices)
    return Boxes(table[:, :4], table[:, 4], indices, labels, (100, 100))


ONE = boxes((10, 10, 60, 60, 0.9, 0), (40, 20, 90, 80, 0.6, 1))


def test_the_same_boxes_in_any_order_are_one_decision(comparing: ModuleType) -> None:
    found = comparing.compared({"x": ONE}, {"x": ONE[np.array([1, 0])]}, ["x"], LEAST)
    assert (found.images, found.equal, found.boxes, found.pairs, found.alone) == (1, 1, (2, 2), 2, ())
    assert (found.score, found.overlap, found.corner) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    "other",
    [
        boxes((10, 10, 60, 60, 0.9, 0)),
        boxes((10, 10, 60, 60, 0.9, 0), (40, 20, 90, 80, 0.6, 2)),
        boxes((10, 10, 60, 60, 0.9, 0), (40, 20, 90, 80, 0.63, 1)),
        boxes((10, 10, 60, 60, 0.9, 0), (42, 20, 92, 80, 0.6, 1)),
    ],
    ids=["missing", "label", "score", "place"],
)
def test_a_box_that_is_not_the_same_is_named(comparing: ModuleType, other: Boxes) -> None:
    found = comparing.compared({"x": ONE, "y": ONE}, {"x": ONE, "y": other}, ["x", "y"], LEAST)
    assert (found.images, found.equal, found.pairs) == (2, 1, 3)
    assert found.alone
    assert all(words.startswith("y: ") for words in found.alone)
    assert f"1 of 2 images alike; boxes 4 and {2 + len(other)}, 3 pairs" in found.words()


@given(st.floats(-0.004, 0.004), st.floats(0, 0.04))
def test_pairs_tell_by_how_much_they_differ(score: float, moved: float) -> None:
    comparing = importlib.import_module("detection.comparing")
    other = boxes((10 + moved, 10, 60, 60, 0.9 + score, 0), (40, 20, 90, 80, 0.6, 1))
    found = comparing.compared({"x": ONE}, {"x": other}, ["x"], LEAST)
    assert found.pairs == 2
    assert found.score == pytest.approx(abs(score))
    assert found.corner == pytest.approx(moved)
    assert found.overlap == pytest.approx((50 - moved) / 50)


def test_images_without_boxes_are_alike(comparing: ModuleType) -> None:
    found = comparing.compared({"x": boxes()}, {"x": boxes()}, ["x"], LEAST)
    assert (found.equal, found.pairs, found.overlap) == (1, 0, 1.0)
    assert comparing.compared({"x": ONE}, {"x": boxes()}, ["x"], LEAST).equal == 0


def test_lines_are_read_as_signet_predict_writes_them(comparing: ModuleType, tmp_path: Path) -> None:
    from PIL import Image

    systems = importlib.import_module("detection.systems")
    image = tmp_path / "a.png"
    Image.new("RGB", (40, 30)).save(image)
    asked = systems.Asked(
        model="", files={}, size=(64, 64), labels=("x", "y"), least=LEAST, iou=IOU, most=10, class_wise=True
    )
    asked.write(tmp_path / "asked.json")
    assert systems.Asked.read(tmp_path / "asked.json") == asked
    out = tmp_path / "out.jsonl"
    systems._written([(str(image), [[1.00049, 2, 3, 4]], [0.1234567], [1.0])], asked, out)
    assert json.loads(out.read_text())["boxes"] == [
        {"xyxy": [1.0, 2, 3, 4], "score": 0.123457, "index": 1, "label": "y"}
    ]
    (found,) = comparing.lines(out, {"a.png": image}).values()
    assert (found.labels, found.size) == (("y",), (30, 40))


def test_the_report_shows_each_best_round_and_never_hides_a_peer(comparing: ModuleType) -> None:
    systems = importlib.import_module("detection.systems")
    reporting = importlib.import_module("detection.reporting")
    same = comparing.compared({"x": ONE}, {"x": ONE}, ["x"], LEAST)
    other = comparing.compared({"x": ONE}, {"x": boxes()}, ["x"], LEAST)
    proof = comparing.evidence({"x": ONE}, {"x": boxes()}, ["x"])
    outcome = reporting.Outcome(
        asked=systems.Asked(
            model="", files={"openvino-precision": "bf16"}, size=(480, 640), labels=("a",), least=LEAST,
            iou=IOU, most=10, class_wise=True,
        ),
        counts=(2, 1),
        required=reporting.Decided(same, proof),
        found={
            "ultralytics-loop": reporting.Decided(same, proof),
            "ultralytics-openvino": reporting.Decided(other, proof),
            "ultralytics-onnx": "no such format",
        },
        rates={
            "signet-fp32": [row(30.0), row(40.0)],
            "ultralytics-loop": [row(20.0), row(10.0)],
            "ultralytics-openvino": [row(50.0), {"error": "was killed"}],
            "torchvision-ssdlite": [{"error": "was killed"}],
        },
        commands={"fp32": 25.0},
        peer_versions="ultralytics 8",
    )  # fmt: skip
    text = reporting.report(outcome)
    assert "| signet-fp32 |  | 40.0 |  | 1.00x | 1.0 s | 2 MiB |" in text
    assert "| ultralytics-loop | 1 of 1 | 20.0 |  | 2.00x | 1.0 s | 2 MiB |" in text
    assert "| ultralytics-openvino | 0 of 1 | 50.0 |  | 0.80x |" in text
    assert "| torchvision-ssdlite | | was killed |" in text
    assert "- ultralytics-onnx: no such format." in text
    assert "0 of 1 images alike; boxes 2 and 0, 0 pairs, 2 alone" in text
    assert "from its start to its end: 25.0 images/s in fp32" in text
    assert "2 images (1 distinct), fitted into 480 x 640; best of 2 rounds" in text


def row(rate: float) -> dict[str, float]:
    return {"images_per_second": rate, "start_seconds": 1.0, "peak_memory_bytes": 2 << 20, "count": 2}


def test_the_state_dict_that_is_handed_over_holds_every_tensor(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from signet.architectures import building, yolo_names
    from signet.architectures.renaming import renamed

    weights = importlib.import_module("detection.weights")
    torch.manual_seed(0)
    module = building.build("yolov8n", 3, {})
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    config = {"library": "signet", "architecture": "yolov8n", "num_classes": 3, "labels": ["a", "b", "c"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights.ours(str(tmp_path), tmp_path / "state.pt")
    told = torch.load(tmp_path / "state.pt", weights_only=True)
    assert (told["architecture"], told["labels"]) == ("yolov8n", ["a", "b", "c"])
    assert {name.split(".")[0] for name in told["state"]} == {"model"}
    names = yolo_names.original_names(module, yolo_names.key_map("yolov8"))
    again = renamed(told["state"], names, module)
    assert all(torch.equal(again[name], tensor) for name, tensor in module.state_dict().items())


def test_another_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    from signet.errors import BadInput

    weights = importlib.import_module("detection.weights")
    with pytest.raises(BadInput, match="expected a detector of YOLO v8 or v9"):
        weights.ours("starter", tmp_path / "state.pt")
    assert not (tmp_path / "state.pt").exists()
