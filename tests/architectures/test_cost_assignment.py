"""Which anchor learns what, against a plain slow reference."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from signet.architectures.box_losses import overlap  # noqa: E402
from signet.architectures.cost_assignment import Anchors, assigned_by_cost  # noqa: E402
from signet.architectures.truths import Truths  # noqa: E402

SIDE = 96
CLASSES = 3
SHAPES = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))


def anchors() -> Anchors:
    middles, strides, kinds = [], [], []
    for level, stride in enumerate((8, 16, 32)):
        line = (torch.arange(SIDE // stride, dtype=torch.float64) + 0.5) * stride
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        for shape in range(3):
            middles.append(torch.stack([columns.flatten(), rows.flatten()], dim=1))
            strides.append(torch.full((len(line) ** 2,), stride, dtype=torch.float64))
            kinds.append(torch.full((len(line) ** 2,), 3 * level + shape))
    shapes = torch.tensor(SHAPES, dtype=torch.float64)
    return Anchors(torch.cat(middles), torch.cat(strides), torch.cat(kinds), shapes)


def case(seed: int, images: int, most: int) -> tuple[Any, Truths]:
    generator = torch.Generator().manual_seed(seed)
    places = len(anchors().kinds)
    raw = torch.randn(images, places, 5 + CLASSES, generator=generator, dtype=torch.float64)
    counts = torch.randint(0, most + 1, (images,), generator=generator)
    near = torch.rand(int(counts.sum()), 2, generator=generator, dtype=torch.float64) * (SIDE - 8)
    sides = 2 ** (torch.rand(len(near), 2, generator=generator, dtype=torch.float64) * 8 - 1)
    truths = Truths(
        torch.cat([near, (near + sides).clamp(max=SIDE)], dim=1),
        torch.randint(0, CLASSES, (len(near),), generator=generator),
        torch.repeat_interleave(torch.arange(images), counts),
        images,
    )
    return raw, truths


def able(known: Anchors, place: int, box: list[float]) -> bool:
    """Whether an anchor can answer a box, in plain numbers."""
    middle, stride = known.middles[place].tolist(), float(known.strides[place])
    width, height = box[2] - box[0], box[3] - box[1]
    apart = (abs((box[0] + box[2]) / 2 - middle[0]), abs((box[1] + box[3]) / 2 - middle[1]))
    ratios = [max(width / w, w / width, height / h, h / height) for w, h in SHAPES]
    ratio = ratios[int(known.kinds[place])]
    return max(apart) < stride and (ratio < 4 or ratio == min(ratios))


def plainly(raw: Any, known: Anchors, truths: Truths) -> dict[tuple[int, int], tuple[int, float]]:
    """The same, anchor by anchor and box by box: (image, anchor) to (truth, target)."""
    claims: dict[tuple[int, int], list[tuple[float, int, float]]] = {}
    for truth, (box, label, image) in enumerate(
        zip(truths.boxes.tolist(), truths.labels.tolist(), truths.images.tolist(), strict=True)
    ):
        found = []
        for place in range(len(known.kinds)):
            if not able(known, place, box):
                continue
            answer = raw[image, place]
            answered = known.boxes(answer[None, :4], torch.tensor([place]))
            share = float(overlap(answered, truths.boxes[truth][None]))
            scores = (answer[5:].sigmoid() * answer[4].sigmoid()).sqrt().tolist()
            cost = -3 * math.log(share + 1e-7) - sum(
                math.log((score if index == label else 1 - score) + 1e-7)
                for index, score in enumerate(scores)
            )
            found.append((cost, place, share))
        count = max(1, int(sum(sorted((share for *_, share in found), reverse=True)[:10])))
        for cost, place, share in sorted(found)[:count]:
            claims.setdefault((image, place), []).append((cost, truth, share))
    return {key: min(some)[1:] for key, some in claims.items()}


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 8))
def test_it_is_the_plain_reference(seed: int, images: int, most: int) -> None:
    raw, truths = case(seed, images, most)
    pairs = assigned_by_cost(raw, anchors(), truths)
    expected = plainly(raw, anchors(), truths)
    found = list(zip(pairs.images.tolist(), pairs.places.tolist(), strict=True))
    assert sorted(found) == sorted(expected)
    for key, truth, target in zip(found, pairs.truths.tolist(), pairs.targets.tolist(), strict=True):
        assert expected[key][0] == truth
        assert target == pytest.approx(expected[key][1], rel=1e-6)


@settings(max_examples=30)
@given(st.floats(0, 80), st.floats(0, 80), st.floats(0.1, 90), st.floats(0.1, 90))
def test_every_object_with_an_area_is_learned(left: float, top: float, width: float, height: float) -> None:
    """However small or narrow: what no anchor comes near is learned by the nearest shape."""
    raw, _ = case(0, 1, 0)
    box = torch.tensor([[left, top, min(left + width, SIDE), min(top + height, SIDE)]], dtype=torch.float64)
    truths = Truths(box, torch.tensor([1]), torch.tensor([0]), 1)
    assert len(assigned_by_cost(raw, anchors(), truths)) >= 1


def test_an_object_without_area_is_left_alone() -> None:
    raw, _ = case(0, 1, 0)
    empty = torch.tensor([[8.0, 8, 8, 8], [30, 30, 30, 60]], dtype=torch.float64)
    truths = Truths(empty, torch.tensor([1, 0]), torch.tensor([0, 0]), 1)
    assert len(assigned_by_cost(raw, anchors(), truths)) == 0


def test_each_learns_what_its_answers_are_decoded_to() -> None:
    """The boxes of the loss are those of the head's own decoding, place by place."""
    from signet.architectures.yolo_heads import AnchorHead

    torch.manual_seed(0)
    head = AnchorHead((8, 8, 8), CLASSES, tuple(sum(SHAPES[at : at + 3], ()) for at in (0, 3, 6))).eval()
    maps = [torch.randn(2, 8, 64 // stride, 96 // stride) for stride in (8, 16, 32)]
    with torch.no_grad():
        answers = head.raw(maps)
        decoded = head(maps)
    raw = torch.cat([one.flatten(1, 3) for one in answers], dim=1)
    known = head.anchors_of(answers)
    for image in range(2):
        boxes = known.boxes(raw[image, :, :4], torch.arange(raw.shape[1]))
        centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        torch.testing.assert_close(
            torch.cat([centres, sides], 1), decoded[image, :, :4], rtol=1e-5, atol=1e-3
        )
