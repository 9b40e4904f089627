"""A classifier's backbone under a head for pixels: which network, on which program, and how it is taught."""

from __future__ import annotations

from typing import Any

from signet.cards import OutputContract, Task
from signet.datasets import Dataset
from signet.errors import BadRequest
from signet.finetuning.adaptations import (
    FROZEN_STAGES,
    SCRATCH,
    Adaptation,
    Pace,
    beginning_words,
    begun_with,
    seeded,
    strategy_of,
)
from signet.finetuning.dealing import Dealt
from signet.finetuning.framing import program_for, size_for
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.recipes import Recipe

HEADS = {"unet": "U-Net", "fpn": "FPN", "deeplabv3plus": "DeepLabV3+"}
"""Heads for pixels, with the names that their papers give them.

Source: O. Ronneberger et al. (2015), arXiv:1505.04597; A. Kirillov et al. (2019), arXiv:1901.02446,
    section 3; L.-C. Chen et al. (2018), arXiv:1802.02611.
"""

DEFAULT_HEAD = "unet"
HEAD_PARTS = ("network.decoder", "network.segmentation_head")
"""What of the network is the head: it is new, and learns at the head's rate."""

PACE = Pace(batch=4, images=6_000)


def task_for(found: Pretrained, dataset: Dataset[Any], recipe: Recipe) -> Task:
    """What a dataset of labelled pixels is learned as.

    Raises:
        BadRequest: the model has no backbone that takes a head; the recipe's head or augmentation is none for
            pixels.
    """
    _head_of(recipe)
    strategy_of(recipe)
    if recipe.mosaic:
        raise BadRequest(
            f"recipe: mosaic {recipe.mosaic}: expected a dataset of objects, got labelled pixels."
        )
    source = begun_with(found, recipe)
    if source is None or source.spec is None or source.spec.zoo != "timm":
        kind = (
            "a graph" if source is None else f"a network of {shown(source.spec.zoo if source.spec else '')}"
        )
        raise BadRequest(
            f"{found.card.name}: expected a model of timm, whose backbone gives maps of several sizes to a "
            f"head for pixels; got {kind}. Take one that `signet find --task classify` lists under timm/."
        )
    return dataset.task


def adaptation(found: Pretrained, parts: Dealt, recipe: Recipe) -> Adaptation:
    """The network that a recipe asks for, over the backbone of a model.

    Raises:
        BadRequest: as `task_for`.
        MissingExtra: torch or segmentation-models-pytorch is not installed.
        BadInput: the backbone does not take the model's weights.
    """
    from signet.zoos import from_smp

    labels = parts.training.labels
    source = begun_with(found, recipe)
    if source is None or source.spec is None:
        raise BadRequest(f"{found.card.name}: expected a model that torch can build.")
    decoder = _head_of(recipe)
    spec = from_smp.spec_for(decoder, source.spec.architecture, len(labels), source.spec.arguments)
    size = size_for(recipe.input_size, parts.typical)
    program = program_for(found.card.program, size)
    truth = parts.training[0].truth
    why = [
        f"the dataset states a label for each pixel, so the backbone gets a {HEADS[decoder]} head with "
        "random weights",
        f"{size[0]}x{size[1]} pixels, whole pictures in their own proportions, in multiples of 32",
        *beginning_words(found, recipe),
    ]
    if strategy_of(recipe) == "partial" and recipe.frozen_stages is None:
        why.append(f"the first {FROZEN_STAGES} stages stay: edges and colours are those of any pictures")

    def data() -> Any:
        from signet.training import PixelData, median_frequency_weights

        weights = median_frequency_weights(parts.training) if recipe.class_weights == "median" else None
        digest = ",".join(parts.digests)
        return PixelData(parts.training, parts.validation, program, weights=weights, digest=digest)

    return Adaptation(
        task="segment",
        module=built(found, source, spec, recipe),
        spec=spec,
        program=program,
        output=OutputContract(
            head="pixel_logits",
            tensor="logits",
            classes=len(labels),
            background_index=None if truth is None else truth.background,
        ),
        head=HEAD_PARTS,
        body="network.encoder.model",
        family=HEADS[decoder],
        head_words=f"a new {HEADS[decoder]} head",
        pace=PACE.of(recipe),
        data=data,
        figures=("miou",),
        why=tuple(why),
        good_for=f"labelling the pixels of images like those that it learned from with {len(labels)} labels",
    )


def built(found: Pretrained, source: ModuleSource, spec: ModuleSpec, recipe: Recipe) -> Any:
    """The module: the model's weights in its backbone, a head with random ones from the recipe's seed.

    From scratch the backbone has random ones too; the head's are the same in both cases.
    """
    from signet.zoos import from_smp

    with seeded(recipe.seed):
        module = from_smp.build(spec, None)
    if recipe.strategy != SCRATCH:
        from_smp.fill_encoder(module, source.build(), found.card.name)
    return module


def _head_of(recipe: Recipe) -> str:
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
