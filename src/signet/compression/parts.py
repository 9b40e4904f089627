"""Which images calibrate and which judge: never the same, however they are named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet import storage
from signet.compression.settings import CALIBRATION_IMAGES
from signet.datasets import Dataset
from signet.errors import BadDataset, BadInput, BadRequest
from signet.evaluation.question import preferred
from signet.naming import shown
from signet.splitting import stratified_group_split


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Images for two purposes.

    Attributes:
        judged: the dataset's images that the gate measures on.
        calibration: files that set the ranges.
        notes: where both come from, in sentences.
    """

    judged: Dataset[Any]
    calibration: tuple[Path, ...]
    notes: tuple[str, ...]


def parts_of(
    dataset: Dataset[Any], split: str | None, calibration: Sequence[str | Path] | None, seed: int
) -> Parts:
    """Choose images for calibration and for the gate.

    Where calibration images are named, the gate has the whole part that `evaluate` would take. Else the train
    part calibrates where there is one; else a third of the images, dealt by class and group, and the rest
    judges.

    Args:
        dataset: with its truth.
        split: the part that judges; None takes "test", else "val", else all.
        calibration: named by the caller, or None.
        seed: of the deal and the draw.

    An image that would do both, by its content, only judges.

    Raises:
        UnknownName: no such split.
        BadDataset: too few images for both.
        BadRequest: all images that are named for calibration are among those that judge.
    """
    name = split or preferred(dataset)
    judged = dataset if name is None else dataset.select(name)
    if calibration is not None:
        chosen = _drawn([Path(one) for one in calibration], seed)
        notes = [f"Calibrated on {len(chosen)} of {len(calibration)} images that were named for it."]
    elif name is not None and "train" in dataset.splits and dataset.splits != (name,) and name != "train":
        train = dataset.select("train")
        chosen = _drawn(train.paths, seed)
        notes = [f"Calibrated on {len(chosen)} of the {len(train)} images of the train part."]
    else:
        judged, others = _dealt(judged, seed)
        chosen = _drawn(others.paths, seed)
        notes = [
            f"Calibrated on {len(chosen)} images of the dataset, judged on {len(judged)} others: it has no "
            "train part beside the one that judges, so its images were dealt by class."
        ]
    apart = _apart(chosen, judged)
    if len(apart) < len(chosen):
        notes.append(f"{len(chosen) - len(apart)} of these are among those that judge, and were left out.")
    if not apart:
        raise BadRequest(
            "calibration: expected other images than those that judge, and all of them do both. Name others "
            "for calibration, or another split to judge by."
        )
    return Parts(judged, apart, tuple(notes))


def all_judging(dataset: Dataset[Any], split: str | None) -> Parts:
    """All images of the part that `evaluate` would take, where nothing calibrates.

    Raises:
        UnknownName: no such split.
    """
    name = split or preferred(dataset)
    return Parts(dataset if name is None else dataset.select(name), (), ())


def fingerprint_of(paths: Sequence[Path]) -> str:
    """sha256 hex over the contents of files, in any order."""
    digests = sorted(filter(None, map(_digest, paths)))
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def _dealt(dataset: Dataset[Any], seed: int) -> tuple[Dataset[Any], Dataset[Any]]:
    """(those that judge, those that calibrate): by class, or where no class has two images by chance."""
    shares = {"judging": 2 / 3, "calibration": 1 / 3}
    for classes in ([entry.classes for entry in dataset.entries], [()] * len(dataset)):
        split = stratified_group_split(classes, shares, names=dataset.names, groups=dataset.groups, seed=seed)
        judging, others = (dataset.subset(split.indices(part)) for part in shares)
        if len(judging) and len(others):
            return judging, others
    raise BadDataset(
        f"{shown(dataset.source)}: expected at least two images that may be parted, some to judge by and "
        f"others to calibrate; got {len(dataset)}. Name others for calibration."
    )


def _drawn(paths: Sequence[Path], seed: int) -> tuple[Path, ...]:
    """At most as many as calibration takes, drawn evenly over all, in their order."""
    if len(paths) <= CALIBRATION_IMAGES:
        return tuple(paths)
    places = np.random.default_rng(seed).choice(len(paths), CALIBRATION_IMAGES, replace=False)
    return tuple(paths[place] for place in sorted(places.tolist()))


def _apart(calibration: Sequence[Path], judged: Dataset[Any]) -> tuple[Path, ...]:
    """Those that do not judge; a copy under another name is the same image."""
    judging = {_digest(path) for path in judged.paths}
    return tuple(path for path in calibration if (digest := _digest(path)) and digest not in judging)


def _digest(path: Path) -> str | None:
    try:
        return storage.digest_of(path)
    except BadInput:
        return None
