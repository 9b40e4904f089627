"""The torch module of a seal, ready to be converted: in evaluation mode, its preprocessing in it or not."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from signet.arrays import Array
from signet.cards import InputSpec
from signet.exporting import preludes
from signet.exporting.contracts import Shape
from signet.exporting.materials import Materials
from signet.steps import Layout, Normalise, Order, Range, Step, Type


class Ready(NamedTuple):
    """A module to convert.

    Attributes:
        module: a `torch.nn.Module`.
        example: two images, or one where it takes no more, for converters that follow an example.
        shape: how what is made of it is used.
        any_batch: it takes any number of images.
    """

    module: Any
    example: Any
    shape: Shape
    any_batch: bool


def ready(materials: Materials, preprocessing: str, wanted: str, *, any_batch: bool = True) -> Ready:
    """Build the module of a seal.

    Args:
        materials: the seal.
        preprocessing: "in" or "out".
        wanted: the format, for a message.
        any_batch: False where the format takes one image.

    Raises:
        BadRequest: the seal holds no weights, or the preprocessing cannot go inside.
        MissingExtra: torch or the zoo's library is not installed.
    """
    import torch

    source = materials.require_module(wanted)
    module = source.build().eval()
    any_batch = any_batch and not source.selects
    card = materials.card
    height, width = card.input_size or source.input_shape[1:]
    free = None if any_batch else 1
    sides = (None, None) if source.free_size and card.input_size is None else (height, width)
    spec = InputSpec("images", shape=(free, *_placed(source.input_shape, sides)))
    single = not source.outputs
    output = dataclasses.replace(card.output, tensor=0, features=None) if single else card.output
    names = source.answers[:1] if single else source.outputs
    shape = Shape(inputs=(spec,), output=output, program=card.program, outputs=names)
    count = 2 if any_batch else 1
    example = torch.zeros(count, *_placed(source.input_shape, (height, width)))
    if preprocessing == "in":
        outside, steps = preludes.parts(card.program)
        prelude = prelude_of(steps)
        preludes.check(steps, lambda pictures: _answer(prelude, pictures))
        module = torch.nn.Sequential(prelude, module).eval()
        example = torch.zeros(count, height, width, 3, dtype=torch.uint8)
        spec = InputSpec(preludes.PICTURES, dtype="uint8", shape=(free, *sides, 3))
        stages = tuple(dict.fromkeys(step.stage for step in steps))
        shape = dataclasses.replace(shape, inputs=(spec,), program=outside, inside=stages)
    return Ready(module, example, shape, any_batch)


def prelude_of(steps: tuple[Step, ...]) -> Any:
    """The arithmetic of a preprocessing program as a module: uint8 (N, H, W, 3) to what the network takes."""
    import torch

    class Prelude(torch.nn.Module):
        """What comes before the network, step by step."""

        def __init__(self) -> None:
            super().__init__()
            for place, step in enumerate(steps):
                if isinstance(step, Normalise):
                    shape = (1, -1, 1, 1) if _channels_first(steps[:place]) else (1, 1, 1, -1)
                    self.register_buffer(f"mean{place}", torch.tensor(step.mean).reshape(shape))
                    self.register_buffer(f"std{place}", torch.tensor(step.std).reshape(shape))

        def forward(self, pictures: Any) -> Any:
            value, first = pictures, False
            for place, step in enumerate(steps):
                match step:
                    case Range(scale=scale, offset=offset):
                        value = value.float() * scale
                        value = value + offset if offset else value
                    case Normalise():
                        value = (value.float() - getattr(self, f"mean{place}")) / getattr(self, f"std{place}")
                    case Order(order="BGR"):
                        value = value.flip(1 if first else 3)
                    case Layout(order=order) if (order == "NCHW") != first:
                        value = value.permute((0, 2, 3, 1) if first else (0, 3, 1, 2)).contiguous()
                        first = not first
                    case Type(dtype="float32"):
                        value = value.float()
                    case Type(dtype="uint8"):
                        value = value.round().clamp(0, 255).to(torch.uint8)
                    case _:
                        pass
            return value

    return Prelude().eval()


def _channels_first(steps: tuple[Step, ...]) -> bool:
    orders = [step.order for step in steps if isinstance(step, Layout)]
    return orders[-1:] == ["NCHW"]


def _placed(stated: tuple[int, ...], sides: tuple[Any, Any]) -> tuple[Any, ...]:
    """The axes of one image, with these sides, the channels where the module takes them."""
    return (3, *sides) if stated[0] == 3 else (*sides, 3)


def _answer(prelude: Any, pictures: Array) -> Array:
    import torch

    with torch.inference_mode():
        answered: Array = np.asarray(prelude(torch.from_numpy(pictures)))
    return answered
