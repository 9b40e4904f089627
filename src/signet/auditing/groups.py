"""Images that belong together (of one patient, one video), by a column or by their names, and where they are.

Names are believed by rule, so that a class or a camera's counter is not taken for a group:

1. A word for somebody or something that several pictures are taken of, with a number, in the name of a folder
   or file, and something besides that tells the pictures of one apart: `patient12_03.png`,
   `subject-07/left.png`, `video_3/frame_0012.jpg`. Words for persons hold
   across classes; those for films and scenes are of one class, and believed only where the pictures agree.
2. A numbered series: (nearly) every name ends in a number, what stands before it differs
   (`0001TP_006690.png`), and is no mere name of a class. Believed only where the pictures agree.

The pictures agree when images of different splits are each other's nearest, by their features, far more often
within a group than chance would have it among images of the same class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from signet.arrays import Floats
from signet.auditing.kinds import finding_of_groups
from signet.auditing.observing import Observed, split_words
from signet.datasets import Dataset
from signet.datasets.dataset import SPLIT_NAMES
from signet.datasets.findings import named
from signet.errors import MissingExtra
from signet.findings import Finding, Severity
from signet.naming import shown

PERSONS = ("patient", "subject", "subj", "participant", "volunteer", "driver", "speaker", "specimen", "case")
FILMS = ("video", "vid", "clip", "scene", "sequence", "seq", "session", "recording", "shot", "slide", "track")
"""Words before a number that name what several pictures are of."""

SERIES_SHARE = 0.9
"""Share of the names that must be numbered for a series to be believed."""

LIFT, CHANCE, LEAST_SHARE = 2.0, 1e-3, 0.1
"""How often nearest images must share a group: so many times what chance has, hardly by chance, and at least
so large a share."""

_MOST_COMPARED = 2000
_WORD = re.compile(
    rf"(?<![a-z])(?P<word>{'|'.join((*PERSONS, *FILMS))})s?[ _\-.]?(?P<id>\d+)(?!\d)", re.IGNORECASE
)
_SERIES = re.compile(r"^(?P<before>.*[^0-9].*?)(?P<number>\d{2,})$")


class Grouping(NamedTuple):
    """For each row its group or None; where that was seen; and whether only pictures make it believable."""

    groups: tuple[str | None, ...]
    words: str
    severity: Severity
    by_pictures: bool


def find_groups(seen: Observed, features: Floats | None) -> Iterator[Finding]:
    """Groups that lie in more than one split; groups that names show where there is no split yet.

    Args:
        seen: the dataset.
        features: float32 (N, D) of its files, by which pictures are compared; thumbnails when None.
    """
    dataset = seen.dataset
    for grouping in groupings(dataset):
        apart = _apart(dataset, grouping.groups)
        if not dataset.splits:
            if not any(dataset.groups) and not grouping.by_pictures:
                yield _known(seen, grouping)
        elif apart and (not grouping.by_pictures or pictures_agree(seen, grouping.groups, features)):
            yield _told(seen, grouping, apart)


def groupings(dataset: Dataset[Any]) -> list[Grouping]:
    """What belongs together in a dataset: by its own column, else by the names of its files."""
    if any(dataset.groups):
        return [Grouping(dataset.groups, "the column `group`", "severe", False)]
    names = [_below_class(dataset, place, name) for place, name in enumerate(dataset.names)]
    labels = [entry.classes for entry in dataset.entries]
    found = []
    for known, films in ((PERSONS, False), (FILMS, True)):
        groups = [word_group(name, known) for name in names]
        if films and dataset.task == "classify":
            words_of = [" and ".join(dataset.labels[index] for index in classes) for classes in labels]
            groups = [group and f"{group} of {words}" for group, words in zip(groups, words_of, strict=True)]
        if _useful(groups):
            found.append(Grouping(tuple(groups), "the file names", "severe", films))
    series = series_groups(names, labels if dataset.task == "classify" else None)
    if not found and series is not None:
        found.append(Grouping(series, "numbered series of file names", "warning", True))
    return found


def word_group(name: str, words: Sequence[str] = (*PERSONS, *FILMS)) -> str | None:
    """The group that a name tells of by a word and a number, or None.

    Args:
        name: relative, with forward slashes, without the folders of split and class.
        words: that may stand before the number.

    Example:
        >>> word_group("patient012_left.png"), word_group("patient012.png"), word_group("suitcase12_3.png")
        ('patient 12', None, None)
    """
    path = PurePosixPath(name)
    for depth, part in enumerate((*path.parts[:-1], path.stem)):
        for match in _WORD.finditer(part):
            word = match["word"].lower()
            rest = part[: match.start()] + part[match.end() :]
            in_folder = depth < len(path.parts) - 1
            if word in words and (in_folder or re.search(r"[A-Za-z0-9]", rest)):
                return f"{word} {int(match['id'])}"
    return None


def series_groups(
    names: Sequence[str], labels: Sequence[tuple[int, ...]] | None
) -> tuple[str | None, ...] | None:
    """For each name the series that it belongs to; None when the names are no series of several.

    Args:
        names: see `word_group`.
        labels: of the rows of a classification, to tell series from classes.
    """
    found = [_SERIES.match(PurePosixPath(name).stem) for name in names]
    series = [(match and match["before"].rstrip(" _-.")) or None for match in found]
    counts = Counter(one for one in series if one)
    if len(counts) < 2 or sum(counts.values()) < SERIES_SHARE * len(names):
        return None
    if sum(count for count in counts.values() if count > 1) < SERIES_SHARE * sum(counts.values()):
        return None  # most are alone: these are names, not series
    if labels is not None:
        classes_of: dict[str, set[tuple[int, ...]]] = {}
        for one, classes in zip(series, labels, strict=True):
            if one:
                classes_of.setdefault(one, set()).add(classes)
        of_one = sum(len(classes) == 1 for classes in classes_of.values())
        if of_one == len(classes_of) and len(counts) <= len(set(labels)):
            return None  # one series a class: it is the class's name
    return tuple(series)


def pictures_agree(seen: Observed, groups: Sequence[str | None], features: Floats | None) -> bool:
    """Whether images of different splits are nearest within their group far more often than by chance."""
    try:
        from scipy.stats import poisson
    except ImportError as error:
        raise MissingExtra("Comparing splits", "fit", "scipy") from error
    vectors = _vectors(seen, features)
    by_class: dict[object, list[int]] = {}
    for place in seen.readable.tolist():
        entry = seen.dataset.entries[place]
        if groups[place] is not None and entry.split is not None:
            by_class.setdefault(entry.classes if seen.dataset.task == "classify" else (), []).append(place)
    generator = np.random.default_rng(0)
    compared, hits, expected = 0, 0, 0.0
    for members in by_class.values():
        some = np.array(members)
        if len(some) > _MOST_COMPARED:
            some = np.sort(generator.choice(some, _MOST_COMPARED, replace=False))
        splits = np.array([seen.dataset.entries[place].split for place in some.tolist()])
        names = np.array([groups[place] for place in some.tolist()])
        other = splits[:, None] != splits[None]
        same = names[:, None] == names[None]
        usable = np.flatnonzero((other & same).any(axis=1))
        if not len(usable):
            continue
        likeness = np.where(other, vectors[some] @ vectors[some].T, -np.inf)
        nearest = likeness[usable].argmax(axis=1)
        hits += int(same[usable, nearest].sum())
        expected += float(((other & same).sum(axis=1) / other.sum(axis=1).clip(1))[usable].sum())
        compared += len(usable)
    if not compared:
        return False
    significant = float(poisson.sf(hits - 1, expected)) < CHANCE
    return significant and hits >= LIFT * expected and hits >= LEAST_SHARE * compared


def _vectors(seen: Observed, features: Floats | None) -> Floats:
    """Rows of length 1 without their common mean: features, or thumbnails."""
    rows = features if features is not None else seen.prints.thumbnails.reshape(len(seen), -1)
    centred = rows.astype(np.float32) - rows[seen.readable].mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-12), np.float32)


def _below_class(dataset: Dataset[Any], place: int, name: str) -> str:
    """A row's name without the folders that are its split and its class."""
    labels = {dataset.labels[index].casefold() for index in dataset.entries[place].classes}
    path = PurePosixPath(name)
    folders = [part for part in path.parts[:-1] if part.casefold() not in labels | SPLIT_NAMES.keys()]
    return PurePosixPath(*folders, path.name).as_posix()


def _useful(groups: Sequence[str | None]) -> bool:
    counts = Counter(group for group in groups if group is not None)
    return len(counts) > 1 and max(counts.values()) > 1


def _apart(dataset: Dataset[Any], groups: Sequence[str | None]) -> dict[str, list[int]]:
    """The groups that are in more than one split, with their positions."""
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        if group is not None and dataset.entries[place].split is not None:
            places.setdefault(group, []).append(place)
    return {
        group: some
        for group, some in places.items()
        if len({dataset.entries[place].split for place in some}) > 1
    }


def _told(seen: Observed, grouping: Grouping, apart: dict[str, list[int]]) -> Finding:
    total = len({group for group in grouping.groups if group is not None})
    files = sum(map(len, apart.values()))
    return finding_of_groups(
        "groups apart",
        f"{len(apart):,} of {total:,} groups, by {grouping.words}, are in more than one split, with "
        f"{files:,} images: {named(apart)}. A model knows them from training already when it is measured.",
        [seen.sources(places) for places in _members(grouping.groups, apart).values()],
        severity=grouping.severity,
        exhibits=[
            seen.exhibit(_some_of_each(seen, places), f"{shown(group)}: {split_words(seen.dataset, places)}")
            for group, places in apart.items()
        ],
        details={"groups": {group: len(places) for group, places in apart.items()}, "by": grouping.words},
    )


def _members(groups: Sequence[str | None], chosen: Collection[str]) -> dict[str, list[int]]:
    """The positions of some groups."""
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        if group is not None and group in chosen:
            places.setdefault(group, []).append(place)
    return places


def _some_of_each(seen: Observed, places: Sequence[int], most: int = 2) -> list[int]:
    """The first rows of a group in each split."""
    by_split: dict[str | None, list[int]] = {}
    for place in places:
        by_split.setdefault(seen.dataset.entries[place].split, []).append(place)
    return [place for some in by_split.values() for place in some[:most]]


def _known(seen: Observed, grouping: Grouping) -> Finding:
    counts = Counter(group for group in grouping.groups if group is not None)
    return finding_of_groups(
        "groups",
        f"{grouping.words.capitalize()} show {len(counts):,} groups of {sum(counts.values()):,} images: "
        f"{named(f'{group} ({count})' for group, count in counts.items())}.",
        [seen.sources(places) for places in _members(grouping.groups, counts).values()],
        details={"groups": dict(counts), "by": grouping.words},
    )
