"""Which images the evidence inside the seal rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signet.finetuning.closing import COMPARED_IMAGES, compared_images
from signet.finetuning.partition import Part, Parts
from signet.fingerprints import Fingerprints
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
    chosen = compared_images(parts_of(count, validation))
    places = [int(path.stem) for path in chosen]
    assert len(set(places)) == expected
    allowed = range(count - validation, count) if validation else range(count)
    assert set(places) <= set(allowed)
    assert max(places) - min(places) > 0.9 * (len(allowed) - 1) - 1  # from all of them, evenly
