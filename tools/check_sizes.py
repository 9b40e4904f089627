"""Refuse what has grown too large: Python files over 400 lines, any tracked file over 4 MiB.

python tools/check_sizes.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MOST_LINES = 400
MOST_BYTES = 4 * 1024 * 1024


def faults(root: Path) -> list[str]:
    """One sentence for each file that is too large."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = root / name
        if not path.is_file():
            continue
        if path.stat().st_size >= MOST_BYTES:
            found.append(f"{name}: {path.stat().st_size} bytes, at most {MOST_BYTES - 1} are allowed")
        if path.suffix == ".py":
            lines = path.read_text("utf-8").count("\n")
            if lines > MOST_LINES:
                found.append(f"{name}: {lines} lines, at most {MOST_LINES} are allowed; find its second room")
    return found


if __name__ == "__main__":
    too_large = faults(Path(__file__).resolve().parent.parent)
    print("\n".join(too_large) or "sizes: all files are small enough")
    sys.exit(bool(too_large))
