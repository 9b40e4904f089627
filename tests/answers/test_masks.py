"""Masks at home: pasted as torchvision pastes, mixed from prototypes, chosen as Mask2Former chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from signet.answers import answer
from signet.answers.masks import of_map, pasted, placed
from signet.batches import Batch, Outputs
from signet.cards import Card, OutputContract
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.instances import Instances
from signet.masks import Mask
from signet.programs import Program
from signet.steps import Read

SIZE = (61, 83)


def smooth(seed: int, side: int = 28) -> np.ndarray:
    """A blob of probabilities, as a mask head gives them."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / (side - 1)
    waves = sum(
        random.normal(0, 1.5) * np.cos(np.pi * (random.integers(0, 3) * x + random.integers(0, 3) * y))
        for _ in range(4)
    )
    return (1 / (1 + np.exp(-(waves + 0.5)))).astype("f4")


@pytest.mark.parametrize("seed", range(12))
def test_pasting_is_torchvisions_in_the_box_that_it_rounds_to(seed: int) -> None:
    """torchvision pastes into whole pixels: each side of that box is less than a pixel further out."""
    torch = pytest.importorskip("torch")
    roi_heads = pytest.importorskip("torchvision.models.detection.roi_heads")
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 30, 2)
    box = np.concatenate([corner, corner + random.uniform(12, 30, 2)]).astype("f4")
    cells = smooth(seed)
    theirs = roi_heads.paste_masks_in_image(
        torch.from_numpy(cells[None, None]), torch.from_numpy(box[None]), SIZE
    )[0, 0].numpy()
    # Its box is that of 30 x 30 cells, the outer ones zero, cut to whole numbers with the last one included.
    wider = roi_heads.expand_boxes(torch.from_numpy(box[None]), 30 / 28)[0].numpy()
    whole = np.floor(wider) + np.array([0, 0, 1, 1])
    assert (np.abs(whole - wider) <= 1).all()
    middle, half = (whole[:2] + whole[2:]) / 2, (whole[2:] - whole[:2]) / 2 * 28 / 30
    found = pasted(cells, np.concatenate([middle - half, middle + half]), SIZE, 0.5).to_array()
    sure = np.abs(theirs - 0.5) > 1e-4
    # The ring beyond the box, where a cell of it and the zeros outside mix, is inside only for torchvision.
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    low, high = middle - half, middle + half
    sure &= (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1])
    assert np.array_equal(found[sure], theirs[sure] > 0.5)
    assert found.any()


def test_a_box_of_whole_cells_is_pasted_exactly() -> None:
    cells = np.zeros((4, 4), "f4")
    cells[1:3, 2] = 1
    inside = pasted(cells, np.array([2, 3, 6, 7]), (9, 9), 0.5).to_array()
    wanted = np.zeros((9, 9), bool)
    wanted[4:6, 4] = True
    assert np.array_equal(inside, wanted)


@given(
    arrays(np.float32, (5, 5), elements=some.sampled_from([0.0, 0.4, 0.6, 1.0])),
    some.tuples(*[some.floats(-20, 40) for _ in range(4)]),
)
@settings(max_examples=60)
def test_what_is_pasted_stays_in_box_and_image(cells: np.ndarray, corners: Any) -> None:
    x = sorted(corners[:2])
    y = sorted(corners[2:])
    inside = pasted(cells, np.array([x[0], y[0], x[1], y[1]]), (13, 17), 0.5).to_array()
    rows, columns = np.nonzero(inside)
    assert ((columns + 0.5 >= x[0]) & (columns + 0.5 < x[1])).all()
    assert ((rows + 0.5 >= y[0]) & (rows + 0.5 < y[1])).all()


@given(some.data())
@settings(max_examples=60)
def test_a_part_is_placed_as_the_whole_would_be(data: some.DataObject) -> None:
    height, width = data.draw(some.integers(1, 7)), data.draw(some.integers(1, 7))
    top, left = data.draw(some.integers(0, height - 1)), data.draw(some.integers(0, width - 1))
    shape = data.draw(some.integers(1, height - top)), data.draw(some.integers(1, width - left))
    part = data.draw(arrays(np.bool_, shape))
    whole = np.zeros((height, width), bool)
    whole[top : top + shape[0], left : left + shape[1]] = part
    found = placed(part, top, left, (height, width))
    assert np.array_equal(found.to_array(), whole)
    assert found.counts.tolist() == Mask.of(whole).counts.tolist()


def letterbox() -> Geometry:
    """61 x 83 in 64 x 64: 47 x 64 pixels, 8 rows of padding above and 9 below."""
    return Geometry.of(SIZE).resized((47, 64)).cropped(-8, 0, (64, 64))


@given(some.sampled_from([None, (10.0, 5.0, 60.0, 50.0)]), some.integers(0, 20))
@settings(max_examples=20)
def test_a_map_is_torchs_interpolation_of_its_unpadded_part(box: Any, seed: int) -> None:
    torch = pytest.importorskip("torch")
    cells = smooth(seed, 64)
    geometry = letterbox()
    found = of_map(cells, geometry, 0.5, None if box is None else np.array(box)).to_array()
    image = torch.from_numpy(cells[None, None, 8:55])
    values = torch.nn.functional.interpolate(image, SIZE, mode="bilinear", align_corners=False)[0, 0].numpy()
    wanted = values > 0.5
    if box is not None:
        y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
        wanted &= (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    sure = np.abs(values - 0.5) > 1e-5
    assert np.array_equal(found[sure], wanted[sure])


def batch(geometry: Geometry) -> Batch:
    return Batch(np.zeros((1, 1)), (geometry,), ("a.jpg",))


def card(head: str, **changes: Any) -> Card:
    extra = changes.pop("extra", {})
    output = OutputContract(head, **{"tensor": 0, **changes}, extra=extra)
    return Card("tests/masks", "instances", Program((Read(),)), output)


def test_mask_rcnn_gives_each_box_its_own_mask() -> None:
    masks = np.zeros((1, 3, 1, 4, 4), "f4")
    masks[0, 0, 0, :2] = 1
    masks[0, 1, 0, 2:] = 1
    outputs = Outputs(
        {
            "boxes": np.array([[[0, 0, 8, 8], [8, 8, 16, 16], [0, 0, 0, 0]]], "f4"),
            "scores": np.array([[0.5, 0.9, 0]], "f4"),
            "classes": np.array([[1, 0, 0]]),
            "masks": masks,
        }
    )
    (found,) = answer(outputs, card("mask_rcnn", classes=2), batch(Geometry.of((16, 16))))
    assert isinstance(found, Instances)
    assert found.boxes.labels == ("class 0", "class 1"), "the best first, and its mask with it"
    assert [mask.bounds.tolist() for mask in found.masks] == [[8, 12, 16, 16], [0, 0, 8, 4]]
    short = Outputs({**outputs, "masks": masks[:, :2]})
    with pytest.raises(BadInput, match="expected 3 masks, one for each box, got 2"):
        answer(short, card("mask_rcnn"), batch(Geometry.of((16, 16))))


def test_prototypes_are_mixed_by_each_boxs_own_values_within_the_box() -> None:
    geometry = Geometry.of((32, 64)).cropped(-16, 0, (64, 64))
    prototypes = np.full((1, 2, 16, 16), -1, "f4")
    prototypes[0, 0, :, 8:] = 1
    prototypes[0, 1, 8:] = 1
    rows = np.array(
        [[32, 32, 64, 32, 0.9, 0.1, 9, 0], [32, 40, 64, 16, 0.1, 0.8, 0, 9], [0, 0, 0, 0, 0, 0, 9, 9]], "f4"
    )
    outputs = Outputs({"predictions": rows.T[None], "prototypes": prototypes})
    wanted = card("yolov8", classes=2, extra={"nms": {"iou": 0.7, "multi_label": False}})
    (found,) = answer(outputs, wanted, batch(geometry))
    assert found.boxes.xyxy.tolist() == [[0, 0, 64, 32], [0, 16, 64, 32]]
    right, lower = (mask.to_array() for mask in found.masks)
    assert (right[:, 34:].all(), right[:, :30].any()) == (True, False)
    assert (lower[18:].all(), lower[:16].any()) == (True, False)
    detector = Card(
        "tests/boxes",
        "detect",
        Program((Read(),)),
        OutputContract("yolov8", extra={"nms": {"iou": 0.7, "multi_label": False}}),
    )
    (boxes,) = answer(Outputs({"predictions": rows.T[None, :6]}), detector, batch(geometry))
    assert boxes.xyxy.tolist() == found.boxes.xyxy.tolist()


def test_mask2former_chooses_as_transformers() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    random = np.random.default_rng(4)
    # 384 x 384 is the size that transformers finds the score at.
    masks = np.stack([(smooth(seed, 384) - 0.5) * 8 for seed in range(6)])
    logits = random.normal(0, 2, (6, 4)).astype("f4")
    answers = type("Outputs", (), {})()
    answers.class_queries_logits = torch.from_numpy(logits[None])
    answers.masks_queries_logits = torch.from_numpy(masks[None])
    reader = transformers.Mask2FormerImageProcessor()
    (wanted,) = reader.post_process_instance_segmentation(
        answers, threshold=0.0, target_sizes=[(384, 384)], return_binary_maps=True
    )
    (found,) = answer(
        Outputs({"logits": logits[None], "masks": masks[None]}),
        card("mask2former", classes=3),
        batch(Geometry.of((384, 384))),
    )
    theirs = sorted(
        ((row["score"], row["label_id"], row["id"]) for row in wanted["segments_info"]), reverse=True
    )
    # transformers rounds the score to a millionth too, and keeps queries of no pixel at a score of 0.
    theirs = [row for row in theirs if row[0] > 0]
    np.testing.assert_allclose(found.boxes.scores, [row[0] for row in theirs], atol=2e-6)
    assert found.boxes.indices.tolist() == [row[1] for row in theirs]
    maps = np.asarray(wanted["segmentation"])
    for mask, row in zip(found.masks, theirs, strict=True):
        assert (mask.to_array() == (maps[row[2]] > 0)).mean() > 0.9999
        assert mask.area


def test_masks_that_are_none_are_refused() -> None:
    logits = np.zeros((1, 2, 3), "f4")
    for masks, message in (
        (np.zeros((1, 3, 8, 8), "f4"), "logits .* for 3 maps"),
        (np.zeros((1, 2, 8, 8), "i8"), "expected masks"),
        (np.full((1, 2, 8, 8), np.nan, "f4"), "NaN or an infinity in each query"),
    ):
        with pytest.raises(BadInput, match=message):
            answer(
                Outputs({"logits": logits, "masks": masks}), card("mask2former"), batch(Geometry.of((8, 8)))
            )
    with pytest.raises(BadInput, match="expected 3 classes and one for no object"):
        answer(
            Outputs({"logits": logits, "masks": np.zeros((1, 2, 8, 8), "f4")}),
            card("mask2former", classes=3),
            batch(Geometry.of((8, 8))),
        )
