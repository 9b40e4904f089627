"""The README's Python runs as it stands, its commands exist, and its links lead somewhere."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from typer.testing import CliRunner

from signet.cli.commands import application
from signet.errors import SignetError

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


NOT_HERE = ("birds_2025.signet", "cells", "streets", "my_yolov8n.pt", "--file birds.onnx")
"""What the README's reader has and this test has not: training on it takes minutes and real weights."""

COMMANDS = re.findall(r"^\$ (signet .*?)(?:\s+#.*)?$", README, re.MULTILINE)


def stripes(random: np.random.Generator, across: bool, width: int) -> Image.Image:
    """A picture of a kind that a probe can tell from the other kind."""
    ramp = np.arange(48) // width % 2 * 160 + 40
    clean = np.broadcast_to(ramp[:, None] if across else ramp[None], (48, 48))
    noisy = np.clip(clean + random.normal(0, 12, (48, 48)), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert("RGB")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of which the README speaks: two labels to learn, the same to measure, some without any."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("readme")
    for folder, count in (("birds", 12), ("more_birds", 12)):
        for label in ("across", "down"):
            target = root / folder / label
            target.mkdir(parents=True)
            for number in range(count):
                stripes(random, label == "across", 2 + number % 4).save(target / f"{number}.png")
    (root / "new_pictures").mkdir()
    for number in range(3):
        stripes(random, number % 2 == 0, 3).save(root / "new_pictures" / f"{number}.png")
    # Another light, and no labels.
    (root / "night").mkdir()
    for number in range(12):
        picture = stripes(random, number % 2 == 0, 2 + number % 4)
        picture.point(lambda value: value // 3).save(root / "night" / f"{number}.png")
    signer = ec.generate_private_key(ec.SECP256R1())
    (root / "maker.pem").write_bytes(
        signer.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    )
    app = root / "my_app"
    app.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m signet predict birds.signet "$1" --quiet\n')
    app.chmod(0o755)
    return root


def test_that_the_python_of_the_readme_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    said = capsys.readouterr().out
    assert (place / "birds.signet" / "seal.json").is_file()
    assert "agree with what was sealed" in said
    shutil.rmtree(place / "birds.signet")


def test_that_the_readme_shows_every_command() -> None:
    known = {command.name for command in application().registered_commands}
    assert {command.split()[1] for command in COMMANDS} == known


def test_that_the_commands_of_the_readme_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        if words[0] == "demo":  # tests/demonstration runs it, on fewer pictures
            continue
        if words[0] == "finetune":  # what further training does is tested where it is done
            words += ["--strategy", "probe"]
        ran = CliRunner().invoke(application(words), words)
        if any(name in command for name in NOT_HERE):
            # Its options are read before anything is looked for.
            assert isinstance(ran.exception, SignetError), f"{command}: {ran}"
            continue
        assert ran.exit_code == 0, f"{command}: {ran.output}"
    assert (place / "birds.html").is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_that_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text("utf-8"))
    for link in links:
        if "://" not in link:
            assert (document.parent / link).exists(), f"{document.name}: {link}"
