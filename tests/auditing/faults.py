"""Faults to plant into a copy of the small CIFAR-10: each a function that breaks something and says what."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

KNOWN = {
    "leak": {
        "test/automobile/0281.jpg", "train/automobile/4654.jpg",
        "test/automobile/0696.jpg", "train/automobile/1917.jpg", "train/automobile/2437.jpg",
        "test/deer/0176.jpg", "train/deer/2770.jpg",
    },
    "near copies": {
        "train/automobile/0599.jpg", "train/automobile/1857.jpg",
        "train/automobile/2767.jpg", "train/automobile/3641.jpg",
        "train/deer/0066.jpg", "train/deer/0231.jpg",
    },
}  # fmt: skip
"""What is really wrong in the data as they are: each was looked at, and shows one car or deer twice."""

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Ground:
    """A copy of the data, of so many images of each class of each split; all of them when None.

    Pictures that are really there twice are never taken to plant a fault with.
    """

    def __init__(self, shared: Path, folder: Path, *, most: int | None = None) -> None:
        self.folder = folder
        self._free: dict[tuple[str, str], list[Path]] = {}
        taken = set().union(*KNOWN.values())
        for split in ("train", "test"):
            for label in CLASSES:
                target = folder / split / label
                target.mkdir(parents=True)
                files = sorted((shared / "data/cifar10_small" / split / label).iterdir())[:most]
                for file in files:
                    shutil.copyfile(file, target / file.name)
                free = [target / file.name for file in files if f"{split}/{label}/{file.name}" not in taken]
                self._free[split, label] = free

    def take(self, split: str, label: str) -> Path:
        """A picture that no other fault uses."""
        return self._free[split, label].pop()

    def move(self, count: int, split: str, label: str, to: Path) -> list[Path]:
        """Give some pictures another place; `to` is below the folder."""
        (self.folder / to).mkdir(parents=True, exist_ok=True)
        moved = []
        for number in range(count):
            path = self.take(split, label)
            moved.append(path.rename(self.folder / to / f"moved{number}{path.name}"))
        return moved


def save(picture: Pillow.Image, path: Path, **options: object) -> list[str]:
    """Write a picture, and say its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return [path.name]


def resaved(change: Callable[[Pillow.Image], Pillow.Image], name: str, **options: object):
    """A training picture that comes back changed among the test pictures of its class."""

    def plant(ground: Ground, label: str) -> list[str]:
        path = ground.take("train", label)
        picture = change(Pillow.open(path).convert("RGB"))
        return [path.name, *save(picture, ground.folder / "test" / label / name, **options)]

    return plant


def noisy(picture: Pillow.Image) -> Pillow.Image:
    pixels = np.asarray(picture).astype(float)
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    return Pillow.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def levels(scale: float, shift: float) -> Callable[[Pillow.Image], Pillow.Image]:
    return lambda picture: picture.point(lambda value: min(255, max(0, round(scale * value + shift))))


def broken(data: Callable[[bytes], bytes], name: str):
    """A file that is no image, or no whole one."""

    def plant(ground: Ground, label: str) -> list[str]:
        whole = ground.take("train", label).read_bytes()
        (ground.folder / "train" / label / name).write_bytes(data(whole))
        return [name]

    return plant


def copied(split: str, label: str, name: str, quality: int | None = None):
    """A training picture, once more in some split and class: the same bytes, or saved again."""

    def plant(ground: Ground, own: str) -> list[str]:
        path = ground.take("train", own)
        target = ground.folder / split / (label or own) / name
        if quality is None:
            shutil.copyfile(path, target)
        else:
            Pillow.open(path).save(target, quality=quality)
        return [path.name, name]

    return plant


def drawn(picture: Callable[[Pillow.Image], Pillow.Image], name: str, **options: object):
    """A training picture in an odd form, in place of itself."""

    def plant(ground: Ground, label: str) -> list[str]:
        path = ground.take("train", label)
        found = save(picture(Pillow.open(path).convert("RGB")), path.with_name(name), **options)
        path.unlink()
        return found

    return plant


def moved(count: int, split: str, to: str):
    """A class of its own, of so many pictures of another one."""

    def plant(ground: Ground, label: str) -> list[str]:
        ground.move(count, split, label, Path(split) / to)
        return [to]

    return plant


def patients(ground: Ground, label: str) -> list[str]:
    names = []
    for number in range(3):
        for split, view in (("train", "left"), ("train", "right"), ("test", "front")):
            path = ground.take(split, label)
            names.append(path.rename(path.with_name(f"patient{number}_{view}.jpg")).name)
    return names


def subjects(ground: Ground, label: str) -> list[str]:
    names = []
    for split in ("train", "test"):
        path = ground.take(split, label)
        target = path.parent / "subject-7" / f"{split}.jpg"
        target.parent.mkdir()
        names.append(path.rename(target).name)
    return names


def nothing(ground: Ground, label: str) -> list[str]:
    (ground.folder / "train" / "unicorn").mkdir()
    return ["unicorn"]


def half_png(whole: bytes) -> bytes:
    buffer = io.BytesIO()
    Pillow.open(io.BytesIO(whole)).save(buffer, "PNG")
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


def turned(picture: Pillow.Image) -> Pillow.Image:
    return picture


def clear(picture: Pillow.Image) -> Pillow.Image:
    picture.putalpha(Pillow.linear_gradient("L").resize(picture.size))
    return picture


def _exif() -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x0112] = 8
    return exif


FAULTS: tuple[tuple[str, str, str, Callable[[Ground, str], list[str]]], ...] = (
    # what it is, the kind that must tell it, the class that it is planted in, and how
    (
        "a JPEG that was cut off",
        "unreadable",
        "cat",
        broken(lambda whole: whole[: len(whole) // 2], "cut.jpg"),
    ),
    ("a text called .jpg", "unreadable", "dog", broken(lambda whole: b"not a picture", "text.jpg")),
    ("an empty file", "unreadable", "ship", broken(lambda whole: b"", "empty.jpg")),
    ("half a PNG", "unreadable", "frog", broken(half_png, "half.png")),
    ("a training file among the test files", "leak", "cat", copied("test", "", "leak0.jpg")),
    ("the same, saved again", "leak", "dog", resaved(turned, "leak1.jpg", quality=50)),
    ("the same as PNG", "leak", "horse", resaved(turned, "leak2.png")),
    ("the same, brighter", "leak", "ship", resaved(levels(1.0, 20), "leak3.png")),
    ("the same, of less contrast", "leak", "bird", resaved(levels(0.7, 30), "leak4.png")),
    ("the same at half size", "leak", "truck", resaved(lambda p: p.resize((16, 16)), "leak5.png")),
    ("the same with noise", "leak", "frog", resaved(noisy, "leak6.png")),
    ("one file under two labels", "conflict", "cat", copied("train", "dog", "two0.jpg")),
    ("one file under two labels in two splits", "conflict", "bird", copied("test", "frog", "two1.jpg")),
    ("nearly one file under two labels", "near conflict", "deer", copied("train", "horse", "two2.jpg", 60)),
    ("one file twice", "copies", "ship", copied("train", "", "copy0.jpg")),
    ("nearly one file twice", "near copies", "truck", copied("train", "", "copy1.jpg", 60)),
    ("a picture that EXIF turns", "turned", "cat", drawn(turned, "turned.jpg", exif=_exif())),
    ("transparent pixels", "transparent", "dog", drawn(clear, "clear.png")),
    ("8 x 8 pixels", "tiny", "frog", drawn(lambda p: p.resize((8, 8)), "tiny.png")),
    ("a strip", "extreme aspect", "ship", drawn(lambda p: p.resize((160, 20)), "strip.png")),
    ("a black picture", "blank", "cat", drawn(lambda p: Pillow.new("RGB", p.size), "black.png")),
    (
        "a picture of one green",
        "blank",
        "deer",
        drawn(lambda p: Pillow.new("RGB", p.size, (20, 200, 30)), "green.png"),
    ),
    ("patients in both splits", "groups apart", "horse", patients),
    ("a subject's folder in both splits", "groups apart", "bird", subjects),
    ("a class that is tested only", "unlearned class", "horse", moved(12, "test", "zebra")),
    ("a class that is trained only", "unmeasured class", "truck", moved(12, "train", "lorry")),
    ("a class of one image", "tiny class", "bird", moved(1, "train", "bicycle")),
    ("a class of five images", "tiny class", "ship", moved(5, "train", "boat")),
    ("a class without an image", "reading", "cat", nothing),
    ("a class that differs in case", "label twins", "frog", moved(12, "train", "Frog")),
    ("a class with two blanks in a row", "label blanks", "bird", moved(12, "train", "sea  gull")),
)
"""Thirty-one faults; what they must be told as, and where."""
