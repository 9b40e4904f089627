"""The quick form of kill_and_resume.py: three kills, then the same bytes as without."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The module tests/interruption/kill_and_resume.py."""
    name = "signet_kill_and_resume"
    if name not in sys.modules:
        place = Path(__file__).with_name("kill_and_resume.py")
        spec = importlib.util.spec_from_file_location(name, place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGNET_MIRROR", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_killed_prediction_ends_as_if_it_had_not_been(script, tmp_path):
    words = script.predict_words(tmp_path, None, None, 5000)
    outcome = script.predict(words, tmp_path, 3, random.Random(3))
    assert outcome.differences == []
    assert outcome.killed >= 3
    assert outcome.torn >= 1
    # Really half way: something was there, and not all.
    size = (tmp_path / "whole.jsonl").stat().st_size
    assert any(0 < moment < size for moment in outcome.moments)


def test_a_killed_probe_ends_as_if_it_had_not_been(script, tmp_path):
    words = script.finetune_words(tmp_path, None, None, "probe")
    outcome = script.finetune(words, tmp_path, 2, random.Random(1))
    assert outcome.differences == []
    assert outcome.killed == 2


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(script, tmp_path):
    pytest.importorskip("torch")
    words = script.finetune_words(tmp_path, None, None, "full")
    outcome = script.finetune(words, tmp_path, 1, random.Random(5))
    assert outcome.differences == []
    assert outcome.killed == 1


def test_every_byte_of_a_seal_counts(script, tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name / "golden").mkdir(parents=True)
        (tmp_path / name / "golden" / "x").write_bytes(content)
    (tmp_path / "b" / "more").touch()
    assert script.differences(tmp_path / "a", tmp_path / "a") == []
    assert script.differences(tmp_path / "a", tmp_path / "b") == ["more"]
    assert script.differences(tmp_path / "a", tmp_path / "c") == ["golden/x"]


def test_a_file_that_is_not_resumed_would_be_noticed(script, tmp_path, monkeypatch):
    monkeypatch.setattr(
        script, "predicting", lambda words, out: [*script.SIGNET, "find", "--names", "starter", "--quiet"]
    )
    words = script.predict_words(tmp_path, None, None, 50)
    (tmp_path / "killed.jsonl").write_text("something else\n")
    (tmp_path / "killed.jsonl.run.json").write_text("{}")
    monkeypatch.setattr(script, "_kill", lambda *_: None)
    assert "the lines" in script.predict(words, tmp_path, 1, random.Random(0)).differences
