"""The package as a whole."""

from __future__ import annotations

import subprocess
import sys

import signet.training


def test_every_public_name_is_there_and_described() -> None:
    for name in signet.training.__all__:
        assert getattr(signet.training, name).__doc__


def test_nothing_in_signet_imports_it_at_import_time() -> None:
    program = "import sys, signet, signet.finetuning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0
