"""Corruptions of pictures, each at its strongest of five severities, after Hendrycks and Dietterich.

Written here from the paper's descriptions, with the constants that go with pictures of 32 pixels.

Source: D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations" (ICLR 2019), arXiv:1903.12261, section 3 and CIFAR-10-C.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.float64]
"""float64 (H, W, 3), 0 to 1."""


def gaussian_noise(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Noise of a tenth of the range in every value."""
    return pixels + random.normal(0, 0.10, pixels.shape)


def gaussian_blur(pixels: Pixels, random: np.random.Generator) -> Pixels:  # noqa: ARG001
    """A blur of one pixel's deviation."""
    return np.asarray(gaussian_filter(pixels, (1.0, 1.0, 0.0)))


def contrast(pixels: Pixels, random: np.random.Generator) -> Pixels:  # noqa: ARG001
    """15 % of the distance from the picture's mean colour."""
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return np.asarray((pixels - mean) * 0.15 + mean)


def brightness(pixels: Pixels, random: np.random.Generator) -> Pixels:  # noqa: ARG001
    """0.3 added to the value (the largest of red, green and blue), hue and saturation kept."""
    value = pixels.max(axis=2, keepdims=True)
    brighter = np.clip(value + 0.3, 0, 1)
    return np.where(value > 0, pixels * brighter / np.maximum(value, 1e-9), brighter)


def jpeg(pixels: Pixels, random: np.random.Generator) -> Pixels:  # noqa: ARG001
    """Coded as JPEG of quality 40, and decoded."""
    buffer = io.BytesIO()
    _picture(pixels).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer).convert("RGB"), np.float64) / 255


CORRUPTIONS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "gaussian noise": gaussian_noise,
    "gaussian blur": gaussian_blur,
    "contrast": contrast,
    "brightness": brightness,
    "jpeg": jpeg,
}


def write_corrupted(path: Path, to: Path, name: str, seed: int) -> None:
    """A picture with a corruption, "none" for none, as PNG; the same seed gives the same file."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float64) / 255
    changed = pixels if name == "none" else CORRUPTIONS[name](pixels, np.random.default_rng(seed))
    to.parent.mkdir(parents=True, exist_ok=True)
    _picture(changed).save(to)


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
