"""`signet demo`: the door. What stands behind it is tested with the demonstration."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

run = pytest.importorskip("signet.demonstration.run")


@pytest.fixture
def asked(monkeypatch):
    """Instead of the demonstration: what it was asked for."""
    calls = []

    def run_demo(out, **options):
        calls.append({"out": out, **options})
        options["on_step"]("a step")
        ok = not (out / "fail").exists()
        return SimpleNamespace(ok=ok, to_dict=lambda: {"ok": ok, "report": "r"}, words=lambda: ["one", "two"])

    monkeypatch.setattr(run, "run_demo", run_demo)
    return calls


def test_json_is_one_object(signet, asked, tmp_path):
    ran = signet("demo", "--out", tmp_path, "--json", "--seed", "4")
    assert ran.code == 0
    assert list(ran.object) == ["ok", "report", "seconds"]
    assert (asked[0]["out"], asked[0]["seed"], asked[0]["overwrite"]) == (tmp_path, 4, False)


def test_for_a_person(signet, asked, tmp_path):
    ran = signet("demo", "--out", tmp_path, "--overwrite")
    assert (ran.code, ran.out) == (0, "one\ntwo\n")
    assert "a step" in ran.err
    assert asked[0]["overwrite"] is True


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_check_that_says_no_is_1(signet, asked, tmp_path, words):
    (tmp_path / "fail").touch()
    assert signet("demo", "--out", tmp_path, *words).code == 1
