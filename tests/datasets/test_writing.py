"""What is written opens again to the same truth, whatever the numbers are, and is whole or not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from signet.datasets import Dataset, Entry, open_dataset, to_coco, to_voc, to_yolo
from signet.datasets.annotations import Objects
from signet.datasets.dataset import TRUTHS
from signet.errors import BadInput, BadRequest, WrongTask
from signet.masks import Mask

SIZE = (37, 53)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for place in ("one", "two"):
        (folder / place).mkdir()
        PillowImage.new("RGB", SIZE[::-1]).save(folder / place / "same name.png")
    return [folder / place / "same name.png" for place in ("one", "two")]


def dataset(images, seed, labels=("a b", "<&>", "ß"), *, shapes=None, crowd=True):
    rng = np.random.default_rng(seed)
    entries = []
    for image in images:
        count = int(rng.integers(0, 5))
        low = rng.uniform(0, 0.8, (count, 2)) * SIZE[::-1]
        high = low + rng.uniform(0.01, 1, (count, 2)) * (np.array(SIZE[::-1]) - low)
        objects = Objects(
            xyxy=np.hstack([low, high]),
            indices=rng.integers(0, len(labels), count),
            crowd=(rng.random(count) < 0.3) & crowd,
            areas=rng.uniform(1, 50, count),
            size=SIZE,
            shapes=None if shapes is None else tuple(shapes(rng) for _ in range(count)),
        )
        entries.append(Entry(image, objects.classes, None, annotation=objects))
    task = "detect" if shapes is None else "instances"
    return Dataset(
        entries=tuple(entries),
        labels=labels,
        source="made",
        format="coco",
        root=images[0].parent.parent,
        truth_of=TRUTHS[task],
        task=task,
        exclusive=False,
    )


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), to=st.sampled_from([to_coco, to_voc, to_yolo]))
def test_any_boxes_open_again(images, tmp_path_factory, seed, to):
    made = dataset(images, seed, crowd=to is not to_yolo)
    out = to(made, tmp_path_factory.mktemp("out") / "data").folder
    again = open_dataset(out)
    assert again.labels == made.labels
    assert len(again.notes) == 1 + (to is to_voc and any(e.annotation.crowd.any() for e in made.entries))
    for one, two in zip(made, again, strict=True):
        np.testing.assert_allclose(two.truth.xyxy, one.truth.xyxy, rtol=0, atol=1e-9)
        assert two.truth.labels == one.truth.labels
        assert two.truth.crowd.tolist() == one.truth.crowd.tolist()
        if to is to_coco:
            assert two.truth.areas.tolist() == one.truth.areas.tolist()


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_masks_open_again_in_coco(images, tmp_path_factory, seed):
    made = dataset(images, seed, shapes=lambda rng: Mask.of(rng.random(SIZE) < rng.random()))
    again = open_dataset(to_coco(made, tmp_path_factory.mktemp("out") / "data").folder)
    if not sum(len(entry.annotation) for entry in made.entries):
        assert again.task == "detect"
        return
    for one, two in zip(made, again, strict=True):
        assert one.truth.masks == two.truth.masks


def test_what_a_format_cannot_hold_is_refused_and_nothing_is_left(images, tmp_path):
    masks = dataset(images, 1, shapes=lambda rng: Mask.of(rng.random(SIZE) < 0.5), crowd=False)
    with pytest.raises(BadRequest, match=r"expected one outline for each object .* got run lengths"):
        to_yolo(masks, tmp_path / "yolo")
    with pytest.raises(
        WrongTask, match=r"of the task detect to write Pascal VOC's XML, got one of 'instances'"
    ):
        to_voc(masks, tmp_path / "voc")
    with pytest.raises(BadRequest, match=r"labels that a line of text can hold, got 'a\\nb'"):
        to_voc(dataset(images, 1, labels=("a\nb", "c", "d")), tmp_path / "voc")
    with pytest.raises(BadInput, match=r"gone\.png: the image cannot be copied"):
        to_coco(dataset([*images, tmp_path / "gone.png"], 1), tmp_path / "coco")
    assert list(tmp_path.iterdir()) == []
