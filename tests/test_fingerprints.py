"""Fingerprints of files, and splits that part no copies."""

from __future__ import annotations

import numpy as np
from PIL import Image

from signet.datasets import from_csv, from_folder
from signet.fingerprints import read_fingerprints, split_dataset


def _noise(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize(
        (64, 64), Image.Resampling.BICUBIC
    )


def test_unreadable_files_are_counted_and_named(hostile_cases):
    moments = []
    prints = read_fingerprints([case.path for case in hostile_cases], threads=2, on_progress=moments.append)
    assert len(prints) == len(hostile_cases)
    for case in hostile_cases:
        if case.expectation == "error" and not case.needs_unprivileged:
            assert case.says in prints.failures[case.path]
        elif case.expectation == "ok":
            assert case.path not in prints.failures
    unread = [i for i, digest in enumerate(prints.digests) if not digest]
    assert {prints.paths[i] for i in unread} == set(prints.failures)
    groups = prints.groups()
    assert all(groups[i] == i for i in unread)
    assert (moments[-1].done, moments[-1].total) == (len(hostile_cases), len(hostile_cases))
    assert [moment.done for moment in moments] == sorted(moment.done for moment in moments)


def test_nothing():
    prints = read_fingerprints([])
    assert len(prints) == 0
    assert prints.groups().tolist() == []


def test_copies_stay_on_one_side(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(12):
            picture = _noise(100 * ord(label) + i)
            picture.save(tmp_path / label / f"{i}.png")
            picture.resize((48, 48)).save(tmp_path / label / f"{i}_small.jpg", quality=60)
    data, split = split_dataset(from_folder(tmp_path), {"train": 0.75, "val": 0.25}, seed=5)
    sides = dict(zip(data.names, (entry.split for entry in data.entries), strict=True))
    assert data.split_counts == {"train": 36, "val": 12}
    for label in "ab":
        for i in range(12):
            assert sides[f"{label}/{i}.png"] == sides[f"{label}/{i}_small.jpg"]
    assert split.sentences(data.labels) == ()
    again, _ = split_dataset(from_folder(tmp_path), {"train": 0.75, "val": 0.25}, seed=5)
    assert again.fingerprint == data.fingerprint


def test_groups_of_ones_own_join_with_copies(tmp_path):
    for i in range(6):
        _noise(i).save(tmp_path / f"{i}.png")
    _noise(0).save(tmp_path / "copy.png")
    rows = ["0.png,x,p", "1.png,x,p", "copy.png,x,q", "2.png,x,q", "3.png,x,", "4.png,x,", "5.png,x,"]
    (tmp_path / "index.csv").write_text("file,label,group\n" + "\n".join(rows) + "\n")
    data, _ = split_dataset(from_csv(tmp_path), {"train": 1, "val": 1})
    sides = {name: entry.split for name, entry in zip(data.names, data.entries, strict=True)}
    assert len({sides[name] for name in ("0.png", "1.png", "copy.png", "2.png")}) == 1


def test_photographs_have_no_copies_among_them(shared):
    files = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))
    prints = read_fingerprints([*files, files[7]])
    assert not prints.failures
    assert prints.groups().tolist() == [*range(250), 7]
