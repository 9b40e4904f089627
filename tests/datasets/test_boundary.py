"""Names from files never lead out of a dataset's folder; values from files are never trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from signet.datasets import from_coco, open_dataset
from signet.datasets.boundary import Folder, is_relative, number_of, parsed_number, size_of
from signet.datasets.findings import Findings
from signet.errors import BadDataset

PARTS = st.sampled_from(["..", ".", "a", "", "x.jpg", "C:", "\\", "/", "~", "%2e%2e"])


@given(st.lists(PARTS, max_size=6).map("/".join))
def test_a_relative_name_stays_below(name):
    if is_relative(name):
        place = Path("/top/of").joinpath(name.replace("\\", "/"))
        assert ".." not in place.parts
        assert place.is_relative_to("/top/of")


@pytest.mark.parametrize(
    "name", ["", "/a", "../a", "a/../../b", "\\a", "..\\a", "C:\\a", "C:a", "\\\\x\\y", "a\0"]
)
def test_names_that_are_refused(name):
    assert not is_relative(name)


def test_links_that_lead_out(tmp_path):
    top, outside = tmp_path / "top", tmp_path / "outside"
    for folder in (top / "in", outside):
        folder.mkdir(parents=True)
        (folder / "a.jpg").touch()
    (top / "file.jpg").symlink_to(outside / "a.jpg")
    (top / "folder").symlink_to(outside)
    (top / "inner.jpg").symlink_to(top / "in" / "a.jpg")
    (tmp_path / "linked").symlink_to(top)
    for root in (Folder(top), Folder(tmp_path / "linked")):
        findings = Findings()
        found = [
            root.find(name, (root.path,), findings)
            for name in ("in/a.jpg", "inner.jpg", "file.jpg", "folder/a.jpg", "none.jpg", "x" * 5000)
        ]
        assert [path is not None for path in found] == [True, True, False, False, False, False]
        assert (findings.count("leaving"), findings.count("missing")) == (2, 2)
        assert [path.name for path in root.images(root.path, findings)] == ["a.jpg", "inner.jpg"]
        assert findings.count("leaving") == 4


def test_numbers():
    assert [number_of(value) for value in (1, 2.5, True, None, "1", float("inf"), 10**400, [])] == [
        1, 2.5, None, None, None, None, None, None,
    ]  # fmt: skip
    assert [parsed_number(text) for text in ("1e2", " 3 ", "nan", "x", "", None, "9" * 500)] == [
        100, 3, None, None, None, None, None,
    ]  # fmt: skip
    assert [size_of(4, 3), size_of(4, None), size_of(0, 3), size_of("4", 3)] == [(3, 4), None, None, None]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just("a.png")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ("id", "file_name", "width", "height", "image_id", "category_id", "bbox", "segmentation", "name",
        "split", "area", "iscrowd", "counts", "size")  # fmt: skip
ROWS = st.lists(st.one_of(JSON, st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8)), max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("any")
    PillowImage.new("RGB", (9, 7)).save(place / "a.png")
    return place


@given(images=ROWS, annotations=ROWS, categories=ROWS, sound=st.booleans())
def test_any_json_is_a_dataset_or_an_error_in_words(folder, images, annotations, categories, sound):
    document = {"images": images, "annotations": annotations, "categories": categories}
    if sound:  # what lies behind the first checks is reached too
        document["images"] = [
            {"id": 1, "file_name": "a.png"},
            *(row for row in images if isinstance(row, dict)),
        ]
        document["categories"] = [{"id": 1, "name": "x"}]
        rows = [row for row in annotations if isinstance(row, dict)]
        document["annotations"] = [
            {"image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3], **row} for row in rows
        ]
    (folder / "x.json").write_text(json.dumps(document))
    try:
        data = from_coco(folder / "x.json")
    except BadDataset:
        return
    assert all(len(sample.truth) >= 0 for sample in data)
    assert data.fingerprint


@given(text=st.text(st.characters(max_codepoint=300), max_size=200))
def test_any_yaml_and_any_lines_are_a_dataset_or_an_error_in_words(folder, text):
    for name in ("data.yaml", "labels/a.txt"):
        place = folder / "yolo"
        (place / "labels").mkdir(parents=True, exist_ok=True)
        (place / "images").mkdir(exist_ok=True)
        PillowImage.new("RGB", (9, 7)).save(place / "images/a.png")
        (place / "data.yaml").write_text("names: [x]")
        (place / "labels/a.txt").write_text("0 0.5 0.5 0.5 0.5")
        (place / name).write_text(text, encoding="utf-8")
        try:
            data = open_dataset(place)
        except BadDataset:
            continue
        assert all(len(sample.truth) >= 0 for sample in data)
