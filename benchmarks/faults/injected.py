"""The faults of preprocessing, labels and model: what each does to a consumer, and where it must show."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from faults import pipelines
from faults.pipelines import SHORT, SIDE, Array, Pipeline

Group = Literal["preprocessing", "labels", "model", "data"]


@dataclass(frozen=True)
class Fault:
    """A silent mistake.

    Attributes:
        name: of it.
        group: of the list that it belongs to.
        does: in words.
        stage: the first stage that is not as sealed.
        inject: a working pipeline to one with the mistake; None for one of the model, whose network is
            another (`networks.MODELS` has it by the fault's name).
    """

    name: str
    group: Group
    does: str
    stage: str
    inject: Callable[[Pipeline], Pipeline] | None = None


def _swapped(path: Path) -> Array:
    return pipelines.read(path)[:, :, ::-1]


def _on_black(path: Path) -> Array:
    whole = Image.open(path).convert("RGBA")
    ground = Image.new("RGBA", whole.size, (0, 0, 0, 255))
    return np.asarray(Image.alpha_composite(ground, whole).convert("RGB"))


def _one_channel(path: Path) -> Array:
    pixels = pipelines.read(path).copy()
    if Image.open(path).mode == "L":
        pixels[:, :, 1:] = 0
    return pixels


def _scaled_decode(path: Path) -> Array:
    picture = Image.open(path)
    if picture.format == "JPEG":
        picture.draft("RGB", (picture.width // 2, picture.height // 2))
        return np.asarray(picture.convert("RGB"))
    return pipelines.read(path)


def _without_antialias(pixels: Array) -> Array:
    width, height = pipelines.short_side(pixels, SHORT)
    rows, columns = (
        np.clip((np.arange(to) + 0.5) * of / to - 0.5, 0, of - 1)
        for to, of in ((height, pixels.shape[0]), (width, pixels.shape[1]))
    )
    top, left = rows.astype(int), columns.astype(int)
    below, right = np.minimum(top + 1, pixels.shape[0] - 1), np.minimum(left + 1, pixels.shape[1] - 1)
    down, along = (rows - top)[:, None, None], (columns - left)[None, :, None]
    whole = pixels.astype(np.float64)
    upper = whole[top][:, left] * (1 - along) + whole[top][:, right] * along
    lower = whole[below][:, left] * (1 - along) + whole[below][:, right] * along
    return np.round(upper * (1 - down) + lower * down).astype(np.uint8)


def _bicubic(pixels: Array) -> Array:
    size = pipelines.short_side(pixels, SHORT)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _as_stored(path: Path, pixels: Array) -> Array:
    del path
    return pixels


def _stretched(pixels: Array) -> Array:
    return np.asarray(Image.fromarray(pixels).resize((SHORT, SHORT), Image.Resampling.BILINEAR))


def _other_ratio(pixels: Array) -> Array:
    size = pipelines.short_side(pixels, round(SIDE / 0.95))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _rounded_side(pixels: Array) -> Array:
    """The long side rounded, where the program rounds down; letterboxes are off by one row like that."""
    height, width = pixels.shape[:2]
    long = -(-SHORT * max(height, width) // min(height, width))
    size = (long, SHORT) if width >= height else (SHORT, long)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _as_learned(pixels: Array) -> Array:
    """A part of the picture, mirrored, as an augmented view of the training shows it."""
    height, width = pixels.shape[:2]
    part = pixels[height // 8 : height * 7 // 8, width // 8 : width * 7 // 8][:, ::-1]
    return pipelines.resize(np.ascontiguousarray(part))


def _of_another_zoo(pixels: Array) -> Array:
    scaled = pixels.astype(np.float32) / np.float32(255)
    return (scaled - np.float32((0.485, 0.456, 0.406))) / np.float32((0.229, 0.224, 0.225))


def _twice(pixels: Array) -> Array:
    return (pipelines.normalise(pixels) - np.float32(0.5)) / np.float32(0.5)


def _whole_range(pixels: Array) -> Array:
    return (pixels.astype(np.float32) - np.float32(0.5)) / np.float32(0.5)


def _shifted(pipeline: Pipeline) -> Pipeline:
    labels = list(pipeline.labels)
    return dataclasses.replace(pipeline, labels=labels[-1:] + labels[:-1])


def _as_text(pipeline: Pipeline) -> Pipeline:
    """Folders that are named by number, sorted as text: 0, 1, 10, 100, 101 ..."""
    order = sorted(range(len(pipeline.labels)), key=str)
    return dataclasses.replace(pipeline, labels=[pipeline.labels[place] for place in order])


def _of_another_set(pipeline: Pipeline) -> Pipeline:
    """The same classes in alphabetical order, as another release of the set lists them."""
    return dataclasses.replace(pipeline, labels=sorted(pipeline.labels))


def _with(**changes: Callable[..., Array]) -> Callable[[Pipeline], Pipeline]:
    return lambda pipeline: dataclasses.replace(pipeline, **changes)  # type: ignore[arg-type]


PREPROCESSING = tuple(
    Fault(name, "preprocessing", does, stage, inject)
    for name, does, stage, inject in (
        ("channels swapped", "BGR, as OpenCV reads", "read", _with(read=_swapped)),
        ("alpha on black", "where it is transparent it becomes black", "read", _with(read=_on_black)),
        ("grey in one channel", "grey goes into the first channel only", "read", _with(read=_one_channel)),
        ("scaled decode", "JPEG decoded at half its size", "read", _with(read=_scaled_decode)),
        (
            "EXIF ignored",
            "phones' pictures lie on their side",
            "orient",
            _with(orient=lambda _, pixels: pixels),
        ),
        ("no antialias", "bilinear on four neighbours", "resize", _with(resize=_without_antialias)),
        ("another filter", "bicubic for bilinear", "resize", _with(resize=_bicubic)),
        ("stretch for crop", "both sides to 256", "resize", _with(resize=_stretched)),
        ("crop ratio", "0.95 for 0.875", "resize", _with(resize=_other_ratio)),
        (
            "long side rounded up",
            "one row more where it does not divide",
            "resize",
            _with(resize=_rounded_side),
        ),
        (
            "crop off the middle",
            "the top left corner",
            "crop",
            _with(crop=lambda pixels: pixels[:SIDE, :SIDE]),
        ),
        ("another zoo's mean and std", "ImageNet's for 0.5", "normalise", _with(normalise=_of_another_zoo)),
        (
            "no normalisation",
            "0 to 1 as it is",
            "normalise",
            _with(normalise=lambda pixels: pixels.astype(np.float32) / np.float32(255)),
        ),
        ("normalised twice", "once by the loader, once more", "normalise", _with(normalise=_twice)),
        ("0 to 255 for 0 to 1", "mean and std on bytes", "normalise", _with(normalise=_whole_range)),
        (
            "NHWC for NCHW",
            "reshaped, not transposed",
            "layout",
            _with(layout=lambda pixels: pixels.reshape(3, SIDE, SIDE)),
        ),
    )
)
LABELS = (
    Fault("labels shifted by one", "labels", "a background is counted", "decision", _shifted),
    Fault('"10" before "2"', "labels", "numbers sorted as text", "decision", _as_text),
    Fault("another set's names", "labels", "the same classes in another order", "decision", _of_another_set),
)
MODEL = tuple(
    Fault(name, "model", does, "network")
    for name, does in (
        ("train mode at inference", "BatchNorm takes the statistics of the batch"),
        ("frozen BatchNorm drifts", "its statistics follow 32 other pictures"),
        ("head left random", "the last layer is not loaded"),
        ("other weights", "the same architecture, another training"),
        ("symmetric for SAME padding", "torch's padding for TensorFlow's"),
        ("ReLU for ReLU6", "no upper limit"),
        ("EMA not used", "weights 1 % of their size off, as a last iterate is from its average"),
    )
)
DATA = (
    Fault(
        "augmentation in validation",
        "data",
        "views as the training sees them are measured on",
        "resize",
        _with(resize=_as_learned),
    ),
)
FAULTS = (*PREPROCESSING, *LABELS, *MODEL, *DATA)
