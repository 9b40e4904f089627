"""The sound rows: what is left out, what goes to which side, and the table that says so."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.auditing import audit, mended, write_table
from signet.auditing.mending import _splits
from signet.datasets import open_dataset
from signet.errors import AlreadyExists, BadDataset, WrongTask
from signet.findings import Audit


@pytest.fixture
def folder(photograph, tmp_path):
    """Two splits of two classes: a copy, a leak, a conflict, a near leak, patients apart, a broken file."""
    top = tmp_path / "data"
    number = 0
    for split, count in (("train", 14), ("test", 6)):
        for label in "ab":
            (top / split / label).mkdir(parents=True)
            for place in range(count):
                photograph(number).save(top / split / label / f"{place}.png")
                number += 1
    shutil.copy(top / "train/a/0.png", top / "train/a/copy.png")
    shutil.copy(top / "train/a/1.png", top / "test/a/leak.png")
    shutil.copy(top / "train/a/2.png", top / "train/b/conflict.png")
    photograph(300).save(top / "train/a/near.jpg", quality=95)
    photograph(300).save(top / "test/a/near.jpg", quality=40)
    for place, split in enumerate(("train", "train", "test")):
        photograph(400 + place).save(top / split / "b" / f"patient1_{place}.png")
    photograph(410).save(top / "train/b/patient2_0.png")
    (top / "train/a/broken.png").write_text("no picture")
    return top


def names(mend):
    return {
        f"{entry.split}:{name}" for entry, name in zip(mend.dataset.entries, mend.dataset.names, strict=True)
    }


def test_every_rule_and_an_audit_of_the_table_finds_nothing_severe(folder, tmp_path):
    data = open_dataset(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    found = audit(data, model=None)
    assert {one.kind for one in found.findings if one.severity == "severe"} == {
        "unreadable", "leak", "conflict", "groups apart",
    }  # fmt: skip
    done = mended(data, found, drop_conflicts=True)
    assert {reason: len(files) for reason, files in done.left_out.items()} == {
        "missing or unreadable": 1,
        "identical files with different truths": 2,
        "identical files of one truth, of which one is kept": 2,
    }
    left = names(done)
    assert "train:train/a/0.png" in left  # the first of two copies
    assert "test:test/a/leak.png" in left  # the test set stays whole
    assert not left & {"train:train/a/1.png", "train:train/a/copy.png", "train:train/a/broken.png"}
    assert {"test:train/a/near.jpg", "test:test/a/near.jpg"} <= left  # as many: to the smaller split
    assert {f"train:{split}/b/patient1_{n}.png" for n, split in enumerate(("train", "train", "test"))} <= left
    assert len(done.moved) == 2
    table = tmp_path / "mended.csv"
    write_table(done.dataset, table)
    again = open_dataset(table)
    assert [(e.split, e.group, again.labels[e.classes[0]]) for e in again.entries] == [
        (e.split, e.group, data.labels[e.classes[0]]) for e in done.dataset.entries
    ]
    assert [e.path.resolve() for e in again.entries] == [e.path.resolve() for e in done.dataset.entries]
    assert audit(again, model=None).ok
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    with pytest.raises(AlreadyExists):
        write_table(done.dataset, table)


def test_conflicts_and_suspects_stay_unless_they_are_to_be_dropped(folder):
    data = open_dataset(folder)
    found = audit(data, model=None)
    left = names(mended(data, found))
    assert {"train:train/a/2.png", "train:train/b/conflict.png"} <= left
    groups = {
        entry.group
        for entry in mended(data, found).dataset.entries
        if entry.path.name in ("2.png", "conflict.png")
    }
    assert "with train/a/2.png" in groups


def test_nothing_found_changes_nothing(on_paper):
    data = on_paper([(0,), (1,)], splits=["train", "test"], groups=["x", None]).dataset
    done = mended(data, Audit(dataset="d", images=2, findings=()))
    assert done.dataset.entries == data.entries
    assert done.words() == ("Nothing had to be left out or moved.",)


@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "val", "test", None]), st.integers(0, 5)), min_size=1, max_size=30
    )
)
def test_a_unit_is_on_one_side_and_rows_without_a_split_stay_so(rows):
    from pathlib import Path

    from signet.datasets import Dataset, Entry
    from signet.datasets.dataset import classes_of

    entries = tuple(Entry(Path(f"{n}.jpg"), (0,), split) for n, (split, _) in enumerate(rows))
    data = Dataset(
        entries=entries, labels=("a",), source="d", format="csv", root=Path("/"), truth_of=classes_of
    )
    found = _splits(data, range(len(rows)), [unit for _, unit in rows])
    assert [split is None for split in found] == [split is None for split, _ in rows]
    for unit in range(6):
        mine = {split for split, (_, one) in zip(found, rows, strict=True) if one == unit and split}
        assert len(mine) <= 1
        assert mine <= {split for split, one in rows if one == unit}


def test_what_a_table_cannot_hold_is_refused(on_paper, tmp_path):
    for label in ("a|b", " a", "a\n"):
        with pytest.raises(BadDataset, match="Rename it"):
            write_table(on_paper([(0,)], labels=[label]).dataset, tmp_path / "t.csv")
    with pytest.raises(WrongTask, match="to_coco"):
        write_table(on_paper([(0,)], task="detect").dataset, tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_class_indices_are_kept_where_the_dataset_states_them(on_paper, tmp_path):
    data = on_paper([(7,), (3,)], labels=[f"n{n}" for n in range(9)], indices_given=True).dataset
    write_table(data, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "file,class_index,label,split,group"
    assert ",7,n7,," in (tmp_path / "t.csv").read_text()


def test_a_dataset_of_which_nothing_would_be_left_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_text("nothing")
    data = open_dataset(tmp_path)
    with pytest.raises(BadDataset, match="none would be left"):
        mended(data, audit(data, model=None))
