"""The tiny network of the tests, running."""

from __future__ import annotations

import pytest

from signet.models import load
from signet.streaming import settings_for


@pytest.fixture(scope="session")
def running(tmp_path_factory, floor3):
    """A classifier; `told.Told` makes others of it."""
    pretrained = floor3.graph_model(tmp_path_factory.mktemp("running"))
    with load(pretrained, engine="onnx", settings=settings_for(many=True, threads=1)) as opened:
        yield opened
