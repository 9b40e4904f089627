"""The same picture more than once: within a split, across splits, under two labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from signet.auditing.kinds import finding_of_groups
from signet.auditing.observing import Observed, split_words
from signet.datasets.findings import named
from signet.findings import Finding


def find_copies(seen: Observed) -> Iterator[Finding]:
    """Leaks, conflicts, copies and near copies; each group is told once, as the worst that it is."""
    groups = copied(seen)
    leaks = [group for group in groups if len(_splits(seen, group)) > 1]
    if leaks:
        yield _leak(seen, leaks)
    exact = identical(seen)
    conflicts = [group for group in exact if _differ(seen, group)]
    if conflicts:
        yield _told(seen, "conflict", conflicts, "identical files with different truths")
    settled = {place for group in (*leaks, *conflicts) for place in group}
    # Frames of one scene have other boxes and other outlines, and rightly so; not other classes.
    near_conflicts = [group for group in groups if seen.dataset.task == "classify" and _differ(seen, group)]
    near_conflicts = [group for group in near_conflicts if not settled.issuperset(group)]
    near_conflicts = [group for group in near_conflicts if not _identical_parts_explain(seen, group)]
    if near_conflicts:
        yield _told(seen, "near conflict", near_conflicts, "near copies with different classes")
        settled |= {place for group in near_conflicts for place in group}
    copies = [group for group in exact if not settled.intersection(group)]
    if copies:
        yield _told(seen, "copies", copies, "identical files in one split")
        settled |= {place for group in copies for place in group}
    near = [group for group in groups if not settled.issuperset(group) and len(_splits(seen, group)) < 2]
    if near:
        yield _told(seen, "near copies", near, "near copies in one split")


def copied(seen: Observed) -> list[list[int]]:
    """The positions of each picture that is there more than once, identical or nearly so."""
    return _several(seen.groups.tolist())


def identical(seen: Observed) -> list[list[int]]:
    """The positions of each file that is there more than once, byte by byte."""
    return _several([digest or None for digest in seen.prints.digests])


def _several(keys: Sequence[object]) -> list[list[int]]:
    members: dict[object, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            members.setdefault(key, []).append(place)
    return [places for places in members.values() if len(places) > 1]


def _splits(seen: Observed, group: Sequence[int]) -> set[str]:
    return {split for place in group if (split := seen.dataset.entries[place].split) is not None}


def _differ(seen: Observed, group: Sequence[int]) -> bool:
    # An image that nobody labelled contradicts no other.
    return len({seen.truths[place] for place in group if seen.truths[place] != ()}) > 1


def _identical_parts_explain(seen: Observed, group: Sequence[int]) -> bool:
    """Whether the truths of a group differ only within its identical files, which is told as a conflict."""
    digests = seen.prints.digests
    truths: dict[str, set[object]] = {}
    for place in group:
        truths.setdefault(digests[place], set()).add(seen.truths[place])
    return len({frozenset(found) for found in truths.values()}) == 1


def _leak(seen: Observed, leaks: list[list[int]]) -> Finding:
    digests = seen.prints.digests
    exact = sum(len({digests[place] for place in group}) == 1 for group in leaks)
    files = sum(map(len, leaks))
    message = (
        f"{len(leaks):,} pictures are in more than one split, in {files:,} files ({exact:,} of them as "
        f"identical files, {len(leaks) - exact:,} as near copies): {_examples(seen, leaks)}. What is "
        "measured on them favours what has learned them by heart."
    )
    return finding_of_groups(
        "leak",
        message,
        [seen.sources(group) for group in leaks],
        exhibits=[seen.exhibit(group, split_words(seen.dataset, group)) for group in leaks],
        details={"pictures": len(leaks), "identical": exact, "near": len(leaks) - exact},
    )


def _told(seen: Observed, kind: str, groups: list[list[int]], words: str) -> Finding:
    return finding_of_groups(
        kind,
        f"{len(groups):,} pictures are there several times, as {words}: {_examples(seen, groups)}.",
        [seen.sources(group) for group in groups],
        exhibits=[seen.exhibit(group) for group in groups],
        details={"pictures": len(groups)},
    )


def _examples(seen: Observed, groups: list[list[int]]) -> str:
    names = seen.dataset.names
    return named(" = ".join(names[place] for place in group[:3]) for group in groups)
