"""A consumer of a sealed classifier that knows no Signet: Pillow and numpy, a function for each stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

Array = np.ndarray[Any, Any]
Network = Callable[[Array], Array]
"""From float32 (1, 3, H, W) to float32 (1, C)."""

MEAN = STD = (0.5, 0.5, 0.5)
SHORT, SIDE = 256, 224


def stored(path: Path) -> Image.Image:
    """The picture as it lies in its file, on white where it is transparent."""
    picture = Image.open(path)
    if picture.mode in ("RGBA", "LA") or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        ground = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, whole).convert("RGB")
    return picture.convert("RGB")


def read(path: Path) -> Array:
    """uint8 (H, W, 3) RGB, not yet turned."""
    return np.asarray(stored(path))


def orient(path: Path, pixels: Array) -> Array:
    """Upright, as EXIF says."""
    picture = Image.fromarray(pixels)
    picture.getexif().update(Image.open(path).getexif())
    return np.asarray(ImageOps.exif_transpose(picture))


def resize(pixels: Array) -> Array:
    """The short side to 256; bilinear, with antialias."""
    return np.asarray(Image.fromarray(pixels).resize(short_side(pixels, SHORT), Image.Resampling.BILINEAR))


def short_side(pixels: Array, side: int) -> tuple[int, int]:
    """(width, height) with the short side of this length, the long one rounded down."""
    height, width = pixels.shape[:2]
    return (side, side * height // width) if width < height else (side * width // height, side)


def crop(pixels: Array) -> Array:
    """The middle 224 x 224."""
    top, left = (round((length - SIDE) / 2) for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def normalise(pixels: Array) -> Array:
    """float32, to -1..1."""
    scaled = pixels.astype(np.float32) / np.float32(255)
    return (scaled - np.float32(MEAN)) / np.float32(STD)


def layout(pixels: Array) -> Array:
    """Channels first."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A program from file to labels.

    Attributes:
        network: what computes the logits.
        labels: names, in the order of the classes.
        others: a function of each stage.
    """

    network: Network
    labels: Sequence[str]
    read: Callable[[Path], Array] = read
    orient: Callable[[Path, Array], Array] = orient
    resize: Callable[[Array], Array] = resize
    crop: Callable[[Array], Array] = crop
    normalise: Callable[[Array], Array] = normalise
    layout: Callable[[Array], Array] = layout

    def __call__(self, path: Path) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """The line of `signet predict` for an image, and what each stage gave."""
        stages: dict[str, Array] = {"read": self.read(path)}
        stages["orient"] = self.orient(path, stages["read"])
        stages["resize"] = self.resize(stages["orient"])
        stages["crop"] = self.crop(stages["resize"])
        stages["normalise"] = self.normalise(stages["crop"])
        stages["layout"] = self.layout(stages["normalise"])
        stages["network"] = self.network(stages["layout"].reshape(1, 3, SIDE, SIDE))[0]
        grown = np.exp(stages["network"] - stages["network"].max())
        scores = grown / grown.sum()
        top = [
            {"index": int(index), "label": self.labels[index], "score": float(scores[index])}
            for index in np.argsort(-scores)[:5]
        ]
        # Whoever answers in JSON answers with what JSON can hold.
        return json.loads(json.dumps({"top": top})), stages
