"""Datasets that exist on paper only, and small ones of drawn pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from signet.auditing.observing import Look, Observed
from signet.datasets import Dataset, Entry
from signet.datasets.dataset import TRUTHS
from signet.fingerprints import Fingerprints

PLAIN = Look((32, 32), 1, False, False, 120.0, 50.0)


@pytest.fixture
def on_paper() -> Callable[..., Observed]:
    """`on_paper(classes, splits=, groups=, names=, labels=, looks=, digests=)`: files that nobody reads."""

    def make(classes: Sequence[tuple[int, ...]], **more: Any) -> Observed:
        count = len(classes)
        names = more.get("names") or [f"{place:05d}.jpg" for place in range(count)]
        most = max((index for one in classes for index in one), default=0)
        task = more.get("task", "classify")
        dataset: Dataset[Any] = Dataset(
            entries=tuple(
                Entry(Path("/data") / name, one, split, group)
                for name, one, split, group in zip(
                    names,
                    classes,
                    more.get("splits") or [None] * count,
                    more.get("groups") or [None] * count,
                    strict=True,
                )
            ),
            labels=tuple(more.get("labels") or [f"label {place}" for place in range(most + 1)]),
            source="/data",
            format="folder",
            root=Path("/data"),
            truth_of=TRUTHS[task],
            task=task,
            indices_given=more.get("indices_given", False),
            notes=more.get("notes", ()),
        )
        generator = np.random.default_rng(0)
        prints = Fingerprints(
            paths=dataset.paths,
            digests=tuple(more.get("digests") or [f"{place:064x}" for place in range(1, count + 1)]),
            hashes=generator.integers(0, 1 << 63, count, dtype=np.uint64),
            thumbnails=generator.integers(0, 256, (count, 16, 16), dtype=np.uint8),
            failures={},
        )
        return Observed(dataset, prints, tuple(more.get("looks") or [PLAIN] * count))

    return make


@pytest.fixture(scope="session")
def photograph() -> Callable[..., Any]:
    """`photograph(seed, size=(48, 48))`: a smooth coloured picture unlike that of any other seed."""

    def make(seed: int, size: tuple[int, int] = (48, 48)) -> Any:
        small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return Pillow.fromarray(small).resize(size, Pillow.Resampling.BICUBIC)

    return make
