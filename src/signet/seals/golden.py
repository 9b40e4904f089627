"""Which images become the golden ones of a seal, and in which form: few, telling, and without metadata."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from signet.arrays import Bytes
from signet.decoding import read
from signet.errors import BadInput, SignetError
from signet.geometry import Size
from signet.headers import jpeg_header, kind_of
from signet.images import Image
from signet.naming import shown
from signet.seals.made import made_images
from signet.seals.manifest import GoldenEntry, GoldenSource
from signet.seals.names import GOLDEN
from signet.seals.stripping import stripped_jpeg, stripped_png, with_orientation

TRAITS = ("turned", "oblong", "grey")
"""What at least one golden image each shall be: turned by EXIF, not square, grey."""
MOST = 4
"""Golden images in all; more only where all own ones are grey, flat or no larger than the input."""
LEAST_OWN = 2
MOST_LOOKED_AT = 48
"""Own images that are looked at for telling ones, from the front of what is given."""
MOST_PIXELS = 1_000_000
_SHRUNK_PIXELS = 300_000
_LEAST_COLOUR = 4.0
_LEAST_DETAIL = 1.0
"""Levels of 255 by which channels, and neighbouring pixels, differ on average in a telling image: of 84
photographs the middle half has 20 to 44 and 6 to 13. In grey ones swapped channels change nothing, in flat
ones no filter and no crop does."""
_COLOURED = 1
"""Place of the made image that is in colour and upright."""
_QUALITY = 95


@dataclass(frozen=True, slots=True)
class GoldenImage:
    """An image as it goes into a seal.

    Attributes:
        entry: its line in `seal.json`.
        data: the file's bytes.
        origin: the user's file that it was, for the plan; never written.
    """

    entry: GoldenEntry
    data: bytes
    origin: str = ""

    def words(self) -> str:
        """For the plan: which file, and what happens to it."""
        name = shown(self.origin) if self.origin else "an image made by Signet"
        return ", ".join(
            (f"{name} as {self.entry.file}", *self.entry.traits, *filter(None, [self.entry.note]))
        )


def golden_images(
    images: Sequence[Image | str | Path], source: GoldenSource, input_size: Size | None
) -> tuple[GoldenImage, ...]:
    """Choose golden images, own ones first, and bring them into the form that is sealed.

    Of the own images those are preferred that are turned by EXIF, not square, grey, and larger than the
    network's input; a trait that none has is shown by a made image, and so are colour and detail where all of
    them are grey or flat. Metadata is taken out without loss
    (orientation stays); images above a megapixel, and formats that cannot be cleaned so, are encoded again.

    Args:
        images: the user's, as paths or read already.
        source: "own" takes some of them, "made" takes none.
        input_size: (height, width) of the network's input, or None when it depends on the image.

    Raises:
        BadInput: none of the images can be read.
    """
    size = input_size or (224, 224)
    own = _own(_candidates(images, size)) if source == "own" else []
    there = {trait for candidate in own for trait in candidate.traits}
    # Without an image that is shrunk, a missing antialias would leave no trace.
    shrinks = any(candidate.shrinks for candidate in own)
    made = [one for one in _made(size) if not shrinks or set(one.traits) & set(TRAITS) - there]
    if not any(candidate.telling for candidate in (*own, *made)):
        made.append(_made(size)[_COLOURED])
    result = []
    for place, candidate in enumerate([*own, *made]):
        entry = GoldenEntry(
            f"{GOLDEN}/{place}{candidate.ending}", candidate.source, candidate.traits, candidate.note
        )
        result.append(GoldenImage(entry, candidate.data, candidate.origin))
    return tuple(result)


@dataclass(frozen=True, slots=True)
class _Candidate:
    data: bytes
    ending: str
    traits: tuple[str, ...]
    shrinks: bool
    telling: bool
    source: GoldenSource
    note: str = ""
    origin: str = ""


def _made(size: Size) -> list[_Candidate]:
    traits = (("turned", "oblong"), ("oblong",), ("grey",))
    return [
        _Candidate(data, ending, trait, shrinks=True, telling="grey" not in trait, source="made")
        for (ending, data), trait in zip(made_images(size), traits, strict=True)
    ]


def _candidates(images: Sequence[Image | str | Path], size: Size) -> list[_Candidate]:
    candidates: list[_Candidate] = []
    problem: SignetError | None = None
    for image in images[:MOST_LOOKED_AT]:
        try:
            candidates.append(_candidate(image, size))
        except BadInput as error:
            problem = error
    if problem is not None and not candidates:
        raise problem
    return candidates


def _own(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """One for each trait, as few as possible, then others; fewer where made images are to be added."""
    chosen: list[_Candidate] = []
    missing = 0
    for trait in TRAITS:
        if any(trait in candidate.traits for candidate in chosen):
            continue
        with_trait = [candidate for candidate in candidates if trait in candidate.traits]
        chosen += sorted(with_trait, key=_preference)[:1]
        missing += not with_trait
    others = sorted((one for one in candidates if one not in chosen), key=_preference)
    chosen += others[: max(LEAST_OWN, MOST - missing) - len(chosen)]
    return sorted(chosen, key=candidates.index)


def _preference(candidate: _Candidate) -> tuple[bool, bool, bool]:
    return not candidate.shrinks, not candidate.telling, bool(candidate.note)


def _candidate(image: Image | str | Path, size: Size) -> _Candidate:
    if isinstance(image, Image):
        data, note = _as_png(image.pixels), "written as PNG"
        origin = image.source
    else:
        data, note = _bytes_of(image), ""
        origin = str(image)
    stored = read(data, orient=False)
    upright = read(data)
    turned = stored.size != upright.size or not np.array_equal(stored.pixels, upright.pixels)
    if stored.height * stored.width > MOST_PIXELS:
        orientation = _orientation(data)
        smaller = _smaller(stored if orientation > 1 else upright, size)
        data, ending = with_orientation(smaller, orientation), ".jpg"
        note, turned = "encoded again, smaller", orientation > 1
    elif not isinstance(image, Image):
        data, ending, note = _cleaned(data, upright, stored)
        turned = turned and not note
    else:
        ending = ".png"
    pixels = upright.pixels
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
    flags = {"turned": turned, "oblong": upright.height != upright.width, "grey": grey}
    traits = tuple(trait for trait in TRAITS if flags[trait])
    shrinks = upright.height > size[0] and upright.width > size[1]
    telling = shrinks and _is_telling(pixels)
    return _Candidate(data, ending, traits, shrinks, telling, "own", note, origin)


def _is_telling(pixels: Bytes) -> bool:
    """Whether channels and neighbours of uint8 (H, W, 3) differ enough to show a fault."""
    values = pixels.astype(np.int16)
    colour = (values.max(axis=2) - values.min(axis=2)).mean()
    detail = max(float(np.abs(np.diff(values, axis=axis)).mean()) for axis in (0, 1))
    return bool(colour >= _LEAST_COLOUR and detail >= _LEAST_DETAIL)


def _cleaned(data: bytes, upright: Image, stored: Image) -> tuple[bytes, str, str]:
    """(file, ending, note): without metadata and without loss; as PNG where there is no other way."""
    kind = kind_of(data[:64])
    stripped = {"JPEG": stripped_jpeg, "PNG": stripped_png}.get(kind or "", lambda _: None)(data)
    if stripped is not None and _same(stripped, upright, stored):
        return stripped, ".jpg" if kind == "JPEG" else ".png", ""
    return _as_png(upright.pixels), ".png", "written as PNG"


def _same(data: bytes, upright: Image, stored: Image) -> bool:
    """Whether a cleaned file still has the very same pixels, upright and as stored."""
    try:
        return np.array_equal(read(data).pixels, upright.pixels) and np.array_equal(
            read(data, orient=False).pixels, stored.pixels
        )
    except BadInput:
        return False


def _smaller(image: Image, size: Size) -> bytes:
    """A JPEG of about a third of a megapixel, but larger than the network's input."""
    factor = (_SHRUNK_PIXELS / (image.height * image.width)) ** 0.5
    factor = max(factor, 1.25 * max(size) / min(image.size))
    to = (max(1, round(image.width * min(1.0, factor))), max(1, round(image.height * min(1.0, factor))))
    picture = image.to_pillow().resize(to, PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _orientation(data: bytes) -> int:
    header = jpeg_header(data) if kind_of(data[:64]) == "JPEG" else None
    return header.orientation if header else 1


def _as_png(pixels: np.ndarray) -> bytes:
    grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def _bytes_of(path: str | Path) -> bytes:
    """The file's bytes, after the checks that `read` makes of a path."""
    read(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{shown(path)}: cannot be read: {error.strerror or error}.") from error
