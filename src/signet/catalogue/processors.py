"""The `preprocessor_config.json` of a transformers model, read strictly into a program.

Each type of image processor has defaults of its own for what its file leaves out; they are the table
below, and a test compares it with the installed classes. A key or a type that is not in the tables is
refused, because it may be the one that changes the answer.

Source: the image processors of transformers 5.23 on their Pillow backend, which are the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from signet.catalogue.configs import IMAGENET_MEAN, IMAGENET_STD
from signet.errors import BadCard, UnknownName
from signet.geometry import Size
from signet.programs import Program
from signet.steps import Crop, Filter, Layout, Normalise, Order, Range, Read, Resize, Step, Type

HALF = (0.5, 0.5, 0.5)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
FILTERS: Mapping[int, Filter] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}
"""Pillow's numbers of its filters."""
WARPED_FROM = 384
"""From this size on, ConvNeXT resizes straight to the square and crops nothing."""

Special = Literal["", "convnext", "detr", "efficientnet", "levit", "mobilevit", "poolformer"]


@dataclass(frozen=True, slots=True)
class Processor:
    """What one type of image processor does when its file says nothing else.

    Attributes:
        size: of the resize: an int is the short side, a pair (height, width).
        crop: (height, width) of the centre crop.
        mean: of each channel.
        std: likewise.
        resample: Pillow's number of the filter.
        square: whether a bare number as `size` in an old file means a square (else the short side).
        do_resize: whether it resizes.
        do_center_crop: whether it crops.
        do_rescale: whether it multiplies with `rescale_factor`.
        do_normalize: whether it subtracts the mean and divides by the std.
        rescale_factor: see `do_rescale`.
        crop_pct: what the short side is divided by before it is resized to ("convnext", "poolformer").
        longest: greatest long side, where the short one has a length.
        multiple: the sides are stretched to the next multiple of it.
        special: the rule that this type has beside the common ones.
    """

    size: int | Size
    crop: Size = (224, 224)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resample: int = 3
    square: bool = True
    do_resize: bool = True
    do_center_crop: bool = False
    do_rescale: bool = True
    do_normalize: bool = True
    rescale_factor: float = 1 / 255
    crop_pct: float = 1.0
    longest: int | None = None
    multiple: int | None = None
    special: Special = ""


PROCESSORS: Mapping[str, Processor] = {
    "Beit": Processor((224, 224), mean=HALF, std=HALF),
    "Bit": Processor(224, mean=CLIP_MEAN, std=CLIP_STD, square=False, do_center_crop=True),
    "CLIP": Processor(224, mean=CLIP_MEAN, std=CLIP_STD, square=False, do_center_crop=True),
    "ConditionalDetr": Processor(800, resample=2, square=False, longest=1333, special="detr"),
    "ConvNext": Processor(384, mean=HALF, std=HALF, square=False, crop_pct=224 / 256, special="convnext"),
    "DeiT": Processor((256, 256), mean=HALF, std=HALF, do_center_crop=True),
    "DeformableDetr": Processor(800, resample=2, square=False, longest=1333, special="detr"),
    "Detr": Processor(800, resample=2, square=False, longest=1333, special="detr"),
    "EfficientNet": Processor((346, 346), (289, 289), mean=HALF, std=HALF, special="efficientnet"),
    "Levit": Processor(224, square=False, do_center_crop=True, special="levit"),
    "Mask2Former": Processor(800, resample=2, square=False, longest=1333, multiple=32, special="detr"),
    "MobileNetV1": Processor(256, mean=HALF, std=HALF, resample=2, square=False, do_center_crop=True),
    "MobileNetV2": Processor(256, mean=HALF, std=HALF, resample=2, square=False, do_center_crop=True),
    "MobileViT": Processor(
        224, (256, 256), mean=HALF, std=HALF, square=False, do_center_crop=True, special="mobilevit"
    ),
    "PoolFormer": Processor(224, square=False, do_center_crop=True, crop_pct=0.9, special="poolformer"),
    "Pvt": Processor((224, 224)),
    "RTDetr": Processor((640, 640), resample=2, square=False, do_normalize=False),
    "Segformer": Processor((512, 512), resample=2),
    "Siglip": Processor((224, 224), mean=HALF, std=HALF, square=False),
    "ViT": Processor((224, 224), mean=HALF, std=HALF, resample=2),
}
"""By the name of the type, without what follows it (`ImageProcessor`, `FeatureExtractor` ...)."""

_ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")
_USED = {
    field.name for field in fields(Processor) if field.name.startswith(("do_", "rescale", "crop_pct"))
} | {
    "size",
    "crop_size",
    "resample",
    "image_mean",
    "image_std",
    "image_processor_type",
    "feature_extractor_type",
    "default_to_square",
    "do_flip_channel_order",
    "do_flip_channels",
    "rescale_offset",
    "include_top",
    "max_size",
    "size_divisor",
}
_WITHOUT_EFFECT = {
    "_valid_processor_keys",
    "data_format",
    "device",
    "disable_grouping",
    "do_convert_annotations",
    "do_convert_rgb",
    "do_reduce_labels",
    "format",
    "ignore_index",
    "input_data_format",
    "model_input_names",
    "num_labels",
    "pad_size",
    "processor_class",
    "reduce_labels",
    "return_tensors",
    "transformers_version",
}


def program(stated: Mapping[str, Any]) -> Program:
    """The preprocessing that a `preprocessor_config.json` states.

    Raises:
        BadCard: an unknown type, key or value.
    """
    kind = type_of(stated)
    own = PROCESSORS[kind]
    for key in stated:
        if key in ("do_pad", "pad_and_return_pixel_mask") and (not stated[key] or _pads_nothing(stated, own)):
            continue
        if key not in _USED and key not in _WITHOUT_EFFECT:
            raise BadCard(
                str(UnknownName("preprocessor_config key", key, _USED | _WITHOUT_EFFECT))
                + " It may change the preprocessing, so it is not ignored."
            )
    steps: list[Step] = [Read()]
    if _said(stated, "do_resize", own.do_resize):
        steps += _resized(stated, own)
    if _said(stated, "do_center_crop", own.do_center_crop):
        steps.append(Crop(size=_pair(stated.get("crop_size"), own.crop, "crop_size"), rounding="floor"))
    steps += _numeric(stated, own)
    return Program((*steps, Layout("NCHW")))


def _pads_nothing(stated: Mapping[str, Any], own: Processor) -> bool:
    """DETR and its kin pad pictures to the largest of their batch; one alone, as here, stays as it is."""
    return own.special == "detr" and not stated.get("pad_size")


def type_of(stated: Mapping[str, Any]) -> str:
    """The key of `PROCESSORS` that a file names.

    Raises:
        BadCard: it names none, or one that is not known.
    """
    named = stated.get("image_processor_type") or stated.get("feature_extractor_type")
    if not isinstance(named, str):
        raise BadCard("preprocessor_config: expected 'image_processor_type', which is missing.")
    kind = next((named.removesuffix(end) for end in _ENDINGS if named.endswith(end)), named)
    if kind not in PROCESSORS:
        raise BadCard(
            str(UnknownName("image processor", named, [f"{key}ImageProcessor" for key in PROCESSORS]))
        )
    return kind


def _resized(stated: Mapping[str, Any], own: Processor) -> list[Step]:
    size, longest = _size(stated, own)
    kernel = _filter(stated, own)
    fraction = float(stated.get("crop_pct") or own.crop_pct)
    match own.special:
        case "convnext":
            if not isinstance(size, int):
                raise BadCard("preprocessor_config: ConvNextImageProcessor takes the size 'shortest_edge'.")
            if size >= WARPED_FROM:
                return [Resize(size=(size, size), fit="stretch", filter=kernel)]
            short = Resize(short=int(size / fraction), filter=kernel)
            return [short, Crop(size=(size, size), rounding="floor")]
        case "levit" if isinstance(size, int):
            return [Resize(short=int(256 / 224 * size), filter=kernel)]
        case "poolformer":
            if isinstance(size, tuple) and size[0] != size[1]:
                raise BadCard(f"preprocessor_config: PoolFormerImageProcessor takes a square, got {size}.")
            side = size if isinstance(size, int) else size[0]
            return [Resize(short=int(side / fraction), filter=kernel)]
    if own.special == "detr" and isinstance(size, int):
        multiple = stated.get("size_divisor", own.multiple) or None
        return [Resize(short=size, longest=longest, filter=kernel, lengths="short", multiple=multiple)]
    if isinstance(size, int):
        return [Resize(short=size, longest=longest, filter=kernel)]
    return [Resize(size=size, fit="stretch", filter=kernel)]


def _numeric(stated: Mapping[str, Any], own: Processor) -> list[Step]:
    scale = float(stated.get("rescale_factor", own.rescale_factor))
    rescaled = _said(stated, "do_rescale", own.do_rescale)
    normalised = _said(stated, "do_normalize", own.do_normalize)
    mean = _channels(stated.get("image_mean"), own.mean, "image_mean")
    std = _channels(stated.get("image_std"), own.std, "image_std")
    steps: list[Step] = []
    if own.special == "mobilevit":
        # It has keys for a normalisation, and never does one.
        normalised = False
        if _said(stated, "do_flip_channel_order", _said(stated, "do_flip_channels", True)):
            steps.append(Order("BGR"))
    steps.append(Type("float32"))
    offset = -1.0 if own.special == "efficientnet" and stated.get("rescale_offset") else 0.0
    if rescaled:
        steps.append(Range(scale, offset))
    if normalised:
        steps.append(Normalise(mean, std))
    if own.special == "efficientnet" and _said(stated, "include_top", True):
        # Its weights were trained with the std divided out a second time.
        steps.append(Normalise((0.0,) * len(std), std))
    return steps


def _size(stated: Mapping[str, Any], own: Processor) -> tuple[int | Size, int | None]:
    """(short side or (height, width), greatest long side)."""
    given = stated.get("size")
    if given is None:
        return own.size, own.longest
    if isinstance(given, int):
        square = bool(stated.get("default_to_square", own.square))
        return ((given, given), None) if square else (given, stated.get("max_size", own.longest))
    if isinstance(given, list | tuple) and len(given) == 2:
        return (int(given[0]), int(given[1])), None
    if isinstance(given, Mapping):
        match {key: value for key, value in given.items() if value is not None}:
            case {"height": int(height), "width": int(width), **rest} if not rest:
                return (height, width), None
            case {"shortest_edge": int(short), **rest} if set(rest) <= {"longest_edge"}:
                return short, rest.get("longest_edge")
    raise BadCard(
        "preprocessor_config: expected 'size' as a number, as {height, width} or as {shortest_edge}; "
        f"got {given!r}."
    )


def _pair(given: object, own: Size, key: str) -> Size:
    match given:
        case None:
            return own
        case int(side):
            return side, side
        case {"height": int(height), "width": int(width)}:
            return height, width
        case [int(height), int(width)]:
            return height, width
    raise BadCard(f"preprocessor_config: expected {key!r} as a number or {{height, width}}; got {given!r}.")


def _filter(stated: Mapping[str, Any], own: Processor) -> Filter:
    number = stated.get("resample", own.resample)
    if number not in FILTERS:
        raise BadCard(
            f"preprocessor_config: expected 'resample' from 0 to 5 (Pillow's filters), got {number!r}."
        )
    return FILTERS[number]


def _channels(given: object, own: tuple[float, ...], key: str) -> tuple[float, ...]:
    if given is None:
        return own
    if isinstance(given, int | float):
        return (float(given),) * 3
    if isinstance(given, list | tuple) and len(given) == 3:
        return tuple(float(value) for value in given)
    raise BadCard(f"preprocessor_config: expected {key!r} as three numbers, got {given!r}.")


def _said(stated: Mapping[str, Any], key: str, own: bool) -> bool:
    """What the file says; null is what the type does by itself."""
    given = stated.get(key)
    if given is None:
        return own
    if not isinstance(given, bool):
        raise BadCard(f"preprocessor_config: expected {key!r} to be true or false, got {given!r}.")
    return given
