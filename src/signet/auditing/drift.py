"""Whether the images of one split are of another kind than those of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.auditing.kinds import finding
from signet.auditing.observing import Look, Observed, split_places
from signet.findings import Finding
from signet.metrics.ranking import area_under_roc
from signet.naming import shown
from signet.probing import ProbeSettings, fit_probe, folds_of
from signet.progress import OnProgress, silent
from signet.records import Interval

LEAST_AREA = 0.6
"""Lower end of the area under the curve from which on two splits differ."""

LEAST_SHIFT = 0.5
"""Difference of two means, in standard deviations, from which on they differ."""

LEAST_IMAGES, MOST_IMAGES = 20, 2000
"""Images of a split below which nothing is said, and of which more are not looked at."""

_STRENGTHS = (1.0, 0.1, 0.01)
_FIGURES: dict[str, Callable[[Look], float]] = {
    "brightness": lambda look: look.brightness,
    "contrast": lambda look: look.contrast,
    # Sizes are compared by their ratio.
    "size": lambda look: float(np.log(look.size[0] * look.size[1]) / 2),
}


def find_drift(
    seen: Observed, features: Floats | None, *, seed: int = 0, on_progress: OnProgress = silent
) -> Iterator[Finding]:
    """Each other split compared with train (or, without one, with the largest).

    Args:
        seen: the dataset.
        features: float32 (N, D) of its files; only brightness, contrast and size are compared when None.
        seed: of the sample and the folds.
        on_progress: told while probes are fitted.
    """
    usable = set(seen.readable.tolist())
    splits = {
        name: np.array([place for place in places.tolist() if place in usable], np.int64)
        for name, places in split_places(seen.dataset).items()
    }
    splits = {name: places for name, places in splits.items() if len(places) >= LEAST_IMAGES}
    if len(splits) < 2:
        return
    base = "train" if "train" in splits else max(splits, key=lambda name: len(splits[name]))
    for name, places in splits.items():
        if name == base:
            continue
        one, two = matched(seen, splits[base], places, seed)
        if min(len(one), len(two)) < LEAST_IMAGES:
            continue
        shifts = {figure: _shift(seen, one, two, take) for figure, take in _FIGURES.items()}
        area = None if features is None else told_apart(seen, features, (one, two), seed, on_progress)
        drifted = area is not None and area.low >= LEAST_AREA
        moved = [figure for figure, shift in shifts.items() if abs(shift) >= LEAST_SHIFT]
        if drifted or moved:
            yield _told((base, name), area, shifts, moved)


def matched(seen: Observed, one: Integers, two: Integers, seed: int) -> tuple[Integers, Integers]:
    """As many images of each class from either side, so that other shares of classes are no drift."""
    generator = np.random.default_rng(seed)
    sides = [generator.permutation(one), generator.permutation(two)]
    if seen.dataset.task != "classify":
        return sides[0][:MOST_IMAGES], sides[1][:MOST_IMAGES]
    keys: list[dict[tuple[int, ...], list[int]]] = []
    for side in sides:
        by_class: dict[tuple[int, ...], list[int]] = {}
        for place in side.tolist():
            by_class.setdefault(seen.dataset.entries[place].classes, []).append(place)
        keys.append(by_class)
    chosen: tuple[list[int], list[int]] = ([], [])
    for classes in sorted(keys[0].keys() & keys[1].keys()):
        count = min(len(keys[0][classes]), len(keys[1][classes]))
        chosen[0].extend(keys[0][classes][:count])
        chosen[1].extend(keys[1][classes][:count])
    some = generator.permutation(len(chosen[0]))[:MOST_IMAGES]
    return np.array(chosen[0], np.int64)[some], np.array(chosen[1], np.int64)[some]


def told_apart(
    seen: Observed, features: Floats, sides: tuple[Integers, Integers], seed: int, on_progress: OnProgress
) -> Interval:
    """How well a cross-validated probe tells two sides apart: area under its curve, 0.5 for not at all."""
    places = np.concatenate(sides)
    targets = np.repeat([0, 1], [len(sides[0]), len(sides[1])])
    settings = ProbeSettings(strengths=_STRENGTHS, seed=seed)
    names = seen.dataset.names
    folds = folds_of(
        targets, settings, [names[place] for place in places.tolist()], seen.units[places].tolist()
    )
    probe = fit_probe(features[places], targets, 2, folds=folds, settings=settings, on_progress=on_progress)
    return area_under_roc(probe.out_of_fold[:, 1] - probe.out_of_fold[:, 0], targets == 1)


def _shift(seen: Observed, one: Integers, two: Integers, take: Callable[[Look], float]) -> float:
    """How far the mean of a figure moves from one side to the other, in standard deviations of both."""
    first, second = (_values(seen, side, take) for side in (one, two))
    spread = float(np.sqrt((first.var() + second.var()) / 2))
    gap = float(second.mean() - first.mean())
    # Where nothing varies, any difference is a whole one; less than this is rounding.
    return gap / spread if spread > 1e-6 else float(np.sign(gap)) * (abs(gap) > 1e-6)


def _values(seen: Observed, places: Integers, take: Callable[[Look], float]) -> Array:
    looks = (seen.looks[place] for place in places.tolist())
    return np.array([take(look) for look in looks if look is not None])


def _told(
    names: tuple[str, str], area: Interval | None, shifts: dict[str, float], moved: Sequence[str]
) -> Finding:
    said = []
    if area is not None and area.low >= LEAST_AREA:
        said.append(
            f"a probe tells them apart with an area under the curve of {area.value:.2f} (95 % interval "
            f"{area.low:.2f} to {area.high:.2f}; 0.50 is chance)"
        )
    said += [f"mean {figure} differs by {shifts[figure]:+.1f} standard deviations" for figure in moved]
    return finding(
        "drift",
        f"Images of {shown(names[1])} are of another kind than those of {shown(names[0])}: "
        f"{'; '.join(said)}.",
        details={
            "splits": list(names),
            "area": None if area is None else area.to_dict(),
            "shifts": {figure: round(shift, 4) for figure, shift in shifts.items()},
        },
    )
