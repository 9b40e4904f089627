"""Who learns, who decides, who is kept for the end: no image twice, no copy on two sides."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import numpy as np
import pytest

from signet.datasets import from_csv, from_folder, open_dataset
from signet.errors import BadDataset
from signet.finetuning.partition import partition
from signet.progress import silent
from signet.recipes import Recipe

pytest.importorskip("imagehash")


def parts_of(folder, recipe=None, *, training=True):
    return partition(open_dataset(folder), recipe or Recipe(), training=training, on_progress=silent)


def test_a_test_split_is_taken_as_it_is_and_not_opened(shapes, monkeypatch):
    from signet import fingerprints

    opened = []
    real = fingerprints.read

    def spied(path, *rest, **named):
        opened.append(path)
        return real(path, *rest, **named)

    monkeypatch.setattr(fingerprints, "read", spied)
    parts = parts_of(shapes)
    assert len(parts.test) == 30
    assert not parts.held_out
    assert {path.parent.parent.name for path in opened} == {"train"}
    assert {path.parent.parent.name for path in parts.test.paths} == {"test"}


def test_training_and_validation_share_nothing(shapes):
    parts = parts_of(shapes)
    assert set(parts.training) | set(parts.validation) == set(range(60))
    assert not set(parts.training) & set(parts.validation)
    counts = np.bincount(parts.development.targets[parts.validation], minlength=3)
    assert counts.tolist() == [2, 2, 2]


def test_without_a_test_split_one_is_held_out_before_training(unsplit):
    parts = parts_of(unsplit)
    assert parts.held_out
    learned = set(parts.development.paths)
    assert not learned & set(parts.test.paths)
    assert len(learned) + len(parts.test) == 60
    assert np.bincount(parts.test.targets).tolist() == [4, 4, 4]


def test_a_probe_without_a_test_split_learns_from_all(unsplit):
    parts = parts_of(unsplit, training=False)
    assert parts.test is None
    assert len(parts.development) == 60
    assert len(parts.validation) == 0
    assert len(np.unique(parts.folds)) == 5


def test_an_own_validation_split_decides(make_shapes, tmp_path):
    folder = make_shapes(tmp_path, {"train": 6, "val": 3, "test": 2})
    parts = parts_of(folder)
    assert {parts.development.paths[place].parent.parent.name for place in parts.validation} == {"val"}
    assert len(parts.validation) == 9


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_on_one_side_and_in_one_fold(unsplit, tmp_path, seed):
    folder = shutil.copytree(unsplit, tmp_path / "data")
    for name in ("disc", "square", "stripes"):
        for number in range(6):
            source = folder / name / f"{number:03}.png"
            for copy in range(3):
                shutil.copy(source, folder / name / f"copy{copy} of {number:03}.png")
    parts = parts_of(folder, Recipe(seed=seed, validation_fraction=0.25))
    side = {}
    for place, path in enumerate(parts.development.paths):
        role = ("validation" if place in set(parts.validation.tolist()) else "training", parts.folds[place])
        key = (path.parent.name, path.name.split(" of ")[-1])
        assert side.setdefault(key, role) == role
    for path in parts.test.paths:
        assert (path.parent.name, path.name.split(" of ")[-1]) not in side
    assert any("copies" in note for note in parts.notes)


def test_groups_of_a_table_are_on_one_side(unsplit, tmp_path):
    rows = ["file,label,group"]
    for path in sorted(unsplit.rglob("*.png")):
        rows.append(f"{path},{path.parent.name},{path.parent.name}{int(path.stem) // 5}")
    table = tmp_path / "data.csv"
    table.write_text("\n".join(rows))
    dataset = from_csv(table)
    parts = partition(dataset, Recipe(validation_fraction=0.25), training=True, on_progress=silent)
    group = {entry.path: entry.group for entry in dataset.entries}
    sides = [
        {group[parts.development.paths[place]] for place in parts.training},
        {group[parts.development.paths[place]] for place in parts.validation},
        {group[path] for path in parts.test.paths},
    ]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 12


def test_the_order_of_the_files_does_not_matter(unsplit):
    dataset = from_folder(unsplit)
    order = np.random.default_rng(0).permutation(len(dataset))
    first, second = (
        partition(rows, Recipe(), training=True, on_progress=silent)
        for rows in (dataset, dataset.subset(order))
    )
    for one, other in (
        (first.test.paths, second.test.paths),
        (
            [first.development.paths[place] for place in first.validation],
            [second.development.paths[place] for place in second.validation],
        ),
    ):
        assert set(one) == set(other)


def test_hostile_files_are_counted_and_named(shapes, tmp_path, hostile_cases):
    folder = shutil.copytree(shapes, tmp_path / "data")
    for place, case in enumerate(hostile_cases):
        with suppress(OSError):  # folders, pipes and names that are too long
            if case.path.is_file():
                # Links: one of them is a file of 4 GB.
                os.link(case.path, folder / "train" / "disc" / f"odd{place}{case.path.suffix or '.jpg'}")
    parts = parts_of(folder)
    assert parts.unreadable
    assert all(row.error and row.truth == "disc" for row in parts.unreadable)
    bad = {row.source for row in parts.unreadable}
    assert not bad & {str(path) for path in parts.development.paths}
    assert all(parts.digests)


def test_rows_without_a_label_or_of_another_split_are_said(unsplit, tmp_path):
    rows = ["file,label,split"]
    for place, path in enumerate(sorted(unsplit.rglob("*.png"))):
        label = "" if place == 0 else path.parent.name
        split = ("train", "train", "extra")[place % 3]
        rows.append(f"{path},{label},{split}")
    table = tmp_path / "data.csv"
    table.write_text("\n".join(rows))
    notes = partition(from_csv(table), Recipe(), training=False, on_progress=silent).notes
    assert any("1 images without a label" in note for note in notes)
    assert any("other splits (extra)" in note for note in notes)


def test_a_long_list_of_labels_is_cut_to_those_in_use(unsplit, tmp_path):
    rows = ["file,class_index"]
    rows += [
        f"{path},{ {'disc': 3, 'square': 40, 'stripes': 900}[path.parent.name] }"
        for path in sorted(unsplit.rglob("*.png"))
    ]
    table = tmp_path / "data.csv"
    table.write_text("\n".join(rows))
    dataset = from_csv(table)
    parts = partition(dataset, Recipe(), training=True, on_progress=silent)
    assert parts.labels == tuple(dataset.labels[index] for index in (3, 40, 900))
    assert sorted(set(parts.development.targets.tolist())) == [0, 1, 2]
    assert sorted(set(parts.test.targets.tolist())) == [0, 1, 2]


def one_class(folder, source):
    shutil.copytree(source / "train" / "disc", folder / "disc")


def one_image(folder, source):
    shutil.copytree(source / "train" / "disc", folder / "disc")
    (folder / "lonely").mkdir()
    shutil.copy(source / "train" / "square" / "000.png", folder / "lonely")


def only_a_test(folder, source):
    shutil.copytree(source / "train", folder / "train")
    shutil.copytree(source / "test" / "disc", folder / "test" / "new class")


def none_readable(folder, source):
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.jpg").write_bytes(b"nothing")


def one_class_readable(folder, source):
    shutil.copytree(source / "train" / "disc", folder / "disc")
    (folder / "broken").mkdir()
    (folder / "broken" / "x.png").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (one_class, "at least 2 classes"),
        (one_image, "at least 2 readable images of each class.*'lonely'.*test split"),
        (only_a_test, "'new class'"),
        (none_readable, "none can be read.*first: "),
        (one_class_readable, "'broken'"),
    ],
)
def test_what_cannot_be_learned_from_says_why(make, words, shapes, tmp_path):
    folder = tmp_path / "data"
    make(folder, shapes)
    with pytest.raises(BadDataset, match=words):
        parts_of(folder, training=False)


def test_fractions_that_leave_nothing_are_refused(unsplit):
    with pytest.raises(BadDataset, match="too little to learn from"):
        parts_of(unsplit, Recipe(validation_fraction=0.5, test_fraction=0.4))


def test_a_class_that_only_the_validation_split_has_is_named(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 4, "val": 3})
    shutil.rmtree(folder / "train" / "stripes")
    with pytest.raises(BadDataset, match="every class to learn from, got none of 'stripes'"):
        parts_of(folder)
    assert "stripes" in parts_of(folder, training=False).labels  # a probe learns from both


def test_copies_of_an_own_validation_split_are_said_and_never_measured_on(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 12, "val": 4})
    for name in ("disc", "square", "stripes"):
        for number in range(4):
            shutil.copy(
                folder / "val" / name / f"{number:03}.png", folder / "train" / name / f"copy{number}.png"
            )
    parts = parts_of(folder, Recipe(test_fraction=0.4))
    assert parts.held_out
    assert not [path for path in parts.test.paths if path.name.startswith("copy")]
    assert any(note.startswith("12 of the 12 validation images are copies") for note in parts.notes)
    assert not any("none is parted" in note for note in parts.notes)


def table_of(folder, source, splits):
    """A CSV with indices: `splits` is {class: (index, split of its training images, of its test images)}."""
    rows = ["file,class_index,split"]
    for name, (index, first, second) in splits.items():
        for part, split in (("train", first), ("test", second)):
            rows += [f"{path},{index},{split}" for path in sorted((source / part / name).glob("*")) if split]
    table = folder / "data.csv"
    table.write_text("\n".join(rows))
    return table


def test_test_images_of_classes_that_are_not_learned_are_counted(shapes, tmp_path):
    table = table_of(
        tmp_path,
        shapes,
        {"disc": (0, "train", "test"), "square": (1, "train", "test"), "stripes": (2, "", "test")},
    )
    parts = parts_of(table)
    assert len(parts.test) == 20
    assert any(note.startswith("10 test images of classes that are not learned") for note in parts.notes)


def test_a_test_split_of_other_classes_only_is_refused(shapes, tmp_path):
    table = table_of(
        tmp_path, shapes, {"disc": (0, "train", ""), "square": (1, "train", ""), "stripes": (2, "", "test")}
    )
    with pytest.raises(BadDataset, match="got 10 of other classes only"):
        parts_of(table)
