"""Environment variables for a while."""

from __future__ import annotations

import os

import pytest

from signet.environment import environment


def failing() -> None:
    with environment({"SIGNET_TEST_THERE": "other", "SIGNET_TEST_NEW": "new"}):
        assert (os.environ["SIGNET_TEST_THERE"], os.environ["SIGNET_TEST_NEW"]) == ("other", "new")
        os.environ.pop("SIGNET_TEST_NEW")
        raise ValueError


def test_they_are_as_they_were_afterwards_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_TEST_THERE", "mine")
    monkeypatch.delenv("SIGNET_TEST_NEW", raising=False)
    with pytest.raises(ValueError):
        failing()
    assert os.environ["SIGNET_TEST_THERE"] == "mine"
    assert "SIGNET_TEST_NEW" not in os.environ
