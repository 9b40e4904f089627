"""`signet mirror`: its lines, its objects, its exit codes. What is behind it is tested in tests/mirroring."""

from __future__ import annotations

import io
import json

import pytest

NAME, OTHER = "timm/test_efficientnet.r160_in1k", "timm/test_vit.r160_in1k"


@pytest.fixture(autouse=True)
def hand_made(tmp_path, monkeypatch):
    """A mirror of folders made by hand, to pull from; the weights are none."""
    for name in (NAME, OTHER):
        folder = tmp_path / "hand" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"architecture": name[5:].partition(".")[0]}))
        (folder / "model.safetensors").write_bytes(name.encode())
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "hand"))
    return tmp_path / "hand"


def test_pull_writes_a_line_for_each_name(signet, tmp_path):
    mirror = tmp_path / "m"
    ran = signet("mirror", "pull", NAME, "nobody", "starter", "--to", mirror, "--offline")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0].startswith("failed nobody: No model named 'nobody'.")
    assert lines[1] == "there starter (it comes with Signet itself)"
    assert lines[2].startswith(f"pulled {NAME} 0.")
    assert ran.err.startswith("1 pulled, 1 there, 1 failed; 0.")
    ran = signet("mirror", "pull", NAME, "--to", mirror, "--offline", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"there {NAME}")


def test_pull_as_json(signet, tmp_path):
    ran = signet("mirror", "pull", NAME, "nobody", "--to", tmp_path / "m", "--offline", "--json", "--quiet")
    assert ran.code == 1
    assert list(ran.object) == ["to", "models", "bytes"]
    failed, pulled = ran.object["models"]
    assert (failed["name"], failed["status"], failed["files"]) == ("nobody", "failed", [])
    assert "No model named" in failed["error"]
    assert (pulled["name"], pulled["status"]) == (NAME, "pulled")
    assert "error" not in pulled
    assert all(list(file) == ["file", "size", "sha256"] for file in pulled["files"])
    assert ran.object["bytes"] == sum(file["size"] for file in pulled["files"])


def test_names_from_files_and_from_a_pipe(signet, tmp_path, monkeypatch):
    (tmp_path / "names").write_text(f"\ufeff{NAME}\r\n\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{OTHER}\n{NAME}\n".encode())))
    ran = signet(
        "mirror", "pull", f"@{tmp_path / 'names'}", "-", "--to", tmp_path / "m", "--offline", "--json"
    )
    assert [model["name"] for model in ran.object["models"]] == [NAME, OTHER]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["pull", "@nothing", "--to", "m"], 1, "expected a file with one name a line"),
        (["pull", "--to", "m"], 2, "Missing argument"),
        (["pull", NAME], 2, "Missing option"),
        (["pull", NAME, "--to", "m", "--licence", "free"], 2, "permissive or commercial"),
        (
            ["pull", "torchvision/alexnet", "--to", "m", "--licence", "permissive"],
            3,
            "torchvision/alexnet.imag",
        ),
        (["verify", "nothing"], 2, "expected the folder of a mirror"),
        (["list", "nothing"], 2, "expected the folder of a mirror"),
    ],
)
def test_what_is_refused(signet, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    ran = signet("mirror", *words)
    assert (ran.code, ran.out) == (code, "")
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "m").exists()


def test_an_empty_pipe_is_asked_wrongly(signet, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert signet("mirror", "pull", "-", "--to", tmp_path / "m").code == 2


def test_verify_names_faults_and_says_what_counts(signet, tmp_path, hand_made):
    mirror = tmp_path / "m"
    signet("mirror", "pull", NAME, OTHER, "--to", mirror, "--offline")
    ran = signet("mirror", "verify", mirror)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("2 models, nothing wrong found\nmirror.json has the sha256 ")
    (mirror / NAME / "model.safetensors").write_bytes(NAME.upper().encode())
    (mirror / "notes").touch()
    ran = signet("mirror", "verify", mirror)
    assert ran.code == 1
    assert f"{NAME}: model.safetensors: has the sha256" in ran.out
    assert "1 of 2 models are not as they should be" in ran.out
    assert ran.err == "not in mirror.json: notes\n"
    ran = signet("mirror", "verify", mirror, "--json", "--quiet")
    assert (ran.code, ran.object["ok"], ran.object["unlisted"]) == (1, False, ["notes"])
    ran = signet("mirror", "verify", hand_made)
    assert ran.code == 0
    assert "no mirror.json" in ran.err
    assert "2 with no digest stated, which nobody can verify" in ran.err


def test_list_of_the_mirror_that_is_set(signet, hand_made, monkeypatch):
    ran = signet("mirror", "list")
    assert ran.code == 0
    assert NAME in ran.out
    assert ran.err == "2 models\n"
    rows = signet("mirror", "list", hand_made, "--json").object["models"]
    assert [list(row) for row in rows] == [
        ["name", "size_bytes", "licence", "task", "parameters", "trust"]
    ] * 2
    monkeypatch.delenv("SIGNET_MIRROR")
    ran = signet("mirror", "list")
    assert (ran.code, ran.out) == (2, "")
    assert "SIGNET_MIRROR" in ran.err


def test_a_hostile_manifest_does_not_act_on_the_terminal(signet, tmp_path):
    mirror = tmp_path / "m"
    signet("mirror", "pull", NAME, "--to", mirror, "--offline")
    raw = json.loads((mirror / "mirror.json").read_text())
    raw["models"][NAME]["task"] = "\x1b[2J[bold]"
    (mirror / "mirror.json").write_text(json.dumps(raw))
    (mirror / NAME / "\x1b[31m").touch()
    for verb in ("list", "verify"):
        ran = signet("mirror", verb, mirror)
        assert "\x1b" not in ran.out + ran.err
