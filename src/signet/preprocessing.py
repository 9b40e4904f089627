"""The reference executor of preprocessing programs: Pillow for geometry, numpy for arithmetic.

Its result is what a program *means*. An engine that fuses a step, or a faster way to the same pixels,
is judged against it. The geometric steps work on the uint8 picture, the numeric ones on arrays; a
geometric step that comes after a numeric one works on float32 planes, one for each channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from signet.arrays import Array
from signet.batches import Batch
from signet.errors import BadInput
from signet.geometry import Geometry, Size
from signet.images import Image
from signet.programs import Program
from signet.steps import (
    GEOMETRIC,
    Colour,
    Crop,
    Filter,
    Layout,
    Normalise,
    Order,
    Pad,
    Range,
    Read,
    Resize,
    Rounding,
    Step,
    Type,
)

LARGEST_PIXELS = 2**27
"""No step makes a larger picture: a strip of 10,000 x 1 pixels would grow to 2 GB on its way to a crop."""

_ROUND: dict[Rounding, Callable[[float], int]] = {"floor": math.floor, "round": round, "ceil": math.ceil}
_FILTERS = {
    "nearest": PillowImage.Resampling.NEAREST,
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
    "box": PillowImage.Resampling.BOX,
    "hamming": PillowImage.Resampling.HAMMING,
}


def prepare(images: Sequence[Image], program: Program, *, fuse: bool = False, exact: bool = True) -> Batch:
    """Run a program over images.

    Args:
        images: decoded pictures, upright already.
        program: what to do.
        fuse: True stops before the trailing numeric steps and leaves them as `pending`, for an engine
            that does them itself; the arrays are then uint8 (or what the program made), NHWC.
        exact: False computes only the box of a resize that the next crop keeps. On photographs about 2
            values of 100 then differ by 1/255, and 1 of 10,000 by more, at hard edges. For bf16, whose
            decisions are compared with all of this in place (docs/decisions/0012, with the figures).

    Returns:
        A batch: one array (N, ...) when all images end with one shape, else a list of arrays.

    Raises:
        BadInput: a step cannot be done on an image, for example a normalise for another number of channels.
    """
    now, later = program.split() if fuse else (program.steps, ())
    arrays: list[Array] = []
    places: list[Geometry] = []
    for image in images:
        array, place = _finished(image, now, exact)
        arrays.append(array)
        places.append(place)
    return Batch(_stack(arrays), tuple(places), tuple(image.source for image in images), later)


def finish(batch: Batch) -> Batch:
    """Do a batch's pending steps; a batch without any is returned as it is."""
    if not batch.pending:
        return batch
    if isinstance(batch.arrays, np.ndarray):
        arrays: Array | list[Array] = numeric(batch.arrays, batch.pending)
    else:
        arrays = [numeric(array[None], batch.pending)[0] for array in batch.arrays]
    return Batch(arrays, batch.geometry, batch.sources)


def stages(image: Image, program: Program) -> Iterator[tuple[str, Array, Geometry]]:
    """(stage, array, geometry) after each stage of a program, in the program's own order.

    Steps of one stage that follow each other are one entry. The arrays are as the steps leave them:
    uint8 or float32, (H, W, 3) until a layout step says otherwise.
    """
    state = _State(image.pixels, Geometry.of(image.size))
    for position, step in enumerate(program.steps):
        state = _apply(step, state, image.source)
        following = program.steps[position + 1 : position + 2]
        if not following or following[0].stage != step.stage:
            yield step.stage, np.ascontiguousarray(state.array), state.place


def numeric(arrays: Array, steps: Sequence[Step]) -> Array:
    """Numeric steps over (N, H, W, 3); the result may be (N, 3, H, W), and is contiguous.

    Raises:
        BadInput: a geometric step is among them, or a normalise for another number of channels.
    """
    channels_first = False
    for step in steps:
        arrays, channels_first = _numeric(step, arrays, channels_first)
    return np.ascontiguousarray(arrays)


def crop_box(step: Crop, size: Size) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop's box in a picture of (height, width); corners may be negative.

    Source: torchvision `center_crop` for the corner and for the side of the odd padded pixel.
    """
    if step.fraction is not None:
        side = max(1, round(min(size) * step.fraction))
        box = (side, side)
    else:
        box = step.size or size
    if step.anchor == "top-left":
        return 0, 0, *box
    corner = [
        -((length - side) // 2) if length > side else _ROUND[step.rounding]((side - length) / 2)
        for side, length in zip(size, box, strict=True)
    ]
    return corner[0], corner[1], *box


def resized_size(step: Resize, size: Size) -> Size:
    """(height, width) that a resize step gives to a picture of (height, width).

    Source: torchvision `Resize` for fit "short" (floor), timm `ResizeKeepRatio` (round); for `lengths`,
    torchvision `GeneralizedRCNNTransform` and transformers `get_size_with_aspect_ratio`.
    """
    height, width = size
    rounded = _ROUND[step.rounding]
    if step.fit == "stretch" and step.size:
        to = step.size
    elif step.fit == "pad" and step.size:
        ratio = max(height / step.size[0], width / step.size[1])
        to = (max(1, rounded(height / ratio)), max(1, rounded(width / ratio)))
    else:
        to = _by_one_factor(step, size) if step.lengths == "factor" else _short_side(step, size)
        if step.multiple:
            to = (-(-to[0] // step.multiple) * step.multiple, -(-to[1] // step.multiple) * step.multiple)
    if not step.upscale and (to[0] > height or to[1] > width):
        return size
    return to


def _short_side(step: Resize, size: Size) -> Size:
    rounded = _ROUND[step.rounding]
    short, long = min(size), max(size)
    target = step.short or short
    if step.lengths == "short":
        exact = float(target)
        if step.longest and long / short * target > step.longest:
            exact = step.longest * short / long
        new_short = round(exact)
        # A short side that has its length already keeps the long one too.
        new_long = long if new_short == short else max(1, rounded(exact * long / short))
        new_short = max(1, new_short)
        return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)
    # The order of operations is torchvision's, so that floor cuts at the same fraction.
    new_short, new_long = target, max(1, rounded(target * long / short))
    if step.longest and new_long > step.longest:
        new_short, new_long = max(1, rounded(step.longest * new_short / new_long)), step.longest
    return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)


def _by_one_factor(step: Resize, size: Size) -> Size:
    factor = (step.short or min(size)) / min(size)
    if step.longest:
        factor = min(factor, step.longest / max(size))
    rounded = _ROUND[step.rounding]
    return max(1, rounded(size[0] * factor)), max(1, rounded(size[1] * factor))


class _State(NamedTuple):
    """A picture on its way: (H, W, C), or (C, H, W) once a layout step has put the channels first."""

    array: Array
    place: Geometry
    channels_first: bool = False


def _finished(image: Image, steps: Sequence[Step], exact: bool) -> tuple[Array, Geometry]:
    state = _State(image.pixels, Geometry.of(image.size))
    position = 0
    while position < len(steps):
        step = steps[position]
        after = steps[position + 1] if position + 1 < len(steps) else None
        if (
            isinstance(step, Resize)
            and isinstance(after, Crop)
            and after.size
            and (not exact or _too_large(resized_size(step, state.place.prepared)))
        ):
            fused = _resize_into_crop(step, after, state)
            if fused is not None:
                state = fused
                position += 2
                continue
        state = _apply(step, state, image.source)
        position += 1
    return state.array, state.place


def _resize_into_crop(step: Resize, crop: Crop, state: _State) -> _State | None:
    """Resize only the box that the next crop keeps: about half the work, the same kernel and phases.

    Pillow takes the box in source pixels, as float32, and keeps sampling outside it, so the result mostly
    differs from resize-then-crop by the rounding of the box: 1/255. It is more where a bicubic or Lanczos
    kernel overshoots: Pillow clips between its two passes, and from version 13 on it chooses by size which
    of them comes first. None when the crop reaches outside the picture.
    """
    array, place, _ = state
    if array.dtype != np.uint8:
        return None
    to = resized_size(step, place.prepared)
    top, left, height, width = crop_box(crop, to)
    inside = top >= 0 and left >= 0 and top + height <= to[0] and left + width <= to[1]
    if not inside or not step.antialias or step.filter == "nearest" or to == place.prepared:
        return None
    scale_y, scale_x = place.prepared[0] / to[0], place.prepared[1] / to[1]
    box = (left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y)
    box = (box[0], box[1], min(box[2], place.prepared[1]), min(box[3], place.prepared[0]))
    picture = PillowImage.fromarray(array).resize((width, height), _FILTERS[step.filter], box=box)
    return _State(np.asarray(picture), place.resized(to).cropped(top, left, (height, width)))


def _apply(step: Step, state: _State, source: str) -> _State:
    array, place, channels_first = state
    try:
        if isinstance(step, GEOMETRIC):
            return _geometric(step, state)
        result, channels_first = _numeric(step, array[None], channels_first)
    except BadInput as error:
        raise BadInput(f"{source or 'image'}: {error}") from error
    return _State(result[0], place, channels_first)


def _geometric(step: Read | Crop | Resize | Pad, state: _State) -> _State:
    array, place, channels_first = state
    if channels_first:
        raise BadInput(f"program step {step.name!r}: expected before the layout step, not after it.")
    match step:
        case Read(channels="L"):
            grey = PillowImage.fromarray(array).convert("L")
            return _State(np.repeat(np.asarray(grey)[..., None], 3, axis=2), place)
        case Read():
            return _State(array, place)
        case Resize():
            to = resized_size(step, place.prepared)
            _check_size(step, place.prepared, to)
            return _State(_resize(array, to, step), place.resized(to))
        case Crop():
            top, left, height, width = crop_box(step, place.prepared)
            _check_size(step, place.prepared, (height, width))
            cut = _cut(array, (top, left), (height, width), step.fill)
            return _State(cut, place.cropped(top, left, (height, width)))
        case Pad():
            return _State(*_pad(array, place, step))


def _too_large(size: Size) -> bool:
    return size[0] * size[1] > LARGEST_PIXELS


def _check_size(step: Step, size: Size, to: Size) -> None:
    if _too_large(to):
        raise BadInput(
            f"program step {step.name!r}: a picture of {size[0]}x{size[1]} would become {to[0]}x{to[1]}; "
            f"expected at most {LARGEST_PIXELS:,} pixels."
        )


def _resize(array: Array, to: Size, step: Resize) -> Array:
    if to == array.shape[:2]:
        return array
    if not step.antialias and step.filter != "nearest":
        return _sampled(array, to, step.filter)
    kernel, (height, width) = _FILTERS[step.filter], to
    if array.dtype == np.uint8:
        return np.asarray(PillowImage.fromarray(array).resize((width, height), kernel))
    planes = [
        np.asarray(PillowImage.fromarray(np.ascontiguousarray(plane)).resize((width, height), kernel))
        for plane in np.moveaxis(array, 2, 0)
    ]
    return np.stack(planes, axis=2)


def _sampled(array: Array, to: Size, kernel: Filter) -> Array:
    """A resize without antialias: the kernel at its natural width, edges repeated, rounded once at the end.

    Source: torch `interpolate(align_corners=False, antialias=False)`; OpenCV INTER_LINEAR and INTER_CUBIC.
    """
    values = array.astype(np.float64)
    for axis, length in enumerate(to):
        source = array.shape[axis]
        centres = (np.arange(length) + 0.5) * (source / length) - 0.5
        first = np.floor(centres).astype(np.int64)
        total = np.zeros((*values.shape[:axis], length, *values.shape[axis + 1 :]))
        for tap in (0, 1) if kernel == "bilinear" else (-1, 0, 1, 2):
            weights = _kernel(np.abs(centres - (first + tap)), kernel)
            taken = np.take(values, np.clip(first + tap, 0, source - 1), axis)
            total += taken * weights.reshape([-1 if other == axis else 1 for other in range(array.ndim)])
        values = total
    if array.dtype == np.uint8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(array.dtype)


def _kernel(distance: Array, kernel: Filter) -> Array:
    """Weights of pixels at a distance of 0 to 2. Source: Keys 1981, equation 8, with a = -0.75."""
    if kernel == "bilinear":
        return 1 - distance
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, far)


def _cut(array: Array, corner: tuple[int, int], box: Size, fill: Colour) -> Array:
    """A box of a picture; what lies outside it is `fill`."""
    (top, left), (height, width) = corner, box
    inside = array[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    if inside.shape[:2] == box:
        return inside
    canvas = np.empty((height, width, array.shape[2]), array.dtype)
    canvas[:] = fill
    canvas[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return canvas


def _pad(array: Array, place: Geometry, step: Pad) -> tuple[Array, Geometry]:
    height, width = place.prepared
    if step.multiple:
        to = (-(-height // step.multiple) * step.multiple, -(-width // step.multiple) * step.multiple)
    else:
        wanted = step.to or place.prepared
        to = (max(height, wanted[0]), max(width, wanted[1]))
    _check_size(step, place.prepared, to)
    corner = (0, 0) if step.anchor == "top-left" else (-((to[0] - height) // 2), -((to[1] - width) // 2))
    return _cut(array, corner, to, step.value), place.cropped(*corner, to)


def _numeric(step: Step, arrays: Array, channels_first: bool) -> tuple[Array, bool]:
    """One numeric step over (N, ...), and whether the channels are now the axis after N."""
    axis = 1 if channels_first else -1
    match step:
        case Range(scale=scale, offset=offset):
            if arrays.dtype == np.uint8:
                # 256 values in float64, rounded once: equal to the division by 255 that others do.
                return (np.arange(256) * scale + offset).astype(np.float32)[arrays], channels_first
            return (arrays.astype(np.float64) * scale + offset).astype(np.float32), channels_first
        case Normalise(mean=mean, std=std):
            channels = arrays.shape[axis]
            if len(mean) != channels:
                raise BadInput(f"normalise: expected {len(mean)} channels, got {channels}.")
            shape = (1, channels, 1, 1) if channels_first else (1, 1, 1, channels)
            means, stds = (np.asarray(values, np.float32).reshape(shape) for values in (mean, std))
            return (arrays.astype(np.float32) - means) / stds, channels_first
        case Order(order="BGR"):
            return np.flip(arrays, axis), channels_first
        case Layout(order=order) if (order == "NCHW") != channels_first:
            return arrays.transpose((0, 2, 3, 1) if channels_first else (0, 3, 1, 2)), not channels_first
        case Order() | Layout():
            return arrays, channels_first
        case Type(dtype="uint8") if arrays.dtype != np.uint8:
            return np.clip(np.rint(arrays), 0, 255).astype(np.uint8), channels_first
        case Type(dtype=dtype):
            return arrays.astype(dtype, copy=False), channels_first
        case _:
            raise BadInput(f"program step {step.name!r}: expected before all numeric steps.")


def _stack(arrays: list[Array]) -> Array | list[Array]:
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays)
    return arrays
