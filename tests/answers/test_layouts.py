"""Every layout of boxes against its own definition, written out box by box, or against its library."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from signet.answers.layouts import candidates
from signet.answers.suppression import selected
from signet.errors import BadInput
from signet.heads import Head, Suppression

NMS = {"iou": 0.6, "score_floor": 0.1, "multi_label": False}
SIZE = (64, 96)


def head(name: str, **stated: Any) -> Head:
    return Head.of(name, stated)


def rows_of(found: Any) -> list[tuple[int, int, float, list[float]]]:
    """(row, class, score, box), by row and class."""
    table = zip(
        found.rows.tolist(), found.classes.tolist(), found.scores.tolist(), found.xyxy.tolist(), strict=True
    )
    return sorted(table)


def same(found: Any, wanted: list[tuple[int, int, float, list[float]]]) -> None:
    got = rows_of(found)
    wanted = sorted(wanted)
    assert [row[:2] for row in got] == [row[:2] for row in wanted]
    np.testing.assert_allclose([row[2] for row in got], [row[2] for row in wanted], rtol=1e-5)
    np.testing.assert_allclose([row[3] for row in got], [row[3] for row in wanted], rtol=1e-4, atol=1e-3)


def cells(strides: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(column, row, stride) of each cell."""
    return [
        (x, y, stride)
        for stride in strides
        for y in range(math.ceil(SIZE[0] / stride))
        for x in range(math.ceil(SIZE[1] / stride))
    ]


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_yolox(activation: str, multi_label: bool) -> None:
    random = np.random.default_rng(5)
    grid = cells((8, 16, 32))
    raw = random.normal(0, 1, (len(grid), 8)).astype("f4")
    if activation == "none":
        raw[:, 4:] = random.uniform(0, 1, (len(grid), 4))
    nms = {**NMS, "score_floor": 0.3, "multi_label": multi_label}
    found = candidates(
        {"predictions": raw}, head("yolox", strides=[8, 16, 32], activation=activation, nms=nms), SIZE, 3
    )
    wanted = []
    for place, ((x, y, stride), row) in enumerate(zip(grid, raw.astype("f8"), strict=True)):
        scores = row[4:] if activation == "none" else 1 / (1 + np.exp(-row[4:]))
        products = scores[0] * scores[1:]
        cx, cy = (row[0] + x) * stride, (row[1] + y) * stride
        w, h = math.exp(row[2]) * stride, math.exp(row[3]) * stride
        box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        labels = range(3) if multi_label else [int(products.argmax())]
        wanted += [(place, label, float(products[label]), box) for label in labels if products[label] >= 0.3]
    passing = found.at(np.flatnonzero(found.scores >= 0.3))
    same(passing, wanted)
    assert len(wanted) > 20


@pytest.mark.parametrize("units", ["pixels", "fraction"])
def test_yolov5_and_v8_are_centres_and_sides(units: str) -> None:
    random = np.random.default_rng(6)
    boxes = random.uniform(0.1, 0.9, (50, 4)).astype("f4")
    objectness, scores = random.uniform(0, 1, (50, 1)), random.uniform(0, 1, (50, 4))
    scale = np.array([96, 64, 96, 64]) if units == "pixels" else np.ones(4)
    full = boxes * np.array([96, 64, 96, 64])
    corners = np.concatenate([full[:, :2] - full[:, 2:] / 2, full[:, :2] + full[:, 2:] / 2], 1)
    fifth = np.concatenate([boxes * scale, objectness, scores], 1).astype("f4")
    found = candidates({"predictions": fifth}, head("yolov5", units=units, nms=NMS), SIZE, 4)
    product = objectness * scores
    best = product.argmax(1)
    wanted = [
        (row, int(best[row]), float(product[row].max()), corners[row].tolist())
        for row in range(50)
        if objectness[row, 0] >= 0.1 and scores[row].max() >= 0.1
    ]
    same(found, wanted)
    eighth = np.concatenate([boxes * scale, scores], 1).astype("f4").T
    found = candidates({"predictions": eighth}, head("yolov8", units=units, nms=NMS), SIZE, 4)
    labels = scores.argmax(1)
    same(
        found,
        [(row, int(labels[row]), float(scores[row].max()), corners[row].tolist()) for row in range(50)],
    )


def test_yolov10_lists_its_boxes() -> None:
    raw = np.array([[1, 2, 30, 40, 0.9, 2], [5, 5, 9, 9, 0.05, 1], [0, 0, 0, 0, 0, 0]], "f4")
    found = candidates({"predictions": raw}, head("yolov10"), SIZE, 3)
    same(found, [(0, 2, 0.9, [1, 2, 30, 40]), (1, 1, 0.05, [5, 5, 9, 9])])


@pytest.mark.parametrize("origin", [0.0, 0.5])
def test_nanodet_is_the_mean_of_a_distribution(origin: float) -> None:
    random = np.random.default_rng(7)
    grid = cells((8, 16, 32, 64))
    raw = random.normal(0, 1, (len(grid), 3 + 32)).astype("f4")
    raw[:, :3] = random.uniform(0, 1, (len(grid), 3))
    stated = {"strides": [8, 16, 32, 64], "bins": 8, "origin": origin, "nms": {**NMS, "before": None}}
    found = candidates({"predictions": raw}, head("nanodet", **stated), SIZE, 3)
    wanted = []
    for place, ((x, y, stride), row) in enumerate(zip(grid, raw.astype("f8"), strict=True)):
        label = int(row[:3].argmax())
        if row[label] < 0.1:
            continue
        sides = []
        for side in range(4):
            powers = np.exp(row[3 + 8 * side : 11 + 8 * side])
            sides.append(float((powers * np.arange(8)).sum() / powers.sum()) * stride)
        cx, cy = (x + origin) * stride, (y + origin) * stride
        box = [cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]]
        wanted.append((place, label, float(row[label]), box))
    same(found, wanted)


def test_ssd_is_tflites_post_processing() -> None:
    arrays = {
        "boxes": np.array([[0.25, 0.1, 0.5, 0.2], [0, 0, 1, 1], [9, 9, 9, 9]], "f4"),
        "classes": np.array([2, 0, 7], "f4"),
        "scores": np.array([0.9, 0.4, 0.3], "f4"),
        "count": np.array(2, "f4"),
    }
    found = candidates(arrays, head("ssd"), SIZE, 3)
    same(found, [(0, 2, 0.9, [9.6, 16, 19.2, 32]), (1, 0, 0.4, [0, 0, 96, 64])])
    with pytest.raises(BadInput, match="a count from 0 to 3, got 9"):
        candidates({**arrays, "count": np.array([9.0])}, head("ssd"), SIZE, 3)


def outputs(classes: int, queries: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    return (
        random.normal(0, 2, (queries, classes)).astype("f4"),
        random.uniform(0.1, 0.9, (queries, 4)).astype("f4"),
    )


@pytest.mark.parametrize("name", ["detr", "rtdetr"])
def test_detr_and_rtdetr_answer_as_transformers(name: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    logits, boxes = outputs(7)
    if name == "detr":
        reader, classes = transformers.DetrImageProcessor(), 6
    else:
        reader, classes = transformers.RTDetrImageProcessor(), 7
    answers = type("Outputs", (), {})()
    answers.logits, answers.pred_boxes = torch.from_numpy(logits[None]), torch.from_numpy(boxes[None])
    (wanted,) = reader.post_process_object_detection(answers, threshold=0.2, target_sizes=[SIZE])
    chosen = head(name, nms={"score_floor": 0.2})
    found = selected(
        candidates({"logits": logits, "boxes": boxes}, chosen, SIZE, classes), chosen.suppression
    )
    table = sorted(zip(found.scores.tolist(), found.classes.tolist(), found.xyxy.tolist(), strict=True))
    theirs = sorted(zip(*(wanted[key].tolist() for key in ("scores", "labels", "boxes")), strict=True))
    assert [row[1] for row in table] == [row[1] for row in theirs]
    np.testing.assert_allclose([row[0] for row in table], [row[0] for row in theirs], rtol=1e-5)
    np.testing.assert_allclose([row[2] for row in table], [row[2] for row in theirs], rtol=1e-5)
    assert len(table) > 10


def test_boxes_of_a_list_that_is_filled_up() -> None:
    arrays = {
        "boxes": np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 0]], "f4"),
        "scores": np.array([0.5, 0.6, 0.0], "f4"),
        "classes": np.array([1, 90, 12345], "i8"),
    }
    found = candidates(arrays, head("boxes"), SIZE, 91)
    same(found, [(0, 1, 0.5, [1, 2, 3, 4]), (1, 90, 0.6, [5, 6, 7, 8])])
    with pytest.raises(BadInput, match="classes from 0 to 89, got 1 to 90"):
        candidates(arrays, head("boxes"), SIZE, 90)
    with pytest.raises(BadInput, match="expected 3 scores and classes"):
        candidates({**arrays, "scores": np.ones(2, "f4")}, head("boxes"), SIZE, 91)


def test_rows_that_are_no_numbers_are_counted_and_only_numbers_are_an_answer() -> None:
    raw = np.full((3, 6), 0.5, "f4")
    raw[1, 2] = np.nan
    found = candidates({"predictions": raw}, head("yolov5", nms=NMS), SIZE, 1)
    assert (found.rows.tolist(), found.invalid) == ([0, 2], 1)
    with pytest.raises(BadInput, match="nothing but NaN"):
        candidates({"predictions": np.full((3, 6), np.nan, "f4")}, head("yolov5", nms=NMS), SIZE, 1)
    logits, boxes = outputs(3, 2)
    logits[0] = np.nan
    for name in ("detr", "rtdetr"):
        found = candidates({"logits": logits, "boxes": boxes}, head(name), SIZE, None)
        assert found.invalid == 1
        assert set(found.rows.tolist()) == {1}


@pytest.mark.parametrize(
    ("name", "stated", "shape", "message"),
    [
        ("yolox", {"strides": [8], "nms": NMS}, (95, 8), "expected 96 boxes, one for each cell of 64 x 96"),
        ("yolox", {"strides": [8], "nms": NMS}, (96, 9), r"expected 5 \+ 3 classes for each box, got 9"),
        ("yolov8", {"nms": NMS}, (8, 9), r"expected 4 \+ 3 classes for each box, got 8"),
        ("yolov5", {"nms": NMS}, (1, 9, 9), r"expected \(boxes, values\)"),
        ("yolov10", {}, (3, 7), "expected 6 values for each box, got 7"),
        ("nanodet", {"strides": [8], "bins": 8, "nms": NMS}, (96, 34), "expected 0"),
    ],
)
def test_another_shape_is_refused(name: str, stated: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        candidates({"predictions": np.zeros(shape, "f4")}, head(name, **stated), SIZE, 3)


def test_the_graphs_own_decisions_may_be_suppressed_further() -> None:
    chosen = head("boxes", nms={"iou": 0.5, "class_wise": False})
    assert chosen.suppression == Suppression(iou=0.5, class_wise=False)
