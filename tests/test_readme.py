"""The README's Python runs as it stands, its commands exist, and its links lead somewhere."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from signet.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two labels that a probe can tell apart: stripes across and stripes down."""
    random = np.random.default_rng(0)
    for label, axis in (("across", 0), ("down", 1)):
        for number in range(12):
            ramp = np.arange(48) // (2 + number % 4) % 2 * 160 + 40
            stripes = np.broadcast_to(ramp[:, None] if axis == 0 else ramp[None], (48, 48))
            noisy = np.clip(stripes + random.normal(0, 12, (48, 48)), 0, 255).astype(np.uint8)
            target = tmp_path / "photos" / label / f"{number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy).convert("RGB").save(target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_that_the_python_of_the_readme_runs(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    said = capsys.readouterr().out
    assert (photos / "photos.signet" / "seal.json").is_file()
    assert "agree with what was sealed" in said
    shutil.rmtree(photos / "photos.signet")


def test_that_every_command_of_the_readme_exists() -> None:
    known = {command.name for command in app.registered_commands}
    used = set(re.findall(r"^\$ signet (\w+)", README, re.MULTILINE))
    assert used
    assert used <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_that_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text("utf-8"))
    for link in links:
        if "://" not in link:
            assert (document.parent / link).exists(), f"{document.name}: {link}"
