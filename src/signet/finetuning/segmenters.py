"""A classifier's backbone under a head for pixels: which network, on which program, and what is frozen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from signet.cards import Card, OutputContract
from signet.catalogue.configs import digest_of
from signet.errors import BadRequest, MissingExtra
from signet.finetuning.joining import module_of, traced_inputs
from signet.geometry import Size
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.programs import Program
from signet.recipes import Recipe
from signet.steps import GEOMETRIC, Pad, Read, Resize
from signet.storage import digest_of as file_digest

HEADS = {"unet": "U-Net", "fpn": "FPN", "deeplabv3plus": "DeepLabV3+"}
"""Heads for pixels, with the names that their papers give them.

Source: O. Ronneberger et al. (2015), arXiv:1505.04597; A. Kirillov et al. (2019), arXiv:1901.02446,
    section 3; L.-C. Chen et al. (2018), arXiv:1802.02611.
"""

DEFAULT_HEAD = "unet"
HEAD_PARTS = ("network.decoder", "network.segmentation_head")
"""What of the network is the head: it is new, and learns at the head's rate."""

FROZEN_STAGES = 2
"""Leading stages that a partial training leaves as they are: edges and colours are those of any pictures, and
at their size they cost most. Source: torchvision's detectors, which train 3 of a ResNet's 5 stages."""

MULTIPLE = 32
MOST_SHORT = 512
_GREY = 128


class Segmenter(NamedTuple):
    """What is trained.

    Attributes:
        spec: the module, as data.
        program: its preprocessing; every image ends with one size.
        size: (height, width) of that.
    """

    spec: ModuleSpec
    program: Program
    size: Size


def segmenter_for(found: Pretrained, recipe: Recipe, labels: int, typical: Size) -> Segmenter:
    """The network that a recipe asks for, over the backbone of a model.

    Args:
        found: a classifier, or a model of vectors, of timm.
        recipe: head and input size.
        labels: how many.
        typical: (height, width) that the images have.

    Raises:
        BadRequest: the model has no backbone that takes a head; the recipe's head is none for pixels.
    """
    from signet.zoos import from_smp

    source = module_of(found)
    if source is None or source.spec is None or source.spec.zoo != "timm":
        kind = (
            "a graph" if source is None else f"a network of {shown(source.spec.zoo if source.spec else '')}"
        )
        raise BadRequest(
            f"{found.card.name}: expected a model of timm, whose backbone gives maps of several sizes to a "
            f"head for pixels; got {kind}. Take one that `signet find --task classify` lists under timm/."
        )
    spec = from_smp.spec_for(head_of(recipe), source.spec.architecture, labels, source.spec.arguments)
    size = size_for(recipe, typical)
    return Segmenter(spec, program_for(found.card.program, size), size)


def head_of(recipe: Recipe) -> str:
    """The head's name.

    Raises:
        BadRequest: the recipe's is none for pixels.
    """
    if recipe.head == "auto":
        return DEFAULT_HEAD
    if recipe.head not in HEADS:
        raise BadRequest(
            f"--head {recipe.head}: expected a head for pixels ({', '.join(HEADS)}), since the dataset "
            "states a label for each pixel."
        )
    return recipe.head


def size_for(recipe: Recipe, typical: Size) -> Size:
    """(height, width) to train and predict at: the images' own proportions, whole multiples of 32.

    The short side is the recipe's, or the images' own up to 512.
    """
    short = recipe.input_size or min(*typical, MOST_SHORT)
    factor = short / min(typical)
    height, width = (max(MULTIPLE, round(side * factor / MULTIPLE) * MULTIPLE) for side in typical)
    return height, width


def program_for(program: Program, size: Size) -> Program:
    """The backbone's own numbers on the whole picture: fitted into the size with grey beside it."""
    first = program.steps[0]
    reading = first if isinstance(first, Read) else Read()
    numbers = (step for step in program.steps if not isinstance(step, GEOMETRIC))
    fitted = Resize(size=size, fit="pad", rounding="round")
    return Program((reading, fitted, Pad(to=size, value=_GREY), *numbers))


def built(found: Pretrained, segmenter: Segmenter, recipe: Recipe) -> Any:
    """The module: the model's weights in its backbone, a head with random ones from the recipe's seed.

    From scratch the backbone has random ones too; the head's are the same in both cases.

    Raises:
        MissingExtra: torch or segmentation-models-pytorch is not installed.
        BadInput: the backbone does not take the model's weights.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("Training a head for pixels", "segmentation", "torch") from error
    from signet.zoos import from_smp

    source = module_of(found)
    if source is None:
        raise BadRequest(f"{found.card.name}: expected a model that torch can build.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module = from_smp.build(segmenter.spec, None)
    if recipe.strategy != "scratch":
        from_smp.fill_encoder(module, source.build(), found.card.name)
    return module


def frozen_stages(module: Any, strategy: str, recipe: Recipe) -> tuple[str, ...]:
    """Names of the leading stages of the backbone that stay as they are.

    Raises:
        BadRequest: random weights are to stay.
    """
    from signet.training import stages_of

    backbone = [stage.name for stage in stages_of(module, HEAD_PARTS) if stage.name not in HEAD_PARTS]
    if strategy == "scratch" and recipe.frozen_stages:
        raise BadRequest(
            f"recipe: frozen_stages {recipe.frozen_stages}: from scratch all weights begin at random "
            "and none is worth keeping. Leave it out."
        )
    if recipe.frozen_stages is not None:
        return tuple(backbone[: recipe.frozen_stages])
    match strategy:
        case "full" | "scratch":
            return ()
        case "head":
            return tuple(backbone)
        case _:
            return tuple(backbone[: min(FROZEN_STAGES, len(backbone) - 1)])


def source_of(segmenter: Segmenter, weights: Path) -> ModuleSource:
    """The trained module, of the one size that its program ends with."""
    from signet.zoos import from_smp

    digest = digest_of(segmenter.spec, file_digest(weights))
    source = from_smp.module_source(segmenter.spec, weights, digest, segmenter.size)
    return dataclasses.replace(source, free_size=False)


def card_of(
    parent: Card, segmenter: Segmenter, labels: tuple[str, ...], background: int | None, **values: Any
) -> Card:
    """The card of the segmenter.

    Args:
        parent: of the model whose backbone it has.
        segmenter: what was trained.
        labels: its own.
        background: which of them stands for "nothing of these", or None.
        values: fields that differ from the parent's.
    """
    output = OutputContract(
        head="pixel_logits", tensor="logits", classes=len(labels), background_index=background
    )
    return dataclasses.replace(
        parent,
        **{
            "task": "segment",
            "program": segmenter.program,
            "inputs": traced_inputs(segmenter.size),
            "output": output,
            "labels": labels,
            "architecture": segmenter.spec.architecture,
            "family": HEADS[segmenter.spec.architecture],
            "claims": (),
            "weights_digest": None,
            "digest_trust": "unknown",
            "parameters": None,
            "gmacs": None,
            "depth": None,
            **values,
        },
    )
