"""kill -9 at any moment, then resume: the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork and no SIGKILL there")


def test_a_run_killed_many_times_ends_as_one_never_killed(images: Path, tmp_path: Path) -> None:
    program = Path(__file__).with_name("tiny.py")
    done = subprocess.run(
        [sys.executable, str(program), str(images), str(tmp_path), "7"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    assert answer["hits"] >= 3
    assert answer["same"]
    assert answer["held"]
    # Nothing half-written stays, and two generations do.
    assert len(answer["left"]) == 2
    assert all(name.startswith("checkpoint-") for name in answer["left"])
