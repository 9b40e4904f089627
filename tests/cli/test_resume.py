"""`signet predict --resume`: nothing lost, nothing twice, nothing mixed; Ctrl-C and the polite end."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time

import pytest

from signet.line_files import LinesFile


@pytest.fixture
def whole(signet, classifier, pictures, tmp_path):
    """A finished file: (its path, its bytes, the words that made it)."""
    out = tmp_path / "p.jsonl"
    words = ["predict", classifier, pictures[0].parent, "nothing.jpg", "--out", out]
    assert signet(*words).code == 0
    return out, out.read_bytes(), words


def record_of(out):
    return out.with_name(out.name + ".run.json")


def cut(out, content, lines, torn=b""):
    """As if the run had been interrupted after some lines, in the middle of the next."""
    out.write_bytes(b"".join(content.splitlines(keepends=True)[:lines]) + torn)
    record = json.loads(record_of(out).read_text())
    record.pop("counts")
    record_of(out).write_text(json.dumps(record | {"state": "running"}))


@pytest.mark.parametrize("lines", [0, 1, 7, 12, 13])
@pytest.mark.parametrize("torn", [b"", b"{", b'{"source": "x", "kind": "classes", "top": []}', b"\0" * 300])
def test_resumed_is_as_if_never_interrupted(signet, whole, lines, torn):
    out, content, words = whole
    cut(out, content, lines, torn)
    ran = signet(*words, "--resume")
    assert ran.code == 0
    assert out.read_bytes() == content
    record = json.loads(record_of(out).read_text())
    assert record["state"] == "done"
    assert record["counts"] == {"inputs": 13, "failed": 1}


def test_resuming_what_is_done_or_was_never_begun(signet, whole):
    out, content, words = whole
    assert signet(*words, "--resume").code == 0
    assert out.read_bytes() == content
    out.unlink()
    assert signet(*words, "--resume").code == 0
    assert out.read_bytes() == content


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_auto_is_what_the_interrupted_run_had_taken(signet, whole, engine):
    out, _, words = whole
    assert signet(*words, "--overwrite", "--engine", engine).code == 0
    content = out.read_bytes()
    cut(out, content, 5)
    ran = signet(*words, "--resume")
    assert ran.code == 0
    assert f": {engine} " in ran.err
    assert out.read_bytes() == content


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (["--top", "2"], "options"),
        (["--min-score", "0.5"], "options"),
        (["--engine", "onnx"], "engine"),
    ],
)
def test_other_options_are_refused(signet, whole, more, key):
    out, content, words = whole
    cut(out, content, 5)
    before = out.read_bytes()
    ran = signet(*words, "--resume", *more)
    assert (ran.code, ran.out) == (2, "")
    assert f"was made with {key} " in ran.err
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": "tests/others"}, "model"),
        ({"labels": ["a", "b", "c", "d"]}, "digest"),
        ({"program": 2}, "digest"),
        ({"bias": 1}, "digest"),
    ],
)
def test_another_model_is_refused(signet, whole, tiny, tmp_path, change, key):
    out, content, words = whole
    cut(out, content, 5)
    other = tiny.make_classifier(tmp_path)
    place = other.with_name(other.name + ".card.json")
    card = json.loads(place.read_text())
    if "program" in change:
        card["program"][1]["filter"] = "bicubic"
    elif "bias" in change:
        data = other.read_bytes()
        assert data.count(struct.pack("<f", -12)) == 1
        other.write_bytes(data.replace(struct.pack("<f", -12), struct.pack("<f", -11)))
    else:
        card |= change
    place.write_text(json.dumps(card))
    ran = signet(words[0], other, *words[2:], "--resume")
    assert ran.code == 2
    assert f"was made with {key} " in ran.err


def test_other_inputs_are_refused(signet, whole, classifier, pictures):
    out, content, _ = whole
    cut(out, content, 5)
    before = out.read_bytes()
    ran = signet("predict", classifier, *reversed(pictures), "--out", out, "--resume")
    assert ran.code == 2
    assert "line 1 of" in ran.err
    assert "the same inputs" in ran.err
    ran = signet("predict", classifier, *pictures[:3], "--out", out, "--resume")
    assert ran.code == 2
    assert "line 4 of" in ran.err
    assert "there is no such input" in ran.err
    assert out.read_bytes() == before


def test_without_a_run_record_it_is_refused(signet, whole):
    out, content, words = whole
    record_of(out).unlink()
    ran = signet(*words, "--resume")
    assert (ran.code, ran.out) == (2, "")
    assert "no run record" in ran.err
    assert "tests/colours" not in ran.err
    assert out.read_bytes() == content


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b'{"kind": "classes"}\n', b"\xff\n"])
def test_a_damaged_file_is_refused(signet, whole, line):
    out, content, words = whole
    cut(out, content, 3, line + content.splitlines(keepends=True)[4])
    before = out.read_bytes()
    ran = signet(*words, "--resume")
    assert ran.code == 1
    assert "line 4 of" in ran.err
    assert out.read_bytes() == before


def test_a_broken_run_record_is_refused(signet, whole):
    out, content, words = whole
    record_of(out).write_text("{")
    ran = signet(*words, "--resume")
    assert ran.code == 1
    assert ".run.json" in ran.err
    assert out.read_bytes() == content


def test_drawing_goes_on_where_the_lines_do(signet, whole, tmp_path):
    out, content, words = whole
    drawn = tmp_path / "drawn"
    assert signet(*words, "--overwrite", "--draw", drawn).code == 0
    names = sorted(path.name for path in drawn.iterdir())
    cut(out, content, 6)
    (drawn / names[8]).unlink()
    ran = signet(*words, "--resume", "--draw", drawn)
    assert ran.code == 0
    assert sorted(path.name for path in drawn.iterdir()) == names
    assert out.read_bytes() == content


def test_old_lines_never_stand_beside_a_new_record(whole, monkeypatch):
    """Killed at the worst moment of --overwrite: the record is new, so the lines must not be old."""
    out, _, _ = whole

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("signet.storage.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        LinesFile(out, {"model": "another"}, resume=False, overwrite=True)
    assert not out.exists()


def test_a_full_disk_is_said_and_can_be_resumed(signet, whole):
    out, content, words = whole

    record = record_of(out).read_bytes()
    script = "import sys; from signet.line_files import LinesFile; from pathlib import Path; import json\n"
    script += "lines = LinesFile(Path(sys.argv[1]), {}, resume=False, overwrite=True)\n"
    script += "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    script += "[lines.write(json.loads(line)) for line in sys.stdin]; lines.finish()"
    done = subprocess.run(
        [sys.executable, "-c", script, str(out)], input=content, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"signet.errors.SignetError" in done.stderr
    assert b"File too large" in done.stderr
    assert b"--resume" in done.stderr
    assert 0 < out.stat().st_size <= 2000
    record_of(out).write_bytes(record)
    assert signet(*words, "--resume").code == 0
    assert out.read_bytes() == content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "polite end"])
def test_interrupted_is_130_with_whole_lines_and_resumable(signet, classifier, pictures, tmp_path, number):
    names, out, other = tmp_path / "names", tmp_path / "p.jsonl", tmp_path / "whole.jsonl"
    names.write_text("".join(f"{path}\n" for path in pictures * 500))
    words = ["predict", str(classifier), "--list", str(names), "--precision", "fp32", "--threads", "1"]
    command = [sys.executable, "-m", "signet", *words, "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (out.exists() and out.stat().st_size > 20_000):
            time.sleep(0.002)
        process.send_signal(number)
        said = process.stderr.read()
        code = process.wait(120)
    assert code == 130
    assert "interrupted: " in said
    assert "--resume" in said
    assert "Traceback" not in said
    content = out.read_bytes()
    assert content.endswith(b"\n")
    assert 0 < content.count(b"\n") < 6_000
    assert f" {content.count(bytes([10])):,} whole lines" in said
    assert [json.loads(line) for line in content.splitlines()]
    assert json.loads(record_of(out).read_text())["state"] == "running"
    assert signet(*words, "--out", out, "--resume").code == 0
    assert signet(*words, "--out", other).code == 0
    assert out.read_bytes() == other.read_bytes()


def test_interrupted_without_a_file(classifier, pictures, tmp_path):
    names = tmp_path / "names"
    names.write_text("".join(f"{path}\n" for path in pictures * 500))
    words = ["predict", str(classifier), "--list", str(names), "--precision", "fp32"]
    command = [sys.executable, "-m", "signet", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.rstrip().endswith("interrupted")
    assert "Traceback" not in said
