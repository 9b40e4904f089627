"""Files, folders, patterns and lists become streams of paths."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import pytest

from signet.errors import BadInput
from signet.naming import shown
from signet.sources import images_in_folder, list_images, natural_key, path_key, read_list


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _names(folder: Path, paths) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_natural_order():
    names = ["img10.png", "img2.png", "IMG1.png", "b", "A", "a", "img02.png", "", "9", "x" * 3 + "1" * 5000]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["", "9", "A", "a", "b", "IMG1.png", "img02.png", "img2.png", "img10.png", names[-1]]
    ordered.reverse()
    assert sorted(ordered, key=natural_key) == ordered[::-1]
    assert sorted(["a/10/x", "a/9/x", "a/9-b"], key=path_key) == ["a/9/x", "a/9-b", "a/10/x"]


def test_shown_escapes_what_would_act():
    assert shown("two\nlines \x1b[31m\u202e.jpg") == "two\\nlines \\x1b[31m\\u202e.jpg"
    assert shown("日本語 é.jpg") == "日本語 é.jpg"
    assert shown(os.fsdecode(b"\xe9.jpg")) == "\\udce9.jpg"
    assert shown(b"a.jpg") == "a.jpg"


def test_a_folder_is_walked_in_natural_order(tmp_path):
    _touch(
        tmp_path,
        "img10.JPG",
        "img2.jpeg",
        "notes.txt",
        ".hidden.jpg",
        ".cache/a.jpg",
        "img3/10.png",
        "img3/9.tiff",
    )
    found = ["img2.jpeg", "img3/9.tiff", "img3/10.png", "img10.JPG"]
    assert _names(tmp_path, list_images([tmp_path])) == found
    assert _names(tmp_path, images_in_folder(tmp_path)) == found


def test_files_named_are_always_taken(tmp_path):
    _touch(tmp_path, "notes.txt", ".hidden", "a.jpg")
    given = [tmp_path / "notes.txt", str(tmp_path / ".hidden"), tmp_path / "missing", tmp_path / "a.jpg"]
    assert list(list_images([*given, given[0]])) == [Path(path) for path in [*given, given[0]]]


def test_patterns(tmp_path):
    _touch(tmp_path, "b2.jpg", "b10.jpg", "c.txt", "sub/d.png", "sub/e.txt", "deep/er/f.gif")
    assert _names(tmp_path, list_images([f"{tmp_path}/b*.jpg"])) == ["b2.jpg", "b10.jpg"]
    assert _names(tmp_path, list_images([f"{tmp_path}/*.txt"])) == ["c.txt"]
    assert _names(tmp_path, list_images([f"{tmp_path}/*"])) == [
        "b2.jpg",
        "b10.jpg",
        "deep/er/f.gif",
        "sub/d.png",
    ]
    every = ["b2.jpg", "b10.jpg", "deep/er/f.gif", "sub/d.png"]
    assert _names(tmp_path, list_images([f"{tmp_path}/**"])) == every
    assert _names(tmp_path, list_images([f"{tmp_path}/x*.jpg"])) == ["x*.jpg"]


def test_a_name_that_looks_like_a_pattern_is_a_file_first(tmp_path):
    _touch(tmp_path, "a[1].jpg", "a1.jpg")
    assert _names(tmp_path, list_images([tmp_path / "a[1].jpg"])) == ["a[1].jpg"]


def test_loops_of_links_end(tmp_path):
    _touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "c").symlink_to(tmp_path / "b")
    (tmp_path / "d.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "e.jpg").symlink_to(tmp_path / "e.jpg")
    # The link `a/up` shows the whole tree, which has been entered already, so it adds nothing.
    assert _names(tmp_path, list_images([tmp_path])) == ["a/1.jpg", "b/2.jpg", "d.jpg", "e.jpg"]


def test_hostile_folder_is_listed_whole_and_once(hostile_cases):
    root = hostile_cases[0].root
    found = list(list_images([root]))
    assert len(found) == len(set(found))
    assert set(found) == {case.path for case in hostile_cases if case.listed}


def test_a_deep_tree(tmp_path):
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
    folder.mkdir(parents=True)
    _touch(folder, "x.jpg")
    assert list(list_images([tmp_path])) == [folder / "x.jpg"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a.jpg\nb c.jpg\n", ["a.jpg", "b c.jpg"]),
        (b"a.jpg\r\n\r\n\nb.jpg", ["a.jpg", "b.jpg"]),
        (b"\xef\xbb\xbfa.jpg\n#b.jpg\n", ["a.jpg", "#b.jpg"]),
        (b"a\nb.jpg\0c.jpg\0", ["a\nb.jpg", "c.jpg"]),
        (b"a.jpg\0\0c.jpg", ["a.jpg", "c.jpg"]),
        (b"\xe9.jpg\n", [os.fsdecode(b"\xe9.jpg")]),
        (b"", []),
        (b"x" * 5000 + b"\nb.jpg\n", ["x" * 5000, "b.jpg"]),
    ],
)
def test_lists(tmp_path, content, expected):
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    assert list(read_list(file)) == [Path(name) for name in expected]
    assert list(read_list(io.BytesIO(content))) == [Path(name) for name in expected]


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.jpg\nb.jpg\n")))
    assert list(read_list("-")) == [Path("a.jpg"), Path("b.jpg")]


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="expected a list file with one path a line, got: No such file"):
        read_list(tmp_path / "none.txt")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(BadInput, match="directory"):
        list(read_list(folder))


def test_long_lists_are_streamed(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("folder/some/image_name.jpg\n" * 200_000)
    tracemalloc.start()
    assert sum(1 for _ in read_list(file)) == 200_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
