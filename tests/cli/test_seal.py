"""`signet seal`, `signet pack` and `signet verify`: keys, exit codes, and what each of them leaves."""

from __future__ import annotations

import json
import shutil

import pytest

STAGES = [
    "integrity",
    "read",
    "orient",
    "resize",
    "normalise",
    "layout",
    "network",
    "head",
    "answer",
    "decision",
]
STAGE_KEYS = ["name", "ok", "max_error", "tolerance", "note"]


@pytest.fixture
def mine(sealed, tmp_path):
    """A copy of that seal, to do harm to."""
    return shutil.copytree(sealed, tmp_path / "mine.signet")


def test_seal_json_has_the_keys_of_the_contract(signet, classifier, pictures, tmp_path):
    out = tmp_path / "new" / "x.signet"
    ran = signet("seal", classifier, *pictures[:3], "--out", out, "--json")
    assert ran.code == 0
    plain = ran.object
    assert list(plain) == ["seal", "digest", "stages", "decisions"]
    assert plain["seal"] == str(out)
    assert plain["digest"] == (out / "seal.sha256").read_text().split()[0]
    assert [stage["name"] for stage in plain["stages"]] == STAGES
    assert all(list(stage) == STAGE_KEYS and stage["ok"] for stage in plain["stages"])
    assert plain["decisions"]["agree"] == plain["decisions"]["total"] > 0
    assert "one of your images" in ran.err


def test_a_seal_is_verified_with_the_engine_that_is_asked_for(signet, classifier, tmp_path):
    words = ["seal", classifier, "--engine", "onnx", "--precision", "fp32", "--device", "cpu", "--batch", "2"]
    ran = signet(*words, "--threads", "1", "--out", tmp_path / "x.signet")
    assert ran.code == 0
    assert "on onnx in fp32 all" in ran.err
    assert signet("verify", tmp_path / "x.signet", "--batch", "4").code == 0


def test_made_evidence_holds_none_of_the_images(signet, classifier, pictures, tmp_path):
    ran = signet("seal", classifier, *pictures[:3], "--golden", "made", "--out", tmp_path / "x.signet")
    assert ran.code == 0
    assert "one of your images" not in ran.err
    assert "made by Signet" in ran.err
    assert f"sealed: {tmp_path / 'x.signet'}\n" in ran.out


def test_a_seal_is_not_overwritten(signet, classifier, mine):
    before = (mine / "seal.json").read_bytes()
    ran = signet("seal", classifier, "--golden", "made", "--out", mine)
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert (mine / "seal.json").read_bytes() == before
    assert signet("seal", classifier, "--golden", "made", "--out", mine, "--overwrite").code == 0
    assert (mine / "seal.json").read_bytes() != before


def test_a_seal_predicts_as_its_model(signet, classifier, sealed, pictures):
    rows = [
        signet("predict", model, *pictures, "--precision", "fp32").lines for model in (classifier, sealed)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_verify_json_has_the_keys_of_the_contract(signet, sealed, engine):
    ran = signet("verify", sealed, "--engine", engine, "--json")
    assert ran.code == 0
    plain = ran.object
    assert list(plain) == [
        "ok", "digest", "stages", "first_divergence", "decisions", "engine", "precision", "message", "layer",
        "over_images",
    ]  # fmt: skip
    assert (plain["ok"], plain["first_divergence"], plain["engine"]) == (True, None, engine)
    assert [stage["name"] for stage in plain["stages"]] == STAGES
    assert all(list(stage) == STAGE_KEYS for stage in plain["stages"])
    assert plain["decisions"]["agree"] == plain["decisions"]["total"] > 0


def test_verify_on_somebodys_images(signet, sealed, pictures):
    folder = pictures[0].parent
    ran = signet("verify", sealed, "--engine", "onnx", "--data", folder, "--json")
    assert ran.code == 0
    over = ran.object["over_images"]
    assert over["images"] + over["unanswered"] >= len(pictures)
    assert over["flips"] == []
    page = folder.parent / "verdict.html"
    assert signet("verify", sealed, "--report", page).code == 0
    assert "It answers as it did" in page.read_text("utf-8")
    assert signet("verify", sealed, "--report", page).code == 2
    ran = signet("verify", sealed, "--data", folder)
    assert "flips per 1,000" in ran.out


def test_verify_for_a_person(signet, sealed):
    ran = signet("verify", sealed)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert [line.split()[0] for line in lines[1:11]] == STAGES
    assert all("same" in line for line in lines[1:11])
    assert all(line == line.rstrip() for line in lines)
    assert lines[11] == f"digest {(sealed / 'seal.sha256').read_text().split()[0]}"


def test_a_changed_seal_is_1_and_named(signet, mine):
    data = bytearray((mine / "graph.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (mine / "graph.onnx").write_bytes(data)
    ran = signet("verify", mine, "--json")
    assert ran.code == 1
    assert ran.object["ok"] is False
    assert ran.object["first_divergence"] == "integrity"
    assert "graph.onnx" in ran.object["message"]
    ran = signet("verify", mine)
    assert ran.code == 1
    assert "DIFFERS" in ran.out
    assert ran.out.count("graph.onnx") == 1
    ran = signet("predict", mine, "x.jpg", "--json")
    assert ran.code == 1
    assert ran.object["error"]["type"] == "Tampered"


def test_a_digest_from_elsewhere_is_held_against_it(signet, sealed):
    digest = (sealed / "seal.sha256").read_text().split()[0]
    assert signet("verify", sealed, "--digest", digest).code == 0
    ran = signet("verify", sealed, "--digest", "0" * 64, "--json")
    assert ran.code == 1
    assert digest in json.dumps(ran.object)


@pytest.mark.parametrize("words", [["nothing.signet"], ["pictures"]])
def test_what_is_no_seal(signet, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for command in ("verify", "pack"):
        ran = signet(command, *words)
        assert ran.code == 1
        assert words[0] in ran.out + ran.err
        assert list(tmp_path.iterdir()) == [tmp_path / "pictures"]


def test_pack_is_the_same_each_time_and_accepted(signet, sealed, pictures, tmp_path):
    first, second = tmp_path / "a.signet.zip", tmp_path / "b.signet.zip"
    ran = signet("pack", sealed, "--out", first, "--json")
    assert ran.code == 0
    assert list(ran.object) == ["path", "digest", "size_bytes"]
    assert ran.object["size_bytes"] == first.stat().st_size
    assert signet("pack", sealed, "--out", second).out == f"{second}\n"
    assert first.read_bytes() == second.read_bytes()
    assert signet("verify", first).code == 0
    assert signet("predict", first, *pictures[:4]).lines == signet("predict", sealed, *pictures[:4]).lines
    ran = signet("pack", sealed, "--out", first)
    assert ran.code == 2
    assert signet("pack", sealed, "--out", first, "--overwrite").code == 0


def test_a_packed_seal_is_not_packed_again(signet, mine):
    assert signet("pack", mine).code == 0
    ran = signet("pack", f"{mine}.zip")
    assert ran.code == 2
    assert "packed already" in ran.err
    assert not mine.with_name(mine.name + ".zip.zip").exists()
    assert signet("pack", f"{mine}.zip", "--out", mine.with_name("again.zip")).code == 0


def test_pack_beside_the_seal_by_default(signet, mine):
    assert signet("pack", mine).code == 0
    assert mine.with_name("mine.signet.zip").is_file()
