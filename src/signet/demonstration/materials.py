"""A small set of photographic materials, cut from the photographs that scikit-image carries inside its wheel.

Digits are too easy to show what pretraining is worth. Here the crops are grey and contrast-normalised, of
several magnifications, turned and mirrored, so that neither colour nor brightness nor scale gives the
material away.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from signet.errors import BadDataset, MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

Box = tuple[int, int, int, int]

MEAN, DEVIATION = 128.0, 48.0
"""What every crop's grey values are brought to."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Where one material can be cut.

    Attributes:
        file: picture inside `skimage.data`.
        train: region (left, top, right, bottom) in pixels for the training crops.
        test: region for the test crops; shares no pixel with `train`.
        sides: least and greatest side of a crop, in pixels of the picture.
    """

    file: str
    train: Box
    test: Box
    sides: tuple[int, int]


MATERIALS = {
    "brick": Material(file="brick.png", train=(0, 0, 246, 512), test=(266, 0, 512, 512), sides=(40, 120)),
    "fur": Material(file="chelsea.png", train=(130, 0, 216, 84), test=(224, 0, 310, 84), sides=(40, 78)),
    "grass": Material(file="grass.png", train=(0, 0, 246, 512), test=(266, 0, 512, 512), sides=(40, 120)),
    "gravel": Material(file="gravel.png", train=(0, 0, 246, 512), test=(266, 0, 512, 512), sides=(40, 120)),
    "machine": Material(
        file="motorcycle_left.png", train=(120, 210, 370, 410), test=(400, 120, 700, 410), sides=(40, 120)
    ),
    "moon": Material(file="moon.png", train=(0, 0, 512, 246), test=(0, 266, 512, 512), sides=(40, 120)),
    "print": Material(file="page.png", train=(0, 0, 184, 150), test=(200, 0, 384, 150), sides=(40, 90)),
    "retina": Material(
        file="retina.jpg", train=(300, 150, 1110, 690), test=(300, 720, 1110, 1260), sides=(100, 300)
    ),
    "script": Material(file="text.png", train=(0, 0, 214, 172), test=(234, 0, 448, 172), sides=(40, 110)),
    "stars": Material(
        file="hubble_deep_field.jpg", train=(0, 0, 490, 872), test=(510, 0, 1000, 872), sides=(60, 200)
    ),
    "tissue": Material(file="ihc.png", train=(0, 0, 246, 512), test=(266, 0, 512, 512), sides=(40, 120)),
    "wood": Material(file="coffee.png", train=(0, 100, 74, 390), test=(480, 210, 600, 400), sides=(40, 72)),
}


def materials(
    size: int = 64, train: int = 12, test: int = 40, seed: int = 0
) -> list[tuple[str, str, NDArray[np.uint8]]]:
    """Cuts the set; the same arguments give the same pixels.

    Args:
        size: height and width of each crop, in pixels.
        train: training crops of each material.
        test: test crops of each material, from regions that share no pixel with those of training.
        seed: of the places, magnifications and turns.

    Returns:
        (material, "train" or "test", uint8 (size, size, 3) RGB with three equal channels), ordered by
        material, training first.

    Raises:
        MissingExtra: scikit-image is not installed.
        BadDataset: this version of it no longer carries one of the photographs.
    """
    random = np.random.default_rng(seed)
    crops: list[tuple[str, str, NDArray[np.uint8]]] = []
    for name, material in MATERIALS.items():
        picture = _picture(material.file)
        for split, region, count in (("train", material.train, train), ("test", material.test, test)):
            for _ in range(count):
                crops.append((name, split, _crop(picture, region, material.sides, size, random)))
    return crops


def _picture(file: str) -> Image.Image:
    """One of scikit-image's own pictures, grey. Its loaders are not used, since they may download."""
    from PIL import Image

    try:
        found = resources.files("skimage.data") / file
    except ModuleNotFoundError as error:
        raise MissingExtra("Cutting the demo's materials", "fit", "scikit-image") from error
    if not found.is_file():
        raise BadDataset(
            f"This version of scikit-image carries no {file!r}, from which the demo's materials are cut. "
            "Expected scikit-image 0.26; install that version, or use a folder of your own."
        )
    with found.open("rb") as opened, Image.open(opened) as image:
        return image.convert("RGB").convert("L")


def _crop(
    picture: Image.Image, region: Box, sides: tuple[int, int], size: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """One square of the region, turned and mirrored at random, its contrast normalised."""
    from PIL import Image

    side = int(random.integers(sides[0], sides[1] + 1))
    left = int(random.integers(region[0], region[2] - side + 1))
    top = int(random.integers(region[1], region[3] - side + 1))
    square = picture.crop((left, top, left + side, top + side))
    grey = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32)
    grey = np.rot90(grey, int(random.integers(4)))
    if random.integers(2):
        grey = grey[:, ::-1]
    normal = (grey - grey.mean()) / max(float(grey.std()), 1e-3)
    levels = np.clip(np.rint(normal * DEVIATION + MEAN), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(levels[:, :, None], 3, axis=2))
