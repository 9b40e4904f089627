"""Large tensors of the evidence: which values are kept, and that a change is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet import evidence_objects
from signet.sealing import SealSettings, seal
from signet.seals import Expected
from signet.seals.sampling import COUNT, Sample, found, kept, places
from signet.verification import verify

from .objects import make


@given(st.integers(1, 300_000))
def test_places_are_different_and_spread_evenly(size):
    chosen = places(size)
    assert len(chosen) == min(COUNT, size) == len(np.unique(chosen))
    assert 0 <= chosen.min() <= chosen.max() < size
    if size >= COUNT:
        shares = np.histogram(chosen, 16, (0, size))[0]
        assert shares.min() >= COUNT / 16 - 64


@given(st.integers(1, 90), st.integers(200, 4000))
def test_no_column_is_left_out(columns, rows):
    chosen = places(columns * rows)
    assert set((chosen % columns).tolist()) == set(range(columns))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.booleans())
def test_a_sample_knows_its_tensor(shape, whole):
    array = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8 if whole else np.float32)
    sample = found(kept("x", array, 0), "x")
    assert isinstance(sample, Sample)
    assert sample.difference(array) == 0
    assert sample.shape == array.shape
    changed = array.copy()
    changed.flat[-1] += 1
    assert sample.difference(changed) == 1
    assert sample.difference(array.reshape(-1, *array.shape)) is None


def test_one_pixel_that_no_place_shows_is_found_by_the_digest():
    array = np.zeros(70_000, np.uint8)
    sample = Sample.of(array)
    array[np.setdiff1d(np.arange(70_000), places(70_000))[0]] = 9
    assert sample.difference(array) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"x@shape": None},
        {"x@sha256": None},
        {"x@shape": np.array([[9]])},
        {"x@shape": np.array([-3, -3])},
        {"x@shape": np.array([2**40])},
        {"x@sha256": np.zeros(31, np.uint8)},
        {"x": None},
    ],
)
def test_half_a_sample_is_none(change):
    tensors = {**kept("x", np.zeros((3, 3), np.float32), 0), **change}
    assert found({key: value for key, value in tensors.items() if value is not None}, "x") is None


@pytest.mark.parametrize("kind", ["detect", "class_map"])
def test_a_seal_with_samples_only_passes_and_finds_another_contract(
    tmp_path, photos, monkeypatch, forge, kind
):
    monkeypatch.setattr(evidence_objects, "MOST_RAW", 0)
    monkeypatch.setattr(evidence_objects, "MOST_PREPARED", 0)
    sealed = seal(
        make(kind, tmp_path), photos, out=tmp_path / "s.signet", settings=SealSettings(bf16_images=0)
    )
    assert "0/resize@sha256" in Expected.from_file(sealed.expected).tensors
    for engine in ("onnx", "openvino"):
        verdict = verify(sealed, engine=engine, precision="fp32")
        assert verdict.ok, verdict.message
    if kind == "detect":
        forge(sealed.path, lambda m: m["card"]["output"]["nms"].update(iou=0.1))
        assert verify(sealed.path, engine="onnx").first_divergence == "answer"
    forge(sealed.path, lambda m: m["card"]["program"][2].update(anchor="center"))
    assert verify(sealed.path, engine="onnx").first_divergence == "resize"
