"""Which images the evidence inside the seal rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signet.finetuning.closing import COMPARED_IMAGES, compared_places, unseen_by
from signet.finetuning.partition import Part, Parts
from signet.fingerprints import Fingerprints
from signet.probing import fit_probe
from signet.running import EVIDENCE_IMAGES


def parts_of(count: int, validation: int) -> Parts:
    paths = tuple(Path(f"{place}.png") for place in range(count))
    blank = np.zeros((count, 16, 16), np.uint8)
    return Parts(
        labels=("a", "b"),
        development=Part(paths, np.arange(count) % 2),
        digests=("0" * 64,) * count,
        folds=np.zeros(count, np.int64),
        validation=np.arange(count - validation, count),
        test=None,
        held_out=False,
        fingerprints=Fingerprints(paths, ("",) * count, np.zeros(count, np.uint64), blank, {}),
        unreadable=(),
        notes=(),
    )


@pytest.mark.parametrize(
    ("count", "validation", "expected"), [(2000, 600, 250), (2000, 30, 30), (2000, 0, 250), (40, 0, 40)]
)
def test_bf16_is_compared_on_images_that_nothing_learned_from(count, validation, expected):
    assert COMPARED_IMAGES >= EVIDENCE_IMAGES
    places = compared_places(parts_of(count, validation)).tolist()
    assert len(set(places)) == expected
    allowed = range(count - validation, count) if validation else range(count)
    assert set(places) <= set(allowed)
    assert max(places) - min(places) > 0.9 * (len(allowed) - 1) - 1  # from all of them, evenly


def test_the_probe_that_is_sealed_is_asked_as_one_that_did_not_learn_from_the_images():
    features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    targets = (features[:, 0] > 0).astype(np.int64)
    alone = parts_of(60, 0)
    probe = fit_probe(features, targets, 2, folds=np.arange(60) % 3)
    none = np.zeros((0, 2), np.float32)
    assert np.array_equal(unseen_by(probe, np.arange(60), alone, none), probe.out_of_fold)

    beside = parts_of(60, 12)  # beside a training: the last twelve decided
    known = np.arange(48)
    probe = fit_probe(features[known], targets[known], 2, folds=np.arange(48) % 3)
    deciding = probe.logits(features[beside.validation])
    found = unseen_by(probe, known, beside, deciding)
    assert np.array_equal(found[beside.validation], deciding)
    assert np.array_equal(found[known], probe.out_of_fold)


def test_of_a_class_in_one_fold_alone_nothing_is_known():
    features = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    targets = np.array([0, 0, 0, 1, 1, 1, 2])
    probe = fit_probe(features, targets, 3, folds=np.array([0, 1, 2, 0, 1, 2, 0]))
    found = unseen_by(probe, np.arange(7), parts_of(7, 0), np.zeros((0, 3), np.float32))
    assert np.isnan(found[6]).all()
    assert np.isfinite(found[:6]).all()
