"""The tiny network of the tests, running, and models that answer what they were told to."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from signet.measuring import prediction_milliseconds
from signet.models import load
from signet.streaming import settings_for

pytest.importorskip("scipy")


@pytest.fixture(autouse=True)
def once(monkeypatch):
    """No half second of one image after another."""
    monkeypatch.setattr(
        "signet.comparing.prediction_milliseconds", partial(prediction_milliseconds, least_seconds=0)
    )


@pytest.fixture(scope="module")
def told(module_at):
    return module_at("told", Path(__file__).parents[1] / "evaluation" / "told.py")


@pytest.fixture(scope="module")
def running(tmp_path_factory, floor3):
    pretrained = floor3.graph_model(tmp_path_factory.mktemp("model"))
    with load(pretrained, engine="onnx", settings=settings_for(many=True, threads=1)) as opened:
        yield opened
