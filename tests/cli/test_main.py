"""What all commands share: exit codes, the two streams, errors, and readers that leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import signet as library
from signet.cli import main
from signet.cli.main import exit_code
from signet.errors import (
    AlreadyExists,
    BadInput,
    BadRequest,
    CheckFailed,
    EngineError,
    HubError,
    Interrupted,
    Refused,
    SealError,
    SignetError,
    UnknownName,
)

FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadRequest("x"), 2),
        (UnknownName("model", "x", ()), 2),
        (AlreadyExists("x"), 2),
        (Refused("x"), 3),
        (Interrupted("x"), 130),
        (KeyboardInterrupt(), 130),
        (BadInput("x"), 1),
        (EngineError("x"), 1),
        (HubError("x"), 1),
        (SealError("x"), 1),
        (CheckFailed("x"), 1),
        (SignetError("x"), 1),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert exit_code(error) == code


def test_version_and_help(signet):
    assert signet("--version").out == f"signet {library.__version__}\n"
    ran = signet("--help")
    assert ran.code == 0
    assert ran.err == ""
    assert "predict" in ran.out


@pytest.mark.parametrize(
    "words", [[], ["bogus"], ["predict"], ["predict", "m", "x", "--top", "0"], ["find", "--bogus"]]
)
def test_asked_wrongly_is_2_and_said_on_stderr(signet, words):
    ran = signet(*words)
    assert ran.code == 2
    if words:
        assert ran.out == ""
        assert words[0] in ran.err


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["predict", "starterr", "x.jpg"], "UnknownName"),
        (["predict", "m", "x.jpg", "--engine", "abacus"], "BadRequest"),
        (["find", "--licence", "free"], "BadRequest"),
        (["show", "nothing.onnx"], "UnknownName"),
    ],
)
def test_an_error_is_one_object_where_json_is_asked_for(signet, words, kind):
    ran = signet(*words, "--json")
    assert ran.code == 2
    assert ran.object["error"]["type"] == kind
    assert ran.object["error"]["message"]
    assert ran.err != ""


def test_unknown_model_names_what_looks_like_it(signet):
    ran = signet("predict", "resnet5", "x.jpg")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: No model named 'resnet5'. Did you mean '")
    assert "/resnet50." in ran.err


def test_names_in_errors_do_not_act(signet, tmp_path):
    ran = signet("show", tmp_path / "a\x1b[2Jb\nc.onnx")
    assert ran.code == 2
    assert "\x1b" not in ran.err
    assert ran.err.count("\n") == 1


def test_an_error_of_the_program_is_not_hidden(signet, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("signet.catalogue.finding.select", broken)
    with pytest.raises(ZeroDivisionError):
        signet("find")


@pytest.mark.parametrize("streams", ["stdout", "both"])
def test_a_reader_that_leaves_ends_it_quietly(classifier, pictures, tmp_path, streams):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{path}\n" for path in pictures * 60))
    words = [sys.executable, "-m", "signet", "predict", str(classifier), "--list", str(names)]
    options = {"stderr": subprocess.STDOUT} if streams == "both" else {"stderr": subprocess.PIPE}
    with subprocess.Popen([*words, "--precision", "fp32"], stdout=subprocess.PIPE, **options) as process:
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode() if process.stderr else ""
        code = process.wait(120)
    assert first
    assert code == 0
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert "error" not in said


@pytest.mark.skipif(not FULL.exists(), reason="this platform has no /dev/full")
@pytest.mark.parametrize("asked", ["--quiet", "--json"])
def test_a_full_disk_behind_stdout_is_said(classifier, pictures, asked):
    words = [sys.executable, "-m", "signet", "predict", str(classifier), str(pictures[0]), "--quiet", asked]
    with FULL.open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_stdout_of_any_encoding(signet_process, classifier, tiny, tmp_path, encoding):
    (path,) = tiny.make_pictures(tmp_path, 1)
    path = path.rename(tmp_path / "日本 é 🐦.png")
    surroundings = {**os.environ, "PYTHONIOENCODING": encoding}
    ran = signet_process(["predict", classifier, path, "--quiet"], env=surroundings)
    assert ran.code == 0
    assert [row["source"] for row in ran.lines] == [str(path)]


def test_notes_of_an_error_are_told_too(capsys):
    error = SignetError("the disk is full")
    error.add_note("continue with --resume")
    main._told(error, as_json=False)
    assert capsys.readouterr().err.splitlines() == ["error: the disk is full", "continue with --resume"]
