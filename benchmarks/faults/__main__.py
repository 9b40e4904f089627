"""The fault suite: classic silent mistakes injected one by one, and who notices.

    PYTHONPATH=benchmarks python -m faults --work FOLDER [--shared FOLDER] [--peers PYTHON]
        [--csv FILE] [--page FILE]

`--peers` has timm, torchvision, transformers, fastai, Keras, onnxscript, onnxruntime and safetensors; without
it only Signet is asked. Each finished answer is a line of FOLDER/noticed.jsonl: stop it, and call it again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from faults import table
from faults.adapters import LIBRARIES
from faults.by_signet import BySignet
from faults.costs import Costs
from faults.noticing import Record


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    record = Record(asked.work / "noticed.jsonl")
    suite = BySignet(asked.work, asked.shared)
    suite.plain()
    suite.run(record)
    if asked.peers is not None:
        _peers(asked.peers, asked.work, asked.shared)
    costs, rows = Costs(suite).run(), record.rows()
    if asked.csv is not None:
        table.write_csv(rows, costs, asked.csv, asked.work)
    page = f"{table.counted(rows)}\n\n{table.LEGEND}.\n\n{table.markdown(rows, costs)}\n"
    if asked.page is not None:
        asked.page.write_text(page, encoding="utf-8")
    print(page)


def _peers(python: Path, work: Path, shared: Path) -> None:
    """Each library in a process of its own, which knows no Signet."""
    around = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "KERAS_BACKEND": "torch",
        "HF_HUB_OFFLINE": "1",
    }
    for part in (*(["faults.by_peers", library] for library in LIBRARIES), ["faults.by_keras"]):
        command = [str(python), "-m", *part, "--work", str(work), "--shared", str(shared)]
        subprocess.run(command, env=around, check=True)


if __name__ == "__main__":
    main()
