"""Tables of files and classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from signet.datasets import from_csv
from signet.datasets.labels import read_labels
from signet.errors import BadDataset


@pytest.fixture
def table(tmp_path):
    """Writes a table beside files a.jpg to f.jpg, and gives its path."""
    for name in "abcdef":
        (tmp_path / f"{name}.jpg").touch()

    def write(text: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def _rows(data):
    return [(name, entry.classes) for name, entry in zip(data.names, data.entries, strict=True)]


def test_labels_by_name_in_natural_order(table):
    data = from_csv(table("file,label\na.jpg,10\nb.jpg,2\nc.jpg,10\n"))
    assert data.labels == ("2", "10")
    assert _rows(data) == [("a.jpg", (1,)), ("b.jpg", (0,)), ("c.jpg", (1,))]
    assert not data.indices_given
    assert data.exclusive
    assert data[0].truth.best == "10"


def test_the_index_wins_over_the_name(table):
    data = from_csv(table("path;class_index;label\na.jpg;3;crane\nb.jpg;1;crane\n"))
    assert _rows(data) == [("a.jpg", (3,)), ("b.jpg", (1,))]
    assert data.labels == ("class 0", "crane", "class 2", "crane")
    assert data.indices_given


def test_ambiguous_names_are_refused(table):
    names = ["crane", "heron", "crane"]
    with pytest.raises(BadDataset, match=r"line 3: the label 'crane' is ambiguous: the classes \[0, 2\]"):
        from_csv(table("file,label\na.jpg,heron\nb.jpg,crane\n"), labels=names)
    with pytest.raises(BadDataset, match=r"no class is named 'herron'\. Did you mean 'heron'"):
        from_csv(table("file,label\na.jpg,herron\n"), labels=names)
    assert _rows(from_csv(table("file,class_index\na.jpg,2\n"), labels=names)) == [("a.jpg", (2,))]


@pytest.mark.parametrize("text", [
    "file,label,split\na.jpg,x,train\nb.jpg,y,VALID\nc.jpg,x,\nd.jpg,y,holdout\n",
    "\ufeffFile;Label;Split\r\na.jpg;x;train\r\nb.jpg;y;valid\r\nc.jpg;x;\r\nd.jpg;y;holdout\r\n",
    " path \t label \tsplit\n\na.jpg\tx\tTrain\nb.jpg\t y\tdev\nc.jpg\tx\t\nd.jpg\ty\tholdout\n",
])  # fmt: skip
def test_separators_encodings_and_splits(table, text):
    data = from_csv(table(text))
    assert _rows(data) == [("a.jpg", (0,)), ("b.jpg", (1,)), ("c.jpg", (0,)), ("d.jpg", (1,))]
    assert [entry.split for entry in data.entries] == ["train", "val", None, "holdout"]
    assert data.splits == ("train", "val", "holdout")


def test_several_labels(table):
    data = from_csv(table("file,label\na.jpg,sky|sea\nb.jpg,sea\nc.jpg,\n"))
    assert not data.exclusive
    assert data.labels == ("sea", "sky")
    assert [entry.classes for entry in data.entries] == [(1, 0), (0,), ()]
    truth = data[0].truth
    assert not truth.exclusive
    assert set(truth.labels) == {"sky", "sea"}
    assert truth.scores.tolist() == [1, 1]
    assert len(data[2].truth) == 0
    with pytest.raises(BadDataset, match="multi-label"):
        data.targets  # noqa: B018
    by_index = from_csv(table("file,class_index,name\na.jpg,1|3,sky|sea\nb.jpg,3,sea\n"))
    assert by_index.labels == ("class 0", "sky", "class 2", "sea")


def test_groups_and_unlabelled(table):
    data = from_csv(table("file,label,group\na.jpg,x,p1\nb.jpg,,p1\nc.jpg,y,\n"))
    assert data.groups == ("p1", "p1", None)
    assert data[1].truth is None
    assert data.targets.tolist() == [0, -1, 1]
    assert data.notes == ("1 of 3 images have no label.",)


def test_missing_files_are_counted_and_named(table):
    data = from_csv(table("file,label\na.jpg,x\nnone.jpg,y\n"))
    assert len(data) == 2
    assert data.notes == ("1 of 2 files do not exist: none.jpg.",)
    with pytest.raises(BadDataset, match=r"none of its 1 files exists: x/a\.jpg\. Paths are relative"):
        from_csv(table("file,label\nx/a.jpg,x\n"))


def test_windows_paths(table, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "g.jpg").touch()
    assert from_csv(table("file,label\nsub\\g.jpg,x\n")).names == ("sub/g.jpg",)


def test_repeated_rows(table):
    data = from_csv(table("file,label,remark\na.jpg,x,1\n./a.jpg,x,2\nb.jpg,y,3\n"))
    assert len(data) == 2
    assert data.notes == ("1 rows repeat another row and were left out.",)
    with pytest.raises(BadDataset, match=r"line 3: 'a\.jpg' stands in line 2 already.*joined in one cell"):
        from_csv(table("file,label\na.jpg,x\na.jpg,y\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"got the columns \(none\)"),
        ("file,lable\na.jpg,x\n", "Perhaps 'lable' for 'label'"),
        ("a.jpg,x\nb.jpg,y\n", r"got the columns a\.jpg, x"),
        ("file,label\n", "at least one row"),
        ("file,label\na.jpg,tench, Tinca tinca\n", "line 2: expected 2 cells, got 3. Put a cell"),
        ("file,label\na.jpg\n", "expected 2 cells, got 1"),
        ("file,label\n,x\n", "expected the name of a file"),
        ('file,label\na.jpg,"x\n', "breaks the rules of CSV"),
        ("file,class_index\na.jpg,x\n", "line 2: expected class_index to be a whole number"),
        ("file,class_index\na.jpg,-1\n", "got '-1'"),
        ("file,class_index\na.jpg,99999999999\n", "0 to 999,999"),
        (
            "file,class_index,name\na.jpg,1,x\nb.jpg,1,y\n",
            "one name for class 1, got 'y' and before that 'x'",
        ),
        ("file,label\na.jpg,x\n".encode("utf-16"), "Save it again as UTF-8"),
        (b"file,label\na.jpg,\xe9\n", "Save it again as UTF-8"),
    ],
)
def test_tables_that_cannot_be_understood(table, text, says):
    with pytest.raises(BadDataset, match=says) as caught:
        from_csv(table(text))
    assert "table.csv" in str(caught.value)


def test_no_table(tmp_path):
    with pytest.raises(BadDataset, match="there is no such file"):
        from_csv(tmp_path / "none.csv")
    with pytest.raises(BadDataset, match=r"a table index\.csv or labels\.csv in this folder"):
        from_csv(tmp_path)


def test_indices_that_went_through_floating_point(table):
    assert _rows(from_csv(table("file,class_index\na.jpg,3.0\nb.jpg,\n"))) == [("a.jpg", (3,)), ("b.jpg", ())]


def test_a_list_of_names_beside_the_table(table, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\nowl\n")
    data = from_csv(table("file,class_index\na.jpg,1\n"))
    assert data.labels == ("cat", "dog", "owl")
    assert "labels.txt" in data.notes[0]
    with pytest.raises(
        BadDataset, match="class indices from 0 to 2, as many as there are label names, got 3"
    ):
        from_csv(table("file,class_index\na.jpg,3\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n.txt", "cat\ndog\n\nowl\n\n"),
        ("n.csv", "index,name\n0,cat\n3,owl\n1,dog\n"),
        ("n.tsv", "class_index\tlabel\n0\tcat\n3\towl\n1\tdog\n"),
        ("n.json", '["cat", "dog", "", "owl"]'),
        ("n.json", '{"3": "owl", "0": "cat", "1": "dog"}'),
    ],
)
def test_label_tables(table, name, text):
    assert read_labels(table(text, name)) == ("cat", "dog", "", "owl")


@pytest.mark.parametrize(
    ("name", "text"),
    [("n.json", "{"), ("n.json", "3"), ("n.csv", "a,b\n1,2\n"), ("n.txt", ""), ("n.json", '{"-1":"x"}')],
)
def test_label_tables_that_are_none(table, name, text):
    with pytest.raises(BadDataset, match="expected"):
        read_labels(table(text, name))


def test_one_image_a_class(shared):
    data = from_csv(shared / "data" / "imagenet_sample_250")
    assert len(data) == 250
    assert data.notes == ()
    assert data.indices_given
    assert data.targets.tolist() == list(range(0, 1000, 4))
    assert data.labels[4] == "hammerhead, hammerhead shark"
    names = from_csv(
        shared / "data" / "imagenet_sample_250", labels=shared / "weights/labels/imagenet_classes.txt"
    )
    assert len(names.labels) == 1000
    assert names.labels.count("crane") == 2
