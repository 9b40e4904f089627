"""`signet predict`: lines, table, object, lists, limits, pictures."""

from __future__ import annotations

import io
import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


class FromPipe:
    """Standard input that holds these bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def to_terminal(monkeypatch):
    """Pretend that stdout is a terminal of a width."""

    def pretend(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    return pretend


def test_one_line_an_input_in_order_with_the_keys_of_the_contract(signet, classifier, pictures, tiny):
    ran = signet("predict", classifier, pictures[0].parent)
    assert ran.code == 0
    assert [row["source"] for row in ran.lines] == [str(path) for path in pictures]
    for number, row in enumerate(ran.lines):
        assert list(row) == ["source", "kind", "top"]
        assert row["kind"] == "classes"
        assert [list(entry) for entry in row["top"]] == [["index", "label", "score"]] * 4
        assert row["top"][0]["label"] == tiny.answer(number)
        assert row["top"][0]["index"] == tiny.LABELS.index(tiny.answer(number))
        scores = [entry["score"] for entry in row["top"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-4)


def test_results_are_all_that_is_on_stdout(signet, classifier, pictures):
    ran = signet("predict", classifier, pictures[0])
    assert len(ran.lines) == 1
    assert ran.err.startswith("tests/colours: ")
    assert "fp32" in ran.err


def test_quiet_leaves_stderr_to_errors(signet, classifier, pictures):
    assert signet("predict", classifier, pictures[0], "--quiet").err == ""
    ran = signet("predict", "resnet5", pictures[0], "--quiet")
    assert ran.err.startswith("error: ")


def test_json_is_one_object(signet, classifier, pictures):
    ran = signet("predict", classifier, *pictures[:3], "nothing.jpg", "--json", "--top", "1")
    plain = ran.object
    assert list(plain) == [
        "model", "engine", "precision", "inputs", "failed", "seconds", "images_per_second", "predictions",
    ]  # fmt: skip
    assert (plain["inputs"], plain["failed"], len(plain["predictions"])) == (4, 1, 4)
    assert plain["predictions"][3]["error"]["type"] == "BadInput"
    assert ran.code == 0


def test_json_with_out_names_the_file(signet, classifier, pictures, tmp_path):
    out = tmp_path / "p.jsonl"
    plain = signet("predict", classifier, *pictures, "--out", out, "--json").object
    assert plain["out"] == str(out)
    assert "predictions" not in plain
    assert len(out.read_text().splitlines()) == plain["inputs"] == len(pictures)


def test_the_file_holds_the_lines_of_the_pipe(signet, classifier, pictures, tmp_path):
    out = tmp_path / "new" / "p.jsonl"
    ran = signet("predict", classifier, *pictures, "--out", out)
    assert (ran.code, ran.out) == (0, "")
    assert out.read_text() == signet("predict", classifier, *pictures).out


def test_run_record(signet, classifier, pictures, tmp_path):
    out = tmp_path / "p.jsonl"
    signet("predict", classifier, *pictures, "nothing.jpg", "--out", out, "--top", "2", "--engine", "onnx")
    record = json.loads((tmp_path / "p.jsonl.run.json").read_text())
    assert record["state"] == "done"
    assert record["counts"] == {"inputs": len(pictures) + 1, "failed": 1}
    assert record["options"] == {"top": 2, "min_score": 0.0}
    assert (record["model"], record["engine"], record["precision"]) == ("tests/colours", "onnx", "fp32")
    assert len(record["digest"]) == 64
    assert record["program"][0]["step"] == "read"
    assert record["versions"]["signet"]


def test_top_and_min_score(signet, classifier, pictures):
    assert [len(row["top"]) for row in signet("predict", classifier, *pictures[:4], "--top", "2").lines] == [
        2
    ] * 4
    rows = signet("predict", classifier, *pictures[:4], "--min-score", "0.9").lines
    assert [len(row["top"]) for row in rows] == [1] * 4
    rows = signet("predict", classifier, *pictures[:3], "--min-score", "1").lines
    assert [row["top"] for row in rows] == [[], [], []]


@pytest.mark.parametrize(
    "words", [["--min-score", "1.5"], ["--min-score", "nan"], ["--top", "0"], ["--resume"], ["--batch", "0"]]
)
def test_wrong_options_are_2(signet, classifier, pictures, words):
    ran = signet("predict", classifier, pictures[0], *words)
    assert (ran.code, ran.out) == (2, "")
    assert words[0] in ran.err


def test_strict_and_exit_codes(signet, classifier, pictures, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    assert signet("predict", classifier, pictures[0], broken).code == 0
    assert "1 of 2 inputs could not be answered" in signet("predict", classifier, pictures[0], broken).err
    assert signet("predict", classifier, pictures[0], broken, "--strict").code == 1
    assert signet("predict", classifier, *pictures, "--strict").code == 0
    assert signet("predict", classifier, broken, broken).code == 1
    assert signet("predict", classifier, broken).lines[0].keys() == {"source", "error"}


def test_no_images_is_said(signet, classifier, tmp_path):
    ran = signet("predict", classifier, tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert f"found none in {tmp_path}" in ran.err
    assert signet("predict", classifier).code == 2


def test_a_model_without_labels_says_what_to_do(signet, pictures):
    ran = signet("predict", "starter", pictures[0])
    assert (ran.code, ran.out) == (2, "")
    assert "signet finetune starter FOLDER" in ran.err


def test_an_existing_file_is_refused_before_the_model_is_opened(signet, classifier, pictures, tmp_path):
    out = tmp_path / "p.jsonl"
    out.write_text("mine")
    ran = signet("predict", classifier, pictures[0], "--out", out)
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert "tests/colours" not in ran.err
    assert out.read_text() == "mine"
    assert not (tmp_path / "p.jsonl.run.json").exists()
    assert signet("predict", classifier, pictures[0], "--out", out, "--overwrite").code == 0
    assert len(out.read_text().splitlines()) == 1


def test_an_out_that_is_no_file(signet, classifier, pictures, tmp_path):
    for words in (["--out", tmp_path], ["--out", tmp_path, "--overwrite"], ["--out", tmp_path, "--resume"]):
        ran = signet("predict", classifier, pictures[0], *words)
        assert ran.code == 2
        assert "name of a file" in ran.err


@pytest.mark.parametrize("content", [b"%s\n%s\n", b"%s\r\n\n%s", b"%s\0%s\0", b"\xef\xbb\xbf%s\n%s"])
def test_a_list_file(signet, classifier, pictures, tmp_path, content):
    names = tmp_path / "names"
    names.write_bytes(content % tuple(os.fsencode(path) for path in pictures[2:4]))
    ran = signet("predict", classifier, pictures[0], "--list", names)
    assert [row["source"] for row in ran.lines] == [str(pictures[number]) for number in (0, 2, 3)]


def test_nul_separated_names_may_hold_line_ends(signet, classifier, tiny, tmp_path):
    first, second = tiny.make_pictures(tmp_path, 2)
    odd = first.rename(tmp_path / "two\nlines.png")
    (tmp_path / "names").write_bytes(b"\0".join([os.fsencode(odd), os.fsencode(second)]))
    rows = signet("predict", classifier, "--list", tmp_path / "names").lines
    assert [(row["source"], row["top"][0]["label"]) for row in rows] == [
        (str(odd), "red"),
        (str(second), "green"),
    ]


def test_a_list_on_standard_input(signet, classifier, pictures, monkeypatch):
    content = b"".join(os.fsencode(path) + b"\n" for path in pictures)
    monkeypatch.setattr("sys.stdin", FromPipe(content))
    ran = signet("predict", classifier, "--list", "-")
    assert [row["source"] for row in ran.lines] == [str(path) for path in pictures]


def test_an_empty_list_on_standard_input_is_said(signet, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", FromPipe(b""))
    ran = signet("predict", classifier, "--list", "-", "--out", tmp_path / "p.jsonl")
    assert ran.code == 1
    assert "found none in standard input" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_list_from_a_pipe_is_read_once(signet, classifier, pictures, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = "".join(f"{path}\n" for path in pictures)
    writer = threading.Thread(target=lambda: pipe.write_text(content), daemon=True)
    writer.start()
    ran = signet("predict", classifier, "--list", pipe)
    writer.join(60)
    assert [row["source"] for row in ran.lines] == [str(path) for path in pictures]


def test_a_list_that_is_not_there(signet, classifier, tmp_path):
    ran = signet("predict", classifier, "--list", tmp_path / "nothing")
    assert ran.code == 1
    assert "list file" in ran.err


def test_patterns(signet, classifier, pictures):
    ran = signet("predict", classifier, f"{pictures[0].parent}/p1*.png")
    assert [Path(row["source"]).name for row in ran.lines] == ["p1.png", "p10.png", "p11.png"]


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
@pytest.mark.parametrize("batch", [1, 5])
def test_engines_and_batches_agree(signet, classifier, pictures, tiny, engine, batch):
    ran = signet("predict", classifier, *pictures, "--engine", engine, "--batch", batch, "--threads", 2)
    assert [row["top"][0]["label"] for row in ran.lines] == [tiny.answer(n) for n in range(len(pictures))]
    assert f"tests/colours: {engine} " in ran.err


def test_draw_writes_a_picture_for_every_answer(signet, classifier, pictures, tmp_path):
    folder = tmp_path / "new" / "drawn"
    ran = signet("predict", classifier, *pictures[:3], "nothing.jpg", pictures[3], "--draw", folder)
    assert len(ran.lines) == 5
    drawn = sorted(folder.iterdir())
    assert [path.name for path in drawn] == [
        "000000_p0.png", "000001_p1.png", "000002_p2.png", "000004_p3.png",
    ]  # fmt: skip
    with Image.open(drawn[1]) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    assert (pixels[40, pixels.shape[1] // 2] == (0, 255, 0)).all()
    assert pixels.shape[0] > pixels.shape[1] * 20 // 24


def test_drawn_pictures_are_not_overwritten(signet, classifier, pictures, tmp_path):
    assert signet("predict", classifier, *pictures[:2], "--draw", tmp_path).code == 0
    ran = signet("predict", classifier, pictures[2], "--draw", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "--overwrite" in ran.err
    assert signet("predict", classifier, pictures[2], "--draw", tmp_path, "--overwrite").code == 0


def test_draw_where_no_folder_can_be(signet, classifier, pictures, tmp_path):
    (tmp_path / "file").write_text("")
    ran = signet("predict", classifier, pictures[0], "--draw", tmp_path / "file")
    assert ran.code == 2
    assert "--draw" in ran.err


def test_a_drawn_name_fits_any_disk(signet, classifier, tiny, tmp_path):
    (path,) = tiny.make_pictures(tmp_path / "in", 1)
    long = path.rename(tmp_path / "in" / ("𠀀" * 60 + ".png"))
    assert signet("predict", classifier, long, "--draw", tmp_path / "out", "--strict").code == 0
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_for_a_person(signet, classifier, pictures, to_terminal, columns):
    to_terminal(columns)
    ran = signet("predict", classifier, *pictures[:4], "nothing.jpg")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", ran.out).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert lines[0].split() == ["image", "answer", "score"]
    names = "".join(line[: lines[0].index("answer")].strip() for line in lines[1:])
    assert names == "".join(map(str, pictures[:4])) + "nothing.jpg"
    assert all(label in ran.out for label in ("red", "green", "blue", "white"))
    assert "1.000" in ran.out
    assert "error:" in ran.out


def test_names_in_a_table_do_not_act(signet, classifier, tiny, tmp_path, to_terminal):
    to_terminal(200)
    (path,) = tiny.make_pictures(tmp_path, 1)
    path = path.rename(tmp_path / "a\x1b[31m[bold]:bird:\n.png")
    ran = signet("predict", classifier, path)
    assert "\x1b[31m" not in ran.out
    assert "a\\x1b[31m[bold]:bird:\\n.png" in ran.out


def test_lines_reach_a_file_while_the_bar_is_on_a_terminal(classifier, pictures, tmp_path):
    """The bar lives on stderr; what it does to stdout must be nothing."""
    import pty
    import subprocess
    import sys

    names, out = tmp_path / "names", tmp_path / "out.jsonl"
    names.write_text("".join(f"{path}\n" for path in pictures * 20))
    words = [sys.executable, "-m", "signet", "predict", str(classifier), "--list", str(names)]
    ours, theirs = pty.openpty()
    with out.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # Linux says so at the end of a pseudo-terminal
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert process.wait(120) == 0
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 20 * len(pictures)
    assert b"predicting" in shown
    assert b'"source"' not in shown
    assert b"240/240" in shown
