"""Real datasets of every task: what is really wrong in them is found, and nothing that is not."""

from pathlib import Path

import pytest

from signet.auditing import audit
from signet.datasets import open_dataset


def findings(shared, name):
    found = audit(open_dataset(shared / "data" / name), model=None)
    return {one.kind: one for one in found.findings if one.severity != "note"}


def names(finding):
    return {Path(source).name for source in finding.sources}


@pytest.mark.large
def test_frames_of_one_film_in_both_splits_are_found_by_their_names(shared):
    # The frames 0001TP are in train and test as the dataset's authors split them.
    found = findings(shared, "camvid_small")
    assert list(found) == ["groups apart"]
    assert list(found["groups apart"].details["groups"]) == ["0001TP"]


@pytest.mark.large
def test_one_field_of_blood_cells_is_in_two_splits(shared):
    # The two were looked at: the same cells, in and out of focus.
    found = findings(shared, "bccd")
    assert list(found) == ["leak"]
    assert names(found["leak"]) == {"BloodImage_00037.jpg", "BloodImage_00038.jpg"}


@pytest.mark.large
@pytest.mark.parametrize("name", ["coco_tiny", "nuclei_200"])
def test_nothing_is_severe_where_nothing_is(shared, name):
    assert not findings(shared, name).keys() - {"tiny class", "imbalance"}


def test_hostile_files_stop_no_audit(hostile_cases):
    root = hostile_cases[0].root
    rows = [f"{case.path.relative_to(root).as_posix()},a" for case in hostile_cases]
    rows = [row for row in rows if '"' not in row and "\n" not in row and row.count(",") == 1]
    rows = [row for row in rows if row.isprintable()]
    (root / "audited.csv").write_text("\n".join(["file,label", *dict.fromkeys(rows)]), encoding="utf-8")
    try:
        found = audit(open_dataset(root / "audited.csv"), model=None)
    finally:
        (root / "audited.csv").unlink()
    assert not found.ok
    broken = {
        source for kind in ("unreadable", "missing") for one in found.of(kind) for source in one.sources
    }
    assert 10 < len(broken) < found.images
