"""The lengths of a resize as torchvision's detectors and transformers' DETR compute them, to the pixel."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet.errors import BadCard
from signet.preprocessing import resized_size
from signet.programs import Program
from signet.steps import Resize

SIDES = some.integers(1, 3000)


@given(SIDES, SIDES, some.sampled_from([(800, 1333), (320, 640), (48, 80)]))
def test_one_factor_is_that_of_torchvisions_detectors(
    height: int, width: int, limits: tuple[int, int]
) -> None:
    """Source: `_resize_image_and_masks`, then `interpolate(recompute_scale_factor=True)`."""
    short, longest = limits
    factor = min(short / min(height, width), longest / max(height, width))
    expected = math.floor(height * factor), math.floor(width * factor)
    step = Resize(short=short, longest=longest, lengths="factor")
    assert resized_size(step, (height, width)) == tuple(max(1, side) for side in expected)


@given(SIDES, SIDES, some.sampled_from([(800, 1333), (480, 640), (48, 80)]))
def test_the_short_side_first_is_the_rule_of_detr(height: int, width: int, limits: tuple[int, int]) -> None:
    transforms = pytest.importorskip("transformers.image_transforms")
    expected = transforms.get_size_with_aspect_ratio((height, width), *limits)
    step = Resize(short=limits[0], longest=limits[1], lengths="short")
    assert resized_size(step, (height, width)) == tuple(max(1, side) for side in expected)


@given(SIDES, SIDES)
def test_a_multiple_stretches_up(height: int, width: int) -> None:
    plain = resized_size(Resize(short=100), (height, width))
    whole = resized_size(Resize(short=100, multiple=32), (height, width))
    assert all(0 <= new - old < 32 and new % 32 == 0 for new, old in zip(whole, plain, strict=True))


def test_the_rules_survive_json_and_leave_older_programs_as_they_were() -> None:
    rows = [{"step": "read"}, {"step": "resize", "short": 8, "lengths": "factor", "multiple": 4}]
    (_, row) = Program.from_list(rows).to_list()
    assert (row["lengths"], row["multiple"]) == ("factor", 4)
    (_, row) = Program.from_list([{"step": "read"}, {"step": "resize", "short": 8}]).to_list()
    assert not {"lengths", "multiple"} & set(row)


@pytest.mark.parametrize("field", [{"lengths": "factor"}, {"multiple": 4}])
def test_they_are_of_fit_short(field: dict[str, object]) -> None:
    with pytest.raises(BadCard, match="of fit 'short'"):
        Program.from_list([{"step": "read"}, {"step": "resize", "fit": "stretch", "size": [4, 4], **field}])


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(BadCard, match="lengths is one of 'factor', 'short'"):
        Program.from_list([{"step": "read"}, {"step": "resize", "short": 4, "lengths": "long"}])
