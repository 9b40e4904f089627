"""A folder of broken and odd images: a line for each, right or with a clear error, and the run goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture(scope="module")
def readable(hostile_cases) -> list:
    """The cases whose expectation holds for root too."""
    if os.geteuid() == 0:
        return [case for case in hostile_cases if not case.needs_unprivileged]
    return hostile_cases


@pytest.fixture
def listed(readable, tmp_path) -> list[object]:
    """The words that give every case to a command, as a list whose names end with NUL."""
    names = tmp_path / "names"
    names.write_bytes(b"\0".join(os.fsencode(case.path) for case in readable))
    return ["--list", names]


@pytest.fixture
def ran(signet, classifier, listed):
    """The command over every case."""
    return signet("predict", classifier, *listed)


def harmless(text: str) -> bool:
    """Nothing that a terminal would obey: no control character but line ends, no direction mark."""
    return all(character == "\n" or unicodedata.category(character)[0] != "C" for character in text)


def test_a_line_for_each_input_in_order(ran, readable):
    assert ran.code == 0
    assert len(readable) > 120
    assert [row["source"] for row in ran.lines] == [str(case.path) for case in readable]


def test_every_line_is_right_or_says_what_is_wrong(ran, readable):
    for case, row in zip(readable, ran.lines, strict=True):
        if "error" in row:
            assert case.expectation != "ok", f"{case.kind}: {row}"
            assert row.keys() == {"source", "error"}
            assert row["error"]["type"] == "BadInput", case.kind
            message = row["error"]["message"]
            assert "expected" in message, case.kind
            assert case.says.lower() in message.lower(), f"{case.kind}: {message}"
        else:
            assert case.expectation != "error", f"{case.kind}: {row}"
            assert row["kind"] == "classes"
            assert len(row["top"]) == 4


def test_the_answers_are_those_of_the_pixels(ran, readable, tiny):
    """The mean colour of each upright picture, worked out from the case's own corners."""
    right = 0
    for case, row in zip(readable, ran.lines, strict=True):
        if case.expectation != "ok" or len(set(case.corners)) != 1:
            continue
        (colour,) = set(case.corners)
        names = [name for name, known in tiny.COLOURS.items() if known == colour]
        if names:
            assert row["top"][0]["label"] == names[0], case.kind
            right += 1
    assert right >= 3


def test_nothing_on_either_stream_acts_on_a_terminal(ran, readable):
    assert harmless(ran.out)
    assert harmless(ran.err)
    assert f"{sum('error' in row for row in ran.lines)} of {len(readable)} inputs could not" in ran.err


def test_named_one_by_one(signet, classifier, readable):
    paths = [case.path for case in readable if case.path.name != "folder.jpg"]
    ran = signet("predict", classifier, "--", *paths)
    assert ran.code == 0
    assert [row["source"] for row in ran.lines] == [str(path) for path in paths]


def test_strict_is_1(signet, classifier, readable, listed):
    ran = signet("predict", classifier, "--strict", *listed)
    assert ran.code == 1
    assert len(ran.lines) == len(readable)


def test_the_folder_itself(signet, classifier, hostile_cases, tmp_path):
    out = tmp_path / "p.jsonl"
    ran = signet("predict", classifier, hostile_cases[0].root, "--out", out, "--json")
    assert ran.code == 0
    rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    listed = {str(case.path) for case in hostile_cases if case.listed}
    assert {row["source"] for row in rows} == listed
    assert len(rows) == len(listed) == ran.object["inputs"]
    assert ran.object["failed"] == sum("error" in row for row in rows)


def test_the_names_survive_a_list_and_a_resumed_file(signet, classifier, hostile_cases, tmp_path):
    names, out = tmp_path / "names", tmp_path / "p.jsonl"
    paths = [case.path for case in hostile_cases if case.listed]
    names.write_bytes(b"\0".join(map(os.fsencode, paths)))
    words = ["predict", classifier, "--list", names, "--out", out]
    assert signet(*words).code == 0
    content = out.read_bytes()
    lines = content.splitlines(keepends=True)
    assert [json.loads(line)["source"] for line in lines] == [str(path) for path in paths]
    assert all(line.isascii() or line.decode() for line in lines)
    out.write_bytes(b"".join(lines[:70]) + lines[70][:9])
    assert signet(*words, "--resume").code == 0
    assert out.read_bytes() == content


def test_a_table_of_them(signet, classifier, listed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ran = signet("predict", classifier, *listed)
    assert ran.code == 0
    assert harmless(ran.out)
    assert all(len(line) <= 100 for line in ran.out.splitlines())


def test_drawn(signet, classifier, listed, tmp_path):
    ran = signet("predict", classifier, "--draw", tmp_path / "drawn", *listed)
    assert ran.code == 0
    answered = [number for number, row in enumerate(ran.lines) if "error" not in row]
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert [int(path.name[:6]) for path in drawn] == answered
    assert all(path.name.isprintable() and path.suffix == ".png" for path in drawn)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_embedded(signet, classifier, readable, listed, tmp_path, engine):
    out = tmp_path / "v.npy"
    ran = signet("embed", classifier, "--out", out, "--engine", engine, "--json", *listed)
    assert ran.code == 0
    assert ran.object["count"] + len(ran.object["failed"]) == len(readable)
    assert harmless(ran.err)


AS_NOBODY = f"""
import contextlib, io, os, sys
from pathlib import Path
from signet.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])  # imports all that it needs, from where only root may read
for path in (folder := Path(os.environ["SIGNET_CACHE"]), *folder.rglob("*")):
    os.chown(path, {NOBODY}, {NOBODY})
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take on another user's id")
def test_a_file_that_this_user_may_not_read(hostile_cases, classifier):
    """In a process with a dropped user id, because root may read everything."""
    (locked,) = (case for case in hostile_cases if case.needs_unprivileged)
    fine = next(case for case in hostile_cases if case.path.name == "plain.png")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in (
            classifier,
            classifier.with_name(classifier.name + ".card.json"),
            fine.path,
            locked.path,
        ):
            shutil.copy2(path, folder / path.name)
        paths = [str(folder / path.name) for path in (classifier, fine.path, locked.path, fine.path)]
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, "predict", *paths, "--engine", "onnx"],
            capture_output=True,
            check=False,
            env={**os.environ, "SIGNET_CACHE": str(folder / "cache")},
        )
    assert done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in row for row in rows] == [False, True, False]
    assert locked.says in rows[1]["error"]["message"].lower()
