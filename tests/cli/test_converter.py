"""OpenVINO's converter is put off, and is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys


def _said(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from signet.cli import converter; {code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_converter_is_imported_when_it_is_asked_for_and_not_before():
    assert _said(
        "converter.put_off(); before = list(sys.meta_path[1:]); import openvino; "
        "print('openvino.tools.ovc' in sys.modules, sys.meta_path == before, hasattr(openvino, 'nothing')); "
        "print(callable(openvino.convert_model), 'openvino.tools.ovc' in sys.modules)"
    ) == ["False", "True", "False", "True", "True"]


def test_a_process_that_has_openvino_already_is_left_as_it_is():
    assert _said(
        "import openvino; before = list(sys.meta_path); converter.put_off(); "
        "print(sys.meta_path == before, 'convert_model' in vars(openvino))"
    ) == ["True", "True"]
