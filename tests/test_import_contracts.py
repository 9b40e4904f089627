"""Imports only go down, and every contract that says so can catch a breach."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINTER = Path(sys.executable).with_name("lint-imports")

BREACHES = {
    "Imports only go down": ("errors.py", "import signet.models"),
    "No zoo knows another": ("zoos/from_timm.py", "import signet.zoos.from_torchvision"),
    "No engine knows another": ("engines/on_onnx.py", "import signet.engines.on_openvino"),
    "Torch only where networks are built or trained": ("models.py", "import torch"),
    "The command line's libraries only in the command line": ("models.py", "import rich"),
    "Nobody imports the doors": ("models.py", "import signet.cli.main"),
}


def linted(folder: Path) -> str:
    """What import-linter says of the package in a folder."""
    done = subprocess.run(
        [LINTER, "--config", ROOT / ".importlinter", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's Python files, to be broken."""
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copytree(
        ROOT / "src" / "signet",
        folder / "signet",
        ignore=lambda place, names: [
            name for name in names if (Path(place) / name).is_file() and not name.endswith(".py")
        ],
    )
    return folder


def test_that_the_package_keeps_every_contract(package: Path) -> None:
    said = linted(package)
    assert "0 broken" in said, said
    for name in BREACHES:
        assert f"{name} KEPT" in said, said


@pytest.mark.parametrize("name", BREACHES)
def test_that_a_contract_catches_a_breach(package: Path, name: str) -> None:
    file, line = BREACHES[name]
    path = package / "signet" / file
    whole = path.read_text("utf-8")
    path.write_text(whole + f"\n{line}\n", "utf-8")
    try:
        assert f"{name} BROKEN" in linted(package)
    finally:
        path.write_text(whole, "utf-8")
