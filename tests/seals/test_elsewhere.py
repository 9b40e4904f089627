"""Another program is held to the evidence: right answers pass, and the first wrong stage is named."""

from __future__ import annotations

import http.server
import json
import shlex
import shutil
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.numpy import save_file

from signet.asking import Program, Said, by_command, by_url
from signet.cli.main import main
from signet.decoding import read
from signet.errors import BadInput, BadRequest, SignetError
from signet.evidence import network_outputs, program_stages
from signet.models import load
from signet.sealing import SealSettings, seal
from signet.seals import open_seal
from signet.verification_elsewhere import verify_elsewhere

from .conftest import COMMITTED
from .objects import KINDS, make


@pytest.fixture(scope="session")
def others(tmp_path_factory, photos):
    """Kind to seal."""
    folder = tmp_path_factory.mktemp("elsewhere")
    settings = SealSettings(bf16_images=0)
    return {
        kind: seal(make(kind, folder), photos, out=folder / f"{kind}.signet", settings=settings).path
        for kind in KINDS
    }


@pytest.fixture(scope="session")
def answers():
    """What a right program says of the golden images of the committed seal, stages included."""
    card = open_seal(COMMITTED).card
    with load(COMMITTED, engine="onnx") as model:
        found = {}
        for image in open_seal(COMMITTED).golden:
            stages = dict(program_stages(image, card.program))
            stages |= network_outputs(model, read(image))
            found[image.name] = Said(model(image)[0].to_dict(None), stages)
    return found


def program(answers, change=lambda said: said):
    return Program("it", lambda image: change(answers[image.name]))


def test_a_program_that_does_it_right_passes(answers):
    verdict = verify_elsewhere(COMMITTED, program(answers))
    assert verdict.ok, verdict.message
    assert (verdict.agree, verdict.total) == (3, 3)
    names = [stage.name for stage in verdict.stages]
    assert names[0] == "integrity"
    assert names[-2:] == ["answer", "decision"]
    assert {"read", "resize", "crop", "normalise", "layout", "network"} <= set(names)
    assert verdict.engine == "it"


def _line(**changes):
    return lambda said: Said({**said.line, **changes})


def _each(**changes):
    def changed(said):
        return Said(
            {"top": [{**row, **{name: of(row) for name, of in changes.items()}} for row in said.line["top"]]}
        )

    return changed


def _stage(name, of):
    return lambda said: Said(said.line, {**said.stages, name: of(said.stages[name])})


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (_stage("read", lambda pixels: pixels[..., ::-1]), "read"),
        (_stage("resize", lambda pixels: pixels // 2), "resize"),
        (_stage("resize", lambda pixels: pixels[1:]), "resize"),
        (_stage("normalise", lambda values: values * 255), "normalise"),
        (_stage("layout", lambda values: values.transpose(1, 2, 0)), "layout"),
        (_stage("network", lambda values: values + 1), "network"),
        (_stage("network", lambda values: values * np.nan), "network"),
        (_each(score=lambda row: 1 - row["score"]), "answer"),
        (_each(index=lambda row: (row["index"] + 1) % 3), "answer"),
        (_each(label=lambda row: "another"), "decision"),
        (_line(top=[]), "answer"),
        (_line(top="cat"), "answer"),
        (_line(top=[{"label": "cat", "score": 0.5}]), "answer"),
        (_line(top=[{"index": 7, "score": 0.5}]), "answer"),
        (_line(top=[{"index": 0, "score": "high"}]), "answer"),
        (_line(error={"type": "BadInput", "message": "no image"}), "answer"),
        (lambda said: Said(said.line, {"resise": np.zeros(3)}), "answer"),
    ],
)
def test_the_first_stage_that_is_wrong_is_named(answers, change, stage):
    verdict = verify_elsewhere(COMMITTED, program(answers, change))
    assert (verdict.ok, verdict.first_divergence) == (False, stage), verdict.message


def test_labels_alone_are_enough_and_a_batch_axis_is_no_difference(answers):
    def plain(said):
        rows = [{"label": row["label"], "score": row["score"]} for row in said.line["top"]]
        return Said({"top": rows[:1]}, {"network": said.stages["network"][None]})

    assert verify_elsewhere(COMMITTED, program(answers, plain)).ok


def test_coarse_precision_is_judged_by_decisions(answers):
    moved = _each(score=lambda row: row["score"] + (0.1 if row["score"] < 0.9 else -0.1))
    assert verify_elsewhere(COMMITTED, program(answers, moved)).first_divergence == "answer"
    assert verify_elsewhere(COMMITTED, program(answers, moved), precision="int8").ok


def test_an_image_without_an_answer_is_a_finding(answers):
    def ask(image):
        if image.name == "1.png":
            raise BadInput("too small")
        return answers[image.name]

    verdict = verify_elsewhere(COMMITTED, Program("it", ask))
    assert (verdict.first_divergence, verdict.agree) == ("answer", 2)
    assert "1.png: too small" in verdict.message


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_masks_and_maps(others, kind):
    with load(others[kind], engine="onnx") as model:
        right = Program("it", lambda image: Said(model(image)[0].to_dict()))
        verdict = verify_elsewhere(others[kind], right)
        assert verdict.ok, verdict.message
        assert verdict.agree == verdict.total > 0

        def moved(image):
            line = model(image)[0].to_dict()
            for row in line.get("boxes", ()):
                # x, y, width, height in place of corners
                row["xyxy"] = [
                    *row["xyxy"][:2],
                    row["xyxy"][2] - row["xyxy"][0],
                    row["xyxy"][3] - row["xyxy"][1],
                ]
            for row in line.get("segments", ()):
                row["index"] = (row["index"] + 1) % 3
            return Said(line)

        verdict = verify_elsewhere(others[kind], Program("it", moved))
        assert (verdict.ok, verdict.first_divergence) == (False, "answer"), verdict.message

        def misnamed(image):
            line = model(image)[0].to_dict()
            for row in (*line.get("boxes", ()), *line.get("segments", ())):
                row["label"] = "another"
            return Said(line)

        verdict = verify_elsewhere(others[kind], Program("it", misnamed))
        assert (verdict.ok, verdict.first_divergence, verdict.agree) == (False, "decision", 0)
        nothing = Program("it", lambda image: Said({"kind": "boxes"}))
        assert verify_elsewhere(others[kind], nothing).first_divergence == "answer"


def test_a_harmed_seal_is_not_even_asked_about(tmp_path):
    tiny = Path(shutil.copytree(COMMITTED, tmp_path / "tiny.signet"))
    (tiny / "README.md").write_text("other")

    def never(image):
        raise AssertionError("asked")

    verdict = verify_elsewhere(tiny, Program("it", never))
    assert (verdict.ok, verdict.first_divergence) == (False, "integrity")


SCRIPT = """
import json, sys
from pathlib import Path
rows = json.loads(Path({answers!r}).read_text())[Path(sys.argv[-1]).name]
print("loading ...")
print(json.dumps(rows))
"""


@pytest.fixture
def script(tmp_path, answers):
    """A program of its own, that writes its stages to files, too."""
    rows = {}
    for name, said in answers.items():
        save_file(
            {key: np.ascontiguousarray(value) for key, value in said.stages.items()}, tmp_path / f"{name}.st"
        )
        rows[name] = {**said.line, "stages": str(tmp_path / f"{name}.st")}
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    path = tmp_path / "program.py"
    path.write_text(SCRIPT.format(answers=str(tmp_path / "answers.json")))
    return path


@pytest.mark.parametrize("form", ["{python} {script}", "{python} {script} --quick {{}}"])
def test_a_command_is_asked(script, form, capsys):
    command = form.format(python=sys.executable, script=script)
    code = main(["verify", str(COMMITTED), "--command", command, "--json", "--quiet"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["ok"], said["decisions"]) == (0, True, {"agree": 3, "total": 3})
    assert "resize" in [stage["name"] for stage in said["stages"]]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('no weights')", "ended with 1: no weights"),
        ("print('cat')", "expected one JSON object, got cat"),
        ("print('[1]')", "expected one JSON object"),
        ('print(\'{"stages": "nowhere.st"}\')', "no safetensors file"),
        ("import time; time.sleep(60)", "no answer within 0.5 seconds"),
    ],
)
def test_a_command_that_does_not_answer(code, words):
    seconds = 0.5 if "sleep" in code else 60
    asked = by_command(shlex.join([sys.executable, "-I", "-S", "-c", code]), seconds=seconds)
    with pytest.raises(BadInput, match=words):
        asked.ask(COMMITTED / "golden" / "0.jpg")


@pytest.mark.parametrize("command", ["", "  ", "no-such-program-anywhere", "'open", "a\0b"])
def test_what_is_no_command_is_asked_wrongly(command, capsys):
    assert main(["verify", str(COMMITTED), "--command", command, "--json", "--quiet"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "BadRequest"


@pytest.fixture
def server(answers):
    """(address, paths that were asked); it knows an image by its bytes."""
    known = {image.read_bytes(): answers[image.name].line for image in open_seal(COMMITTED).golden}
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Content-Type"]))
            found = known.get(data) if "tiny" in self.path else None
            body = json.dumps(found or {"error": "no such model"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_a_server_is_asked(server, tmp_path, capsys):
    address, asked = server
    tiny = shutil.copytree(COMMITTED, tmp_path / "tiny.signet")
    for url in (address, f"{address}/", f"{address}/v1/models/tiny:predict"):
        code = main(["verify", str(tiny), "--url", url, "--json", "--quiet"])
        assert (code, json.loads(capsys.readouterr().out)["ok"]) == (0, True)
    assert asked[0] == ("/v1/models/tiny:predict", "image/jpeg")
    assert {path for path, _ in asked} == {"/v1/models/tiny:predict"}
    other = Path(tiny).rename(tmp_path / "other.signet")
    code = main(["verify", str(other), "--url", address, "--json", "--quiet"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["first_divergence"]) == (1, "answer")
    assert "404" in said["message"]


def test_a_server_that_is_not_there():
    asked = by_url("http://127.0.0.1:9", "tiny")
    with pytest.raises(SignetError, match="cannot be asked"):
        asked.ask(COMMITTED / "golden" / "0.jpg")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "file:///etc/passwd",
        "ftp://host/x",
        "",
        "http://127.0.0.1:abc",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://h/a b",
        "http://:80",
    ],
)
def test_only_http_is_asked(url):
    with pytest.raises(BadRequest, match="expected http"):
        by_url(url, "tiny")


@pytest.mark.parametrize(
    "answer", [b"no HTTP at all\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}"]
)
def test_a_server_that_speaks_otherwise(answer):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        asked = by_url(f"http://127.0.0.1:{listening.getsockname()[1]}", "tiny")
        with pytest.raises(SignetError):
            asked.ask(COMMITTED / "golden" / "0.jpg")
        thread.join()


_ANYTHING = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=5)
    | some.just(10**400),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_ROWS = some.lists(
    some.dictionaries(
        some.sampled_from(["index", "label", "score", "xyxy", "mask"]),
        _ANYTHING
        | some.lists(some.floats(), min_size=4, max_size=4)
        | some.sampled_from([10**11, 10**30, "cell"]),
        max_size=5,
    ),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(
    line=some.dictionaries(
        some.sampled_from(["top", "boxes", "segments", "vector", "error"]), _ROWS | _ANYTHING, max_size=3
    ),
    kind=some.sampled_from(["classes", *KINDS]),
)
def test_whatever_a_program_says_is_judged_and_breaks_nothing(others, line, kind):
    place = COMMITTED if kind == "classes" else others[kind]
    verdict = verify_elsewhere(place, Program("it", lambda image: Said(line)))
    assert [stage.name for stage in verdict.stages][-2:] == ["answer", "decision"]


def test_how_the_other_program_runs_is_not_ours_to_say(capsys):
    words = [
        "verify",
        str(COMMITTED),
        "--command",
        "x",
        "--engine",
        "torch",
        "--batch",
        "7",
        "--json",
        "--quiet",
    ]
    assert main(words) == 2
    assert "--engine, --batch" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_one_program_at_a_time(capsys):
    words = ["verify", str(COMMITTED), "--command", "x", "--url", "http://h", "--json", "--quiet"]
    assert main(words) == 2
