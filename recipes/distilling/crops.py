"""Strongly augmented crops of photographs: fresh ones for each step, none is ever seen twice.

Shape suffixes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .photographs import Photograph

SIZE = 128
GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Source: ITU-R BT.601."""


class Crops:
    """Draws batches of crops; the same seed gives the same crops.

    Args:
        pool: the photographs.
        share: probability of drawing each, shape (len(pool),).
    """

    def __init__(self, pool: Sequence[Photograph], share: np.ndarray) -> None:
        self._images = [photo.pixels for photo in pool]
        self._share = share

    def batch(self, count: int, seed: Sequence[int]) -> Tensor:
        """Crops with all that is done to them, mixing included.

        Args:
            count: how many.
            seed: numbers that name this batch: run, process, step.

        Returns:
            float32 (N, 3, 128, 128), RGB, normalised with mean 0.5 and deviation 0.5 (-1 to 1), channels
            last.
        """
        random = np.random.default_rng(seed)
        chosen = random.choice(len(self._images), size=count, p=self._share)
        crops_NHWC = np.stack([_crop(self._images[index], random) for index in chosen])
        images_NCHW = torch.from_numpy(crops_NHWC).permute(0, 3, 1, 2).float().div_(255)
        images_NCHW = _blurred(_coloured(images_NCHW, random), random)
        return _mixed(images_NCHW, random).sub_(0.5).mul_(2).contiguous(memory_format=torch.channels_last)


def _crop(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """5 to 100 % of a picture, often of a lower resolution than the net's: uint8 (128, 128, 3)."""
    area = image.width * image.height * float(np.exp(random.uniform(np.log(0.05), 0)))
    ratio = float(np.exp(random.uniform(np.log(0.7), np.log(1 / 0.7))))
    width = min(np.sqrt(area * ratio), image.width)
    height = min(np.sqrt(area / ratio), image.height)
    left = random.uniform(0, image.width - width)
    top = random.uniform(0, image.height - height)
    box = (left, top, left + width, top + height)
    size = SIZE
    if random.random() < 0.35:  # small pictures that were enlarged are what such a net is often given
        size = int(np.exp(random.uniform(np.log(20), np.log(90))))
    part = image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    if size < SIZE:
        part = part.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.1:
        turn = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
        part = part.transpose(turn[random.integers(3)])
    return np.asarray(part)


def _coloured(images_NCHW: Tensor, random: np.random.Generator) -> Tensor:
    """Saturation, hue, grey, contrast, brightness, inversion and noise, for each image; range 0 to 1."""
    count = len(images_NCHW)
    saturation = torch.from_numpy(random.uniform(0.2, 1.6, count)).float()
    saturation[torch.from_numpy(random.random(count) < 0.2)] = 0
    saturation = torch.where(torch.from_numpy(random.random(count) < 0.3), 1.0, saturation)
    grey = torch.tensor(GREY_WEIGHTS).expand(3, 3)
    tint = torch.from_numpy(random.normal(0, 0.06, (count, 3, 3))).float()
    mixing = saturation[:, None, None] * (torch.eye(3) + tint) + (1 - saturation)[:, None, None] * grey
    images_NCHW = torch.einsum("nkc,nchw->nkhw", mixing, images_NCHW)
    contrast = torch.from_numpy(random.uniform(0.6, 1.5, count)).float()
    brightness = torch.from_numpy(random.uniform(-0.18, 0.18, count)).float()
    inverted = torch.from_numpy(random.random(count) < 0.04)
    contrast = torch.where(inverted, -contrast, contrast)
    mean = images_NCHW.mean(dim=(1, 2, 3))
    offset = torch.where(inverted, 1 - mean, mean) + brightness - contrast * mean
    images_NCHW = images_NCHW * contrast[:, None, None, None] + offset[:, None, None, None]
    for index in np.flatnonzero(random.random(count) < 0.1):
        noise = random.standard_normal(images_NCHW.shape[1:], dtype=np.float32)
        images_NCHW[index] += torch.from_numpy(noise) * float(random.uniform(0.01, 0.08))
    return images_NCHW.clamp_(0, 1)


def _blurred(images_NCHW: Tensor, random: np.random.Generator) -> Tensor:
    """One in eight is blurred by two box filters, which come close to a Gaussian."""
    chosen = torch.from_numpy(random.random(len(images_NCHW)) < 0.125)
    if chosen.any():
        part = images_NCHW[chosen]
        for _ in range(2):
            part = functional.avg_pool2d(functional.pad(part, (2, 2, 2, 2), mode="replicate"), 5, 1)
        images_NCHW[chosen] = part
    return images_NCHW


def _mixed(images_NCHW: Tensor, random: np.random.Generator) -> Tensor:
    """Mixes a quarter of the batch up with other images, and gives a quarter a box of another.

    The teacher answers for the mixture itself, so no label has to be mixed.

    Source: Zhang et al., mixup (2018); Yun et al., CutMix (2019).
    """
    count = len(images_NCHW)
    other_NCHW = images_NCHW[torch.from_numpy(random.permutation(count))]
    kind = random.integers(4, size=count)
    amount = np.where(kind == 0, random.beta(0.8, 0.8, count), 1.0).astype(np.float32)
    weight = torch.from_numpy(amount)[:, None, None, None]
    mixed_NCHW = images_NCHW * weight + other_NCHW * (1 - weight)
    for index in np.flatnonzero(kind == 1):
        side = np.sqrt(random.uniform(0.1, 0.6))
        height, width = (int(SIZE * side),) * 2
        top, left = random.integers(0, SIZE - height + 1), random.integers(0, SIZE - width + 1)
        window = (slice(None), slice(top, top + height), slice(left, left + width))
        mixed_NCHW[index][window] = other_NCHW[index][window]
    return mixed_NCHW
