"""The photographs that the starter learns from, and the record of them that travels with it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps

LONGEST_SIDE = 448
"""Larger photographs are reduced to this once: a crop of 5 % of one is then about 100 pixels wide, as the
net sees it."""

PICTURES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is known of a set: under which terms it comes, and how often to draw from it."""

    licence: str
    share: float


TERMS = {
    "imagenet_sample_250": Terms(licence="none stated; ImageNet pictures, research use", share=0.5),
    "coco_tiny": Terms(licence="no licence for the set; COCO terms of use, pictures from Flickr", share=0.34),
    "bccd": Terms(licence="MIT", share=0.07),
    "nuclei_200": Terms(licence="CC0-1.0", share=0.09),
}
"""Terms as the sets' own pages state them. A folder that is not listed is refused: its terms must be looked
up first."""

FOLDERS = {
    "imagenet_sample_250": ("",),
    "coco_tiny": ("train2017", "val2017"),
    "bccd": ("JPEGImages",),
    "nuclei_200": ("images",),
}
"""Where in each set the photographs lie; masks and other label pictures are left out."""


@dataclass(frozen=True)
class Photograph:
    """One picture of the pool.

    Attributes:
        set_name: a key of `TERMS`.
        sha256: of the file's bytes, in hex.
        phash: 64-bit perceptual hash, in hex.
        pixels: uint8 (H, W, 3) RGB, upright, longest side at most `LONGEST_SIDE`.
    """

    set_name: str
    sha256: str
    phash: str
    pixels: Image.Image


def read_pool(folders: Sequence[Path]) -> list[Photograph]:
    """All photographs of the sets, in the order of their names.

    Raises:
        SystemExit: a folder's set is not listed in `TERMS`, or it holds no picture.
    """
    pool: list[Photograph] = []
    for folder in folders:
        if folder.name not in TERMS:
            known = ", ".join(TERMS)
            raise SystemExit(
                f"{folder.name!r} is not a set whose terms are known here ({known}). "
                "Look up its licence and add it to TERMS in recipes/distilling/photographs.py."
            )
        paths = [
            path
            for inner in FOLDERS[folder.name]
            for path in sorted((folder / inner).rglob("*"))
            if path.suffix.lower() in PICTURES
        ]
        if not paths:
            raise SystemExit(f"No picture was found in {folder}.")
        pool.extend(_photograph(path, folder.name) for path in paths)
    return pool


def pool_record(pool: Sequence[Photograph]) -> dict[str, object]:
    """The pool as it travels with the weights: no picture, but enough to recognise each one.

    `images` has one line a picture: set, sha256 of the file, perceptual hash.
    """
    counts = {name: sum(photo.set_name == name for photo in pool) for name in TERMS}
    return {
        "format": {"major": 1, "minor": 0},
        "perceptual_hash": "imagehash.phash, 64 bits, hexadecimal",
        "sets": {
            name: {
                "licence": TERMS[name].licence,
                "non_commercial": False,
                "images": count,
                "share_of_crops": TERMS[name].share,
            }
            for name, count in counts.items()
            if count
        },
        "images": [f"{photo.set_name} {photo.sha256} {photo.phash}" for photo in pool],
    }


def shares(pool: Sequence[Photograph]) -> np.ndarray:
    """Probability of drawing each photograph: float64, shape (len(pool),), sum 1."""
    counts = {name: sum(photo.set_name == name for photo in pool) for name in TERMS}
    share: np.ndarray = np.array([TERMS[photo.set_name].share / counts[photo.set_name] for photo in pool])
    return share / share.sum()


def _photograph(path: Path, set_name: str) -> Photograph:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    phash = str(imagehash.phash(image))
    scale = LONGEST_SIDE / max(image.size)
    if scale < 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return Photograph(set_name, hashlib.sha256(data).hexdigest(), phash, image)
