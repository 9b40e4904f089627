"""Right numbers are never refused, however careless; numbers of another kind always are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.datasets.audits import audit_boxes, corners_of
from signet.datasets.findings import RULES, Findings, few
from signet.errors import BadDataset

SEEDS = st.integers(0, 2**32 - 1)


def made(seed, count=200):
    """Corners inside images of several sizes, of all sizes, many at the edges; and the images' sides."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(100, 2000, (count, 2)).astype(float)
    sides = sizes * rng.uniform(0.01, 0.9, (count, 2)) ** 2
    low = rng.uniform(-0.2, 1.2, (count, 2)).clip(0, 1) * (sizes - sides)
    return np.hstack([low, low + sides]), sizes


def stated(xyxy, convention):
    low, high = xyxy[:, :2], xyxy[:, 2:]
    return {
        "xyxy": xyxy,
        "xywh": np.hstack([low, high - low]),
        "cxcywh": np.hstack([(low + high) / 2, high - low]),
    }[convention]


@given(seed=SEEDS, convention=st.sampled_from(["xyxy", "xywh", "cxcywh"]), shift=st.floats(-0.015, 0.015))
def test_careless_boxes_are_never_refused(seed, convention, shift):
    xyxy, sizes = made(seed)
    boxes = stated(xyxy + shift * np.hstack([sizes, sizes]), convention)
    audit_boxes(boxes, sizes, convention, "here")


@given(seed=SEEDS, pair=st.sampled_from([("xyxy", "xywh"), ("xywh", "xyxy"), ("xyxy", "cxcywh")]))
def test_boxes_of_another_kind_are_always_refused(seed, pair):
    really, declared = pair
    xyxy, sizes = made(seed)
    with pytest.raises(BadDataset, match="got numbers that look like"):
        audit_boxes(stated(xyxy, really), sizes, declared, "here")


@given(seed=SEEDS, convention=st.sampled_from(["xyxy", "xywh", "cxcywh"]))
def test_each_kind_has_the_same_corners(seed, convention):
    xyxy, _ = made(seed, 20)
    np.testing.assert_allclose(corners_of(stated(xyxy, convention), convention), xyxy, atol=1e-9)


def test_swapped_corners_are_no_other_kind():
    xyxy, sizes = made(0)
    audit_boxes(xyxy[:, [2, 3, 0, 1]], sizes, "xyxy", "here")


def test_what_a_few_are():
    assert [few(3, 3), few(4, 4), few(4, 200), few(5, 200)] == [True, False, True, False]


def test_findings_count_and_name_the_first_few():
    findings = Findings()
    for number in range(9):
        findings.add("no area", f"{number}\n.jpg", 2)
    findings.add("missing", "x", 0)
    assert findings.notes == (
        f"18 {RULES['no area']}: 0\\n.jpg, 1\\n.jpg, 2\\n.jpg, 3\\n.jpg, 4\\n.jpg and more.",
    )
    assert (findings.count("no area"), findings.count("missing")) == (18, 0)
