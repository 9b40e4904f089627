"""The library on one page names what is there, all of it, and nothing else."""

import re
from pathlib import Path

import signet

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "all-of-signet.md").read_text("utf-8")
PACKAGE = ROOT / "src" / "signet"


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", PAGE))
    assert named
    assert {name for name in named if not (PACKAGE / name).exists()} == set()


def test_every_file_of_the_package_is_named() -> None:
    files = {path.name if path.suffix else f"{path.name}/" for path in PACKAGE.iterdir()}
    unnamed = {"py.typed", "version.py", *(name for name in files if name.startswith("__"))}
    assert {name for name in files - unnamed if f"`{name}" not in PAGE} == set()


def test_every_public_name_is_there() -> None:
    public = set(signet.__all__) - {"__version__"}
    assert {name for name in public if not re.search(rf"\b{name}\b", PAGE)} == set()
