"""A short campaign of random changes; `benchmarks/tampering` makes ten thousand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from signet.seals import open_seal

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "tests" / "golden" / "seals" / "tiny-1.0.signet"
CHANGES = 312
"""Twelve of each kind."""
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the most memory in use is asked of Linux"
)


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    # Nothing here is to survive a loss of power, which is what takes most of the time.
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    module = importlib.import_module("tampering.campaign")
    # Beside thousands of other tests memory comes and goes; a bomb that is unpacked would still be seen.
    monkeypatch.setattr(module, "BLOCK_BYTES", 16 << 20)
    return module


def test_every_random_change_is_refused_in_words_or_harms_nothing(campaign, tmp_path):
    made = campaign.Campaign(COMMITTED, tmp_path)
    outcomes = [made.in_process(number) for number in range(CHANGES)]
    assert [vars(outcome) for outcome in outcomes if outcome.what == campaign.FAILED] == []
    assert all(outcome.words for outcome in outcomes if outcome.what != campaign.HARMLESS)
    assert {outcome.what for outcome in outcomes} == {campaign.REFUSED, campaign.FORGED, campaign.HARMLESS}
    assert open_seal(tmp_path / "copy.signet").digest == made.digest


def test_a_change_that_nobody_notices_fails(campaign, tmp_path, monkeypatch):
    made = campaign.Campaign(COMMITTED, tmp_path)
    opened = made.whole | {"README.md": b"another"}
    monkeypatch.setattr(campaign, "checked", lambda *asked: None)
    monkeypatch.setattr(made, "_read", lambda place: opened)
    assert made.in_process(0).what == campaign.FAILED
    monkeypatch.setattr(campaign, "checked", lambda place, *_: 1 / 0 if place.suffix == ".zip" else None)
    assert "ZeroDivisionError" in made.in_process(14).words
