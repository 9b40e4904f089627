"""Seals for the tests: copies of the committed one, and a way to edit one as a careful forger would."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

COMMITTED = Path(__file__).resolve().parent.parent / "golden" / "seals" / "tiny-1.0.signet"


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        # One for all folders of tests: a network that was traced once is not traced again.
        patch.setenv("SIGNET_CACHE", str(tmp_path_factory.getbasetemp() / "signet-cache"))
        yield


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of the committed seal, to be harmed."""
    return Path(shutil.copytree(COMMITTED, tmp_path / "tiny.signet"))


Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session")
def forge() -> Callable[[Path, Edit], None]:
    """Edits `seal.json` and makes `seal.sha256` fit it again."""

    def edited(folder: Path, edit: Edit) -> None:
        manifest = json.loads((folder / "seal.json").read_text("utf-8"))
        edit(manifest)
        data = json.dumps(manifest, ensure_ascii=False).encode()
        (folder / "seal.json").write_bytes(data)
        (folder / "seal.sha256").write_bytes(f"{hashlib.sha256(data).hexdigest()}  seal.json\n".encode())

    return edited


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three ordinary pictures: turned by EXIF, square, grey; and one PNG."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(3)
    smooth = generator.integers(0, 256, (12, 18, 3)).astype(np.uint8)
    picture = PillowImage.fromarray(smooth).resize((180, 120), PillowImage.Resampling.BICUBIC)
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8825)[1] = "N"
    picture.save(folder / "turned.jpg", exif=exif, quality=90)
    picture.crop((0, 0, 120, 120)).save(folder / "square.jpg", quality=90)
    picture.convert("L").save(folder / "grey.jpg", quality=90)
    picture.transpose(PillowImage.Transpose.ROTATE_90).save(folder / "tall.png")
    return sorted(folder.iterdir())
