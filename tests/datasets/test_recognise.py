"""The format of a dataset is recognised, said, and can be forced."""

from __future__ import annotations

import pytest

from signet.datasets import open_dataset
from signet.datasets.recognise import recognise
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
