"""Thirty-one planted faults are all found; the data without them raise no false alarm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from signet.auditing import audit, mended, write_table
from signet.datasets import open_dataset

MOST_FALSE_ALARMS = 2


@pytest.fixture(scope="module")
def faults(module_at):
    """The module tests/auditing/faults.py."""
    return module_at("signet_faults", Path(__file__).with_name("faults.py"))


def told(found, kind):
    """All that the findings of a kind say, as text."""
    return json.dumps([one.to_dict() for one in found.of(kind)])


def names_of(found, kind, folder):
    return {Path(source).relative_to(folder).as_posix() for one in found.of(kind) for source in one.sources}


def false_alarms(found, faults, folder):
    """Findings that somebody should act on, other than of what is really wrong in the data."""
    alarms = []
    for one in found.findings:
        if one.severity == "note":
            continue
        strange = names_of(found, one.kind, folder) - faults.KNOWN.get(one.kind, set())
        if strange or not one.sources:
            alarms.append((one.kind, sorted(strange)))
    return alarms


def planted(faults, shared, folder, most):
    ground = faults.Ground(shared, folder, most=most)
    return {what: (kind, plant(ground, label)) for what, kind, label, plant in faults.FAULTS}


def check_planted(faults, folder, expected, found):
    missed = [
        what
        for what, (kind, names) in expected.items()
        if not all(json.dumps(name)[1:-1] in told(found, kind) for name in names)
    ]
    assert missed == []
    every = {name for _, names in expected.values() for name in names}
    for kind in ("unreadable", "missing", "leak", "conflict", "groups apart"):
        strange = names_of(found, kind, folder) - faults.KNOWN.get(kind, set())
        assert {name for name in strange if Path(name).name not in every} == set()


def test_every_planted_fault_is_found_and_no_other_severe_one(faults, shared, tmp_path):
    assert len(faults.FAULTS) >= 30
    expected = planted(faults, shared, tmp_path / "data", 30)
    data = open_dataset(tmp_path / "data")
    found = audit(data, model=None)
    check_planted(faults, tmp_path / "data", expected, found)
    done = mended(data, found, drop_conflicts=True)
    again = audit(done.dataset, model=None)
    # What a table of splits can mend is mended; classes need images, or other names.
    assert {one.kind for one in again.findings if one.severity == "severe"} <= {
        "unlearned class",
        "tiny class",
    }
    write_table(done.dataset, tmp_path / "t.csv")
    assert open_dataset(tmp_path / "t.csv").split_counts == done.dataset.split_counts


def test_the_data_without_faults_raise_no_false_alarm(faults, shared, tmp_path):
    faults.Ground(shared, tmp_path / "data", most=30)
    found = audit(open_dataset(tmp_path / "data"), model=None)
    assert false_alarms(found, faults, tmp_path / "data") == []


def table(folder: Path, rows, columns="file,label,split,group"):
    """A dataset of smooth noise by a table of its own: (label, split, group) of each file."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [columns]
    for number, row in enumerate(rows):
        small = Pillow.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((32, 32), Pillow.Resampling.BICUBIC).save(folder / f"{number}.png")
        lines.append(",".join((f"{number}.png", *map(str, row))))
    (folder / "index.csv").write_text("\n".join(lines))
    return open_dataset(folder)


ROWS = [("ab"[n % 2], "train" if n < 30 else "test", "") for n in range(50)]


@pytest.mark.parametrize(
    ("kind", "severity", "rows", "columns"),
    [
        ("groups apart", "severe", [(*row[:2], n % 25) for n, row in enumerate(ROWS)], None),
        ("unlabelled", "warning", [("" if n == 3 else a, b, c) for n, (a, b, c) in enumerate(ROWS)], None),
        ("class mix", "warning", [*ROWS, *[("a", "test", "")] * 60], None),
        (
            "label order",
            "warning",
            [(n % 3, ("1", "10", "2")[n % 3], row[1]) for n, row in enumerate(ROWS)],
            "file,class_index,label,split",
        ),
    ],
)
def test_faults_of_tables(tmp_path, kind, severity, rows, columns):
    more = {} if columns is None else {"columns": columns}
    found = audit(table(tmp_path / "d", rows, **more), model=None)
    assert [(one.kind, one.severity) for one in found.findings if one.severity != "note"] == [
        (kind, severity)
    ]


def test_a_table_without_faults_has_no_finding(tmp_path):
    assert audit(table(tmp_path / "d", ROWS), model=None).findings == ()


def test_darker_test_pictures_are_drift(tmp_path):
    data = table(tmp_path / "d", ROWS)
    for entry in data.entries:
        if entry.split == "test":
            Pillow.open(entry.path).point(lambda value: value // 2).save(entry.path)
    found = audit(open_dataset(tmp_path / "d"), model=None)
    assert [one.kind for one in found.findings] == ["drift"]


@pytest.mark.large
def test_all_of_it_without_faults_and_then_with_wrong_labels(faults, shared, tmp_path):
    clean = tmp_path / "clean"
    faults.Ground(shared, clean)
    found = audit(open_dataset(clean))
    assert len(false_alarms(found, faults, clean)) <= MOST_FALSE_ALARMS
    assert names_of(found, "leak", clean) == faults.KNOWN["leak"]
    assert found.of("label suspects") == ()
    flipped = set()
    generator = np.random.default_rng(0)
    for label in faults.CLASSES:
        for path in generator.choice(sorted((clean / "train" / label).iterdir()), 12, replace=False):
            other = faults.CLASSES[(faults.CLASSES.index(label) + int(generator.integers(1, 10))) % 10]
            flipped.add(path.rename(clean / "train" / other / f"flip{path.name}").name)
    (suspects,) = audit(open_dataset(clean)).of("label suspects")
    listed = {Path(source).name for source in suspects.sources}
    assert len(listed & flipped) >= 0.3 * len(flipped)
    assert len(listed & flipped) >= 0.6 * len(listed)
    assert suspects.details["share_wrong"] == pytest.approx(len(flipped) / 5200, rel=0.4)


@pytest.mark.large
def test_every_planted_fault_is_found_in_all_of_it(faults, shared, tmp_path):
    expected = planted(faults, shared, tmp_path / "data", None)
    check_planted(faults, tmp_path / "data", expected, audit(open_dataset(tmp_path / "data")))
