"""The steps that a preprocessing program is made of, each with one exact meaning.

What a step leaves out has the default that its class states; nothing else is ever assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from signet.errors import BadCard
from signet.geometry import Size

STAGES = (
    "read",
    "orient",
    "resize",
    "crop",
    "normalise",
    "layout",
    "network",
    "head",
    "answer",
    "decision",
)
"""The frozen names of the stages; seals, verdicts and benchmarks use these and no others."""

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Rounding = Literal["floor", "round", "ceil"]
Anchor = Literal["center", "top-left"]
Lengths = Literal["factor", "short"]
Colour = int | tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Read:
    """Decode to uint8 (H, W, 3), 0 to 255, alpha over white.

    Attributes:
        channels: "RGB"; "L" makes the three channels the luma of ITU-R 601.
        orient: turn the picture upright as its EXIF orientation says.
    """

    stage: ClassVar[str] = "read"
    name: ClassVar[str] = "read"
    channels: Literal["RGB", "L"] = "RGB"
    orient: bool = True

    def words(self) -> str:
        """The step for a person."""
        upright = "upright by EXIF" if self.orient else "EXIF orientation ignored"
        return f"read as {self.channels}, {upright}"


@dataclass(frozen=True, slots=True)
class Crop:
    """Cut out a box.

    With `size` the box is (height, width) pixels; where the image is smaller it is first padded with
    `fill`, the odd pixel to the right and below. With `fraction` the box is a square, its side
    that fraction of the picture's short side, rounded to the nearest pixel (half to even).

    Attributes:
        size: (height, width) in pixels, or None.
        fraction: 0 to 1 of the short side, or None.
        anchor: "center" or "top-left".
        rounding: of the corner `(side - box) / 2`: "floor", "round" (half to even) or "ceil".
        fill: 0 to 255, one value or three.
    """

    stage: ClassVar[str] = "crop"
    name: ClassVar[str] = "crop"
    size: Size | None = None
    fraction: float | None = None
    anchor: Anchor = "center"
    rounding: Rounding = "round"
    fill: Colour = 0

    def __post_init__(self) -> None:
        if (self.size is None) == (self.fraction is None):
            raise BadCard("crop: expected either 'size' or 'fraction', one of the two.")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise BadCard(f"crop: expected a fraction above 0 and up to 1, got {self.fraction}.")

    def words(self) -> str:
        """The step for a person."""
        box = _by(self.size) if self.size else f"a square of {self.fraction:g} of the short side"
        return f"crop {box} from the {self.anchor}"


@dataclass(frozen=True, slots=True)
class Resize:
    """Change the size of the whole picture.

    `fit="stretch"`: to exactly `size`. `fit="short"`: the short side to `short`, the long side in
    proportion and rounded by `rounding`, all of it shrunk further when the long side would exceed
    `longest`. `fit="pad"`: the largest size of the same proportions that lies inside `size` (both sides
    rounded by `rounding`); the padding itself is a step of its own.

    Attributes:
        size: (height, width), for "stretch" and "pad".
        short: pixels of the short side, for "short".
        longest: greatest length of the long side, for "short"; None for no limit.
        fit: see above.
        filter: resampling kernel, as Pillow defines it.
        antialias: True stretches the kernel when shrinking (Pillow; bicubic with a = -0.5); False samples
            the input with the kernel at its natural width (torch, OpenCV; bicubic with a = -0.75), for
            "nearest", "bilinear" and "bicubic" only.
        rounding: of computed lengths: "floor", "round" (half to even) or "ceil".
        upscale: False leaves a picture alone that would have to grow.
        lengths: another rule for "short", of networks whose own pipeline has it. "factor" (torchvision's
            detectors): both sides times one number, the smaller of short / short side and longest / long
            side. "short" (DETR): the short side is the smaller of `short` and longest * short side / long
            side, rounded half to even; the long side is in proportion to it before that rounding.
        multiple: for "short", each computed length is stretched to the next multiple of this. Or None.
    """

    stage: ClassVar[str] = "resize"
    name: ClassVar[str] = "resize"
    size: Size | None = None
    short: int | None = None
    longest: int | None = None
    fit: Literal["short", "stretch", "pad"] = "short"
    filter: Filter = "bilinear"
    antialias: bool = True
    rounding: Rounding = "floor"
    upscale: bool = True
    lengths: Lengths | None = None
    multiple: int | None = None

    def __post_init__(self) -> None:
        if self.fit != "short" and (self.lengths or self.multiple):
            raise BadCard(f"resize: 'lengths' and 'multiple' are of fit 'short', not of {self.fit!r}.")
        if self.fit == "short" and (self.short is None or self.size is not None):
            raise BadCard("resize: fit 'short' takes 'short' (pixels), and no 'size'.")
        if self.fit != "short" and (self.size is None or self.short or self.longest):
            raise BadCard(f"resize: fit {self.fit!r} takes 'size' [height, width], and no 'short'.")
        if not self.antialias and self.filter not in ("nearest", "bilinear", "bicubic"):
            raise BadCard(f"resize: filter {self.filter!r} exists with antialias only.")

    def words(self) -> str:
        """The step for a person."""
        if self.fit == "short":
            to = f"the short side to {self.short}"
            to += f" (long side at most {self.longest})" if self.longest else ""
            to += f", both to a multiple of {self.multiple}" if self.multiple else ""
        else:
            to = f"{'straight to' if self.fit == 'stretch' else 'to fit inside'} {_by(self.size or (0, 0))}"
        return f"resize {to}, {self.filter}{'' if self.antialias else ' without antialias'}"


@dataclass(frozen=True, slots=True)
class Pad:
    """Add pixels around the picture.

    Attributes:
        to: (height, width) to reach; sides that are longer already stay. Or None.
        multiple: each side to the next multiple of this. Or None.
        value: 0 to 255, one value or three.
        anchor: where the picture lies: "center" (odd pixel right and below) or "top-left".
    """

    stage: ClassVar[str] = "resize"
    name: ClassVar[str] = "pad"
    to: Size | None = None
    multiple: int | None = None
    value: Colour = 0
    anchor: Anchor = "center"

    def __post_init__(self) -> None:
        if (self.to is None) == (self.multiple is None):
            raise BadCard("pad: expected either 'to' or 'multiple', one of the two.")

    def words(self) -> str:
        """The step for a person."""
        to = f"to {_by(self.to)}" if self.to else f"to a multiple of {self.multiple}"
        return f"pad {to} with {self.value}, picture at the {self.anchor}"


@dataclass(frozen=True, slots=True)
class Range:
    """`value * scale + offset`, in float32.

    Attributes:
        scale: factor; 1/255 takes 0..255 to 0..1.
        offset: added after the factor.
    """

    stage: ClassVar[str] = "normalise"
    name: ClassVar[str] = "range"
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.scale:
            raise BadCard("range: expected a scale other than zero, which would make every picture the same.")

    def words(self) -> str:
        """The step for a person."""
        low, high = self.offset, 255 * self.scale + self.offset
        return f"range 0..255 to {low:g}..{high:g}"


@dataclass(frozen=True, slots=True)
class Normalise:
    """`(value - mean) / std`, for each channel, in float32.

    Attributes:
        mean: one number for each channel, in the order that the channels have at this step.
        std: likewise.
    """

    stage: ClassVar[str] = "normalise"
    name: ClassVar[str] = "normalise"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise BadCard(
                f"normalise: expected as many means as stds, got {len(self.mean)} and {len(self.std)}."
            )
        if not all(self.std):
            raise BadCard(f"normalise: expected no std of zero, got {list(self.std)}.")

    def words(self) -> str:
        """The step for a person."""
        mean = ", ".join(f"{value:.4g}" for value in self.mean)
        std = ", ".join(f"{value:.4g}" for value in self.std)
        return f"subtract mean ({mean}), divide by std ({std})"


@dataclass(frozen=True, slots=True)
class Order:
    """The order of the colour channels.

    Attributes:
        order: "RGB" leaves them, "BGR" reverses them.
    """

    stage: ClassVar[str] = "layout"
    name: ClassVar[str] = "order"
    order: Literal["RGB", "BGR"] = "RGB"

    def words(self) -> str:
        """The step for a person."""
        return f"channels in order {self.order}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of the axes.

    Attributes:
        order: "NHWC" leaves channels last, "NCHW" puts them first.
    """

    stage: ClassVar[str] = "layout"
    name: ClassVar[str] = "layout"
    order: Literal["NCHW", "NHWC"] = "NCHW"

    def words(self) -> str:
        """The step for a person."""
        return f"axes in order {self.order}"


@dataclass(frozen=True, slots=True)
class Type:
    """The dtype of the values; to uint8 they are rounded (half to even) and clipped.

    Attributes:
        dtype: "uint8" or "float32".
    """

    stage: ClassVar[str] = "normalise"
    name: ClassVar[str] = "type"
    dtype: Literal["uint8", "float32"] = "float32"

    def words(self) -> str:
        """The step for a person."""
        return f"values as {self.dtype}"


Step = Read | Crop | Resize | Pad | Range | Normalise | Order | Layout | Type
GEOMETRIC = (Read, Crop, Resize, Pad)
"""Steps on the uint8 picture; all others are numeric: elementwise, or a permutation of axes."""


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
