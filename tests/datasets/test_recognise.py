"""The format of a dataset is recognised, said, and can be forced."""

from __future__ import annotations

import pytest

from signet.datasets import open_dataset
from signet.datasets.recognise import FORMATS, Recognition, recognise
from signet.errors import BadDataset, UnknownName


@pytest.fixture
def folder(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").touch()
    return tmp_path


def test_a_folder(folder):
    data = open_dataset(folder)
    assert data.format == "folder"
    assert data.notes[0] == "Read as a folder of classes: it is a folder without a table of files."


def test_a_table(folder):
    (folder / "index.csv").write_text("file,label\na/1.jpg,x\nb/1.jpg,y\n")
    assert recognise(folder).format == "csv"
    assert open_dataset(folder / "index.csv").labels == open_dataset(folder).labels == ("x", "y")
    assert open_dataset(folder).notes[0] == (
        "Read as a table of files and classes: the folder holds the table index.csv."
    )
    forced = open_dataset(folder, "folder")
    assert forced.labels == ("a", "b")
    assert "the format was given" in forced.notes[0]


def test_a_table_of_something_else(folder):
    (folder / "labels.csv").write_text("id,colour\n1,red\n")
    found = recognise(folder)
    assert found.format == "folder"
    assert "its labels.csv does not list files" in found.why


def test_what_is_no_dataset(folder):
    with pytest.raises(BadDataset, match="there is no such path"):
        open_dataset(folder / "none")
    with pytest.raises(BadDataset, match=r"got a file that ends in \.jpg"):
        open_dataset(folder / "a" / "1.jpg")
    with pytest.raises(UnknownName, match=r"No dataset format named 'csvs'\. Did you mean 'csv'"):
        open_dataset(folder, "csvs")


def test_files_and_folders_of_objects(folder):
    objects = folder / "objects"
    objects.mkdir()
    (objects / "notes.json").write_text('{"images": 1}')
    assert recognise(objects).format == "folder"
    (objects / "train-annotations-bbox.csv").write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n")
    assert recognise(objects) == Recognition(
        "open-images", "train-annotations-bbox.csv has the columns of Open Images"
    )
    (objects / "a.xml").write_text("<annotation></annotation>")
    assert recognise(objects) == Recognition("voc", "it holds XML files of annotations")
    (objects / "data.yaml").write_text("names: [a]")
    assert recognise(objects) == Recognition("yolo", "the folder holds data.yaml")
    (objects / "notes.json").write_text('{"images": [], "categories": []}')
    assert recognise(objects) == Recognition("coco", "notes.json has the sections of a COCO file")
    assert recognise(objects / "data.yaml").format == "yolo"
    assert recognise(objects / "notes.json").format == "coco"
    assert recognise(objects / "train-annotations-bbox.csv").format == "open-images"


def test_folders_called_images_and_labels_may_be_classes(folder):
    for name in ("images", "labels"):
        (folder / name).mkdir()
        (folder / name / "1.jpg").touch()
    found = recognise(folder)
    assert found.format == "folder"
    assert open_dataset(folder).labels == ("a", "b", "images", "labels")


def test_every_format_has_an_adapter_that_says_what_it_expected(tmp_path):
    for name in FORMATS:
        with pytest.raises(BadDataset, match="expected"):
            open_dataset(tmp_path, name)
