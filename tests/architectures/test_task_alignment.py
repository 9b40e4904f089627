"""Which place learns what, against a plain slow reference."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from signet.architectures.box_losses import overlap  # noqa: E402
from signet.architectures.task_alignment import TOP, assigned, ranks  # noqa: E402
from signet.architectures.truths import Truths  # noqa: E402

CLASSES = 3


def middles(side: int) -> Any:
    """Of places 8, 16 and 32 pixels apart."""
    maps = []
    for stride in (8, 16, 32):
        line = (torch.arange(side // stride, dtype=torch.float64) + 0.5) * stride
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        maps.append(torch.stack([columns.flatten(), rows.flatten()], dim=1))
    return torch.cat(maps)


def case(seed: int, images: int, most: int, side: int = 96) -> tuple[Any, Any, Any, Truths]:
    """Random truths, some tiny, some equal, and answers around each place; float64, so that none tie."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Any:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    places = middles(side)
    spread = 2 ** (random(images, len(places), 4) * 6)
    boxes = torch.cat([places - spread[..., :2], places + spread[..., 2:]], dim=2)
    scores = random(images, CLASSES, len(places))
    counts = torch.randint(0, most + 1, (images,), generator=generator)
    near = random(int(counts.sum()), 2) * (side - 8)
    far = (near + 2 ** (random(len(near), 2) * 7)).clamp(max=side)
    truths = Truths(
        torch.cat([near, far], dim=1),
        torch.randint(0, CLASSES, (len(near),), generator=generator),
        torch.repeat_interleave(torch.arange(images), counts),
        images,
    )
    return boxes, scores, places, truths


def plainly(boxes: Any, scores: Any, places: Any, truths: Truths) -> dict[tuple[int, int], tuple[int, float]]:
    """The same, place by place and box by box: (image, place) to (truth, target)."""
    claims: dict[tuple[int, int], list[tuple[float, float, int]]] = {}
    for truth, (box, label, image) in enumerate(
        zip(truths.boxes.tolist(), truths.labels.tolist(), truths.images.tolist(), strict=True)
    ):
        left, top, right, bottom = box
        middle, half = ((left + right) / 2, (top + bottom) / 2), (max(right - left, 8), max(bottom - top, 8))
        found = []
        for place, (x, y) in enumerate(places.tolist()):
            if abs(x - middle[0]) > half[0] / 2 or abs(y - middle[1]) > half[1] / 2:
                continue
            share = float(overlap(boxes[image, place][None], truths.boxes[truth][None]))
            alignment = float(scores[image, label, place]) ** 0.5 * share**6
            found.append((alignment, share, place))
        for alignment, share, place in sorted(found, reverse=True)[:10]:
            if alignment > 0:
                claims.setdefault((image, place), []).append((share, alignment, truth))
    won = {key: max(some) for key, some in claims.items()}
    taken = {}
    for key, (_, alignment, truth) in won.items():
        own = [(share, value) for share, value, other in won.values() if other == truth]
        taken[key] = (truth, alignment / max(value for _, value in own) * max(share for share, _ in own))
    return taken


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 12))
def test_it_is_the_plain_reference(seed: int, images: int, most: int) -> None:
    boxes, scores, places, truths = case(seed, images, most)
    pairs = assigned(boxes, scores, places, truths, 8.0)
    expected = plainly(boxes, scores, places, truths)
    found = list(zip(pairs.images.tolist(), pairs.places.tolist(), strict=True))
    assert sorted(found) == sorted(expected)
    for key, truth, target in zip(found, pairs.truths.tolist(), pairs.targets.tolist(), strict=True):
        assert expected[key][0] == truth
        assert target == pytest.approx(expected[key][1], rel=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_a_place_learns_one_object_and_an_object_has_few_places(seed: int) -> None:
    boxes, scores, places, truths = case(seed, 2, 30)
    pairs = assigned(boxes, scores, places, truths, 8.0)
    keys = list(zip(pairs.images.tolist(), pairs.places.tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    assert torch.equal(truths.images[pairs.truths], pairs.images)
    assert not len(pairs) or int(pairs.truths.bincount().max()) <= TOP
    assert ((pairs.targets > 0) & (pairs.targets <= 1)).all()


@settings(max_examples=30)
@given(st.floats(0, 92), st.floats(0, 92), st.floats(0.1, 4), st.floats(0.1, 4))
def test_an_object_smaller_than_a_cell_has_a_place(
    left: float, top: float, width: float, height: float
) -> None:
    boxes, scores, places, _ = case(0, 1, 0)
    # Every answer meets it.
    boxes[..., :2], boxes[..., 2:] = -1, 97
    box = torch.tensor([[left, top, left + width, top + height]], dtype=torch.float64)
    truths = Truths(box, torch.tensor([1]), torch.tensor([0]), 1)
    assert len(assigned(boxes, scores, places, truths, 8.0)) >= 1


def test_an_object_without_area_and_an_answer_that_misses_are_left_alone() -> None:
    boxes, scores, places, _ = case(0, 1, 0)
    truths = Truths(
        torch.tensor([[4.0, 4, 4, 4], [40, 40, 60, 40]]), torch.tensor([0, 1]), torch.tensor([0, 0]), 1
    )
    assert len(assigned(boxes, scores, places, truths, 8.0)) == 0
    whole = Truths(torch.tensor([[8.0, 8, 24, 24]]), torch.tensor([0]), torch.tensor([0]), 1)
    assert len(assigned(boxes * 0 + 90, scores, places, whole, 8.0)) == 0


def test_ranks_count_what_is_higher_in_the_group() -> None:
    groups = torch.tensor([2, 0, 2, 0, 2, 7])
    values = torch.tensor([0.5, 0.1, 0.9, 0.1, 0.5, 0.0])
    assert ranks(groups, values).tolist() == [1, 0, 0, 1, 2, 0]
    assert ranks(groups[:0], values[:0]).tolist() == []
