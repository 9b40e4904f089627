"""A preprocessing program at another input size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from signet.errors import BadRequest
from signet.geometry import Size
from signet.programs import Program
from signet.steps import Crop, Pad, Resize, Step

T = TypeVar("T")


def program_at(program: Program, size: Size) -> Program:
    """The program whose images end with another size, all else in proportion.

    A short side of 256 before a crop of 224 becomes 128 before a crop of 112: the same part of the picture
    is seen, in fewer pixels.

    Args:
        program: one that ends with a fixed size.
        size: (height, width) to end with.

    Raises:
        BadRequest: the program's size depends on the image, or the sides are below 1.
    """
    now = program.input_size()
    if now is None:
        raise BadRequest(
            "input size: expected a program that gives every image one size, got one whose size depends on "
            f"the image ({'; '.join(program.words())}). Train without another size."
        )
    if min(size) < 1:
        raise BadRequest(f"input size: expected (height, width) of at least 1, got {size}.")
    if size == now:
        return program
    return Program(tuple(_scaled(step, now, size) for step in program.steps))


def size_in(epoch: int, epochs: int, sizes: Sequence[T]) -> T:
    """The size of an epoch, where the epochs are dealt to sizes in equal parts, in order.

    Args:
        epoch: from 1.
        epochs: of the whole run.
        sizes: at least one. With fewer epochs than sizes the first ones are left out.

    Source: J. Howard et al., "fast.ai DAWNBench" (2018), progressive resizing; M. Tan, Q. Le,
        "EfficientNetV2" (2021), section 4, which finds that augmentation should grow with it.
    """
    chosen = sizes[-min(len(sizes), epochs) :]
    return chosen[min(epoch - 1, epochs - 1) * len(chosen) // epochs]


def _scaled(step: Step, now: Size, to: Size) -> Step:
    match step:
        case Crop(size=box) if box is not None:
            return replace(step, size=_both(box, now, to))
        case Resize(fit="short", short=short, longest=longest):
            factor = max(to[0] / now[0], to[1] / now[1])  # so that a crop after it is filled in both axes
            return replace(
                step,
                short=max(1, round((short or 1) * factor)),
                longest=max(1, round(longest * factor)) if longest else None,
            )
        case Resize(size=box) if box is not None:
            return replace(step, size=_both(box, now, to))
        case Pad(to=box) if box is not None:
            return replace(step, to=_both(box, now, to))
        case _:
            return step


def _both(box: Size, now: Size, to: Size) -> Size:
    return max(1, round(box[0] * to[0] / now[0])), max(1, round(box[1] * to[1] / now[1]))
