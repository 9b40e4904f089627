"""Groups by column, by words in names, by numbered series; and what must not be taken for a group."""

import numpy as np
import pytest

from signet.auditing.groups import find_groups, groupings, pictures_agree, series_groups, word_group


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("patient12_03.png", "patient 12"),
        ("Patient-012_left.png", "patient 12"),
        ("subject_7/left.png", "subject 7"),
        ("scan_case3_slice10.png", "case 3"),
        ("video_3/frame_0012.jpg", "video 3"),
        ("clip07-000123.jpg", "clip 7"),
        ("patients1/a.png", "patient 1"),
        ("2021 seq.4 f9.png", "seq 4"),
    ],
)
def test_words_with_a_number_name_a_group(name, group):
    assert word_group(name) == group


@pytest.mark.parametrize(
    "name",
    [
        "patient12.png",  # nothing else: the number may count pictures
        "suitcase12_3.png",
        "showcase_2_b.png",
        "IMG_1234.jpg",
        "DSC00012.JPG",
        "0001.jpg",
        "n01440764_10026.JPEG",
        "cat_0001.jpg",
        "snapshot12_1.jpg",
        "patient_left.png",
    ],
)
def test_other_names_do_not(name):
    assert word_group(name) is None


def test_a_series_is_what_stands_before_the_number():
    names = [f"{video}_{frame:05d}.png" for video in ("0001TP", "0006R0") for frame in range(10)]
    assert series_groups(names, None) == ("0001TP",) * 10 + ("0006R0",) * 10


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([f"{n:04d}.jpg" for n in range(20)], None),  # numbers only
        ([f"IMG_{n:04d}.jpg" for n in range(20)], None),  # one counter for all
        ([f"{'cat' if n % 2 else 'dog'}_{n:04d}.jpg" for n in range(20)], [(n % 2,) for n in range(20)]),
        ([f"name{'abcdefghijklmnopqrst'[n]}_{n:02d}.jpg" for n in range(20)], None),  # each by itself
        ([f"holiday {'abc'[n % 3]}.jpg" for n in range(20)], None),  # no numbers
    ],
)
def test_what_is_no_series(names, labels):
    assert series_groups(names, labels) is None


def filmed(seed, alike):
    """Features of 8 films of 12 frames: alike within a film, or not."""
    generator = np.random.default_rng(seed)
    films = generator.normal(size=(8, 16))
    noise = generator.normal(size=(96, 16))
    return (films[np.arange(96) // 12] * alike + noise).astype(np.float32)


def test_pictures_confirm_a_series_or_do_not(on_paper):
    names = [f"{'abcdefgh'[place // 12] * 3}_{place:04d}.png" for place in range(96)]
    splits = ["train" if place % 3 else "test" for place in range(96)]
    seen = on_paper([(place % 2,) for place in range(96)], splits=splits, names=names)
    (found,) = find_groups(seen, filmed(0, 1.5))
    assert (found.kind, found.severity) == ("groups apart", "warning")
    assert set(found.details["groups"]) == {letter * 3 for letter in "abcdefgh"}
    assert len(found.sources) == 96
    assert [len(group) for group in found.together] == [12] * 8
    for seed in range(5):
        assert list(find_groups(seen, filmed(seed, 0))) == []
    (grouping,) = groupings(seen.dataset)
    assert not pictures_agree(seen, grouping.groups, filmed(1, 0))


def test_films_of_a_class_are_believed_where_their_pictures_agree(on_paper):
    names = [f"cat/video_{place // 12}/frame_{place}.png" for place in range(96)]
    splits = ["train" if place % 3 else "test" for place in range(96)]
    seen = on_paper([(0,)] * 96, splits=splits, names=names, labels=["cat"])
    (found,) = find_groups(seen, filmed(0, 1.5))
    assert found.severity == "severe"
    assert list(found.details["groups"]) == [f"video {number} of cat" for number in range(8)]
    assert list(find_groups(seen, filmed(1, 0))) == []


def test_the_column_counts_before_the_names(on_paper):
    names = [f"train/patient{place % 4}_{place}.png" for place in range(12)]
    splits = ["train"] * 6 + ["test"] * 6
    classes = [(0,)] * 12
    seen = on_paper(classes, splits=splits, names=names, groups=[str(place // 3) for place in range(12)])
    assert list(find_groups(seen, None)) == []
    (found,) = find_groups(on_paper(classes, splits=splits, names=names), None)
    assert found.severity == "severe"
    assert sorted(found.details["groups"]) == ["patient 0", "patient 1", "patient 2", "patient 3"]
    assert "by the file names" in found.message


def test_persons_hold_across_classes_and_are_told_before_there_is_a_split(on_paper):
    names = [f"{'ab'[place % 2]}/patient{place % 3}_{place}.png" for place in range(12)]
    seen = on_paper([(place % 2,) for place in range(12)], names=names, labels=["a", "b"])
    (found,) = find_groups(seen, None)
    assert (found.kind, found.severity) == ("groups", "note")
    assert found.details["groups"] == {"patient 0": 4, "patient 1": 4, "patient 2": 4}
    assert len(found.together) == 3


def test_numbers_that_begin_anew_in_each_folder_are_no_groups(on_paper):
    names = [f"{split}/cat/{place:04d}.jpg" for split in ("train", "test") for place in range(30)]
    seen = on_paper([(0,)] * 60, names=names, labels=["cat"], splits=["train"] * 30 + ["test"] * 30)
    assert groupings(seen.dataset) == []
