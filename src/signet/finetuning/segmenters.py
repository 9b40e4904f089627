"""A dataset of labelled pixels: which network learns it, on which program, and how it is taught."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
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
from signet.finetuning.keeping import keep
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

CLASS_PARTS = ("network.segmentation_head",)
"""What of it knows a label from another."""
_STATED = "the dataset states a label for each pixel"
_SAME = (
    "nothing of it is new, since its labels are the same, and all that learns does so at the backbone's rate"
)
_OTHER = "every layer is kept but the last, which tells labels apart"

PACE = Pace(batch=4, images=6_000)


def task_for(found: Pretrained, dataset: Dataset[Any], recipe: Recipe) -> Task:
    """What a dataset of labelled pixels is learned as.

    Raises:
        BadRequest: the model has no backbone that takes a head, nor one of these heads already; the recipe's
            head or augmentation is none for pixels.
    """
    _head_of(found, recipe)
    strategy_of(recipe)
    if recipe.mosaic:
        raise BadRequest(
            f"recipe: mosaic {recipe.mosaic}: expected a dataset of objects, got labelled pixels."
        )
    _source(found, recipe)
    return dataset.task


def adaptation(found: Pretrained, parts: Dealt, recipe: Recipe) -> Adaptation:
    """The network that a recipe asks for: a head over the backbone of a model, or a segmenter that goes on.

    Raises:
        BadRequest: as `task_for`.
        MissingExtra: torch or segmentation-models-pytorch is not installed.
        BadInput: the backbone does not take the model's weights.
    """
    labels = parts.training.labels
    made = _network(found, labels, recipe)
    size = size_for(recipe.input_size, parts.typical)
    program = program_for(found.card.program, size)
    truth = parts.training[0].truth
    why = [
        made.why,
        f"{size[0]}x{size[1]} pixels, whole pictures in their own proportions, in multiples of 32",
        *beginning_words(found, recipe, "segment"),
    ]
    if strategy_of(recipe) == "partial" and recipe.frozen_stages is None and not recipe.freeze:
        why.append(f"the first {FROZEN_STAGES} stages stay: edges and colours are those of any pictures")

    def data() -> Any:
        from signet.training import PixelData, median_frequency_weights

        weights = median_frequency_weights(parts.training) if recipe.class_weights != "none" else None
        digest = ",".join(parts.digests)
        return PixelData(parts.training, parts.validation, program, weights=weights, digest=digest)

    return Adaptation(
        task="segment",
        module=made.module,
        spec=made.spec,
        program=program,
        output=OutputContract(
            head="pixel_logits",
            tensor="logits",
            classes=len(labels),
            background_index=None if truth is None else truth.background,
        ),
        head=made.head,
        body="network.encoder.model",
        family=HEADS[made.spec.architecture],
        head_words=made.words,
        kept=made.kept,
        pace=PACE.of(recipe),
        data=data,
        figures=("miou",),
        why=tuple(why),
        good_for=f"labelling the pixels of images like those that it learned from with {len(labels)} labels",
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Network:
    """A network that is to learn pixels.

    Attributes:
        spec: as data.
        module: with the weights that it begins with.
        head: names of its parts that are new.
        words: what is new of it.
        why: the reason, one sentence.
        kept: nothing is new.
    """

    spec: ModuleSpec
    module: Any
    head: tuple[str, ...]
    words: str
    why: str
    kept: bool = False


def _network(found: Pretrained, labels: tuple[str, ...], recipe: Recipe) -> _Network:
    from signet.zoos import from_smp

    decoder = _head_of(found, recipe)
    source, parent = _source(found, recipe)
    name = HEADS[decoder]
    if parent.zoo == from_smp.ZOO:
        spec = dataclasses.replace(parent, classes=len(labels))
    else:
        spec = from_smp.spec_for(decoder, parent.architecture, len(labels), parent.arguments)
    with seeded(recipe.seed):
        module = from_smp.build(spec, None)
    head, words = HEAD_PARTS, f"a new {name} head"
    if parent.zoo != from_smp.ZOO:
        # From scratch the backbone has random weights too; the head's are the same in both cases.
        if recipe.strategy != SCRATCH:
            from_smp.fill_encoder(module, source.build(), found.card.name)
        why = f"{_STATED}, so the backbone gets a {name} head with random weights"
        return _Network(spec=spec, module=module, head=head, words=words, why=why)
    why = f"{_STATED}, which {found.card.name} is made for"
    if recipe.strategy == SCRATCH:
        return _Network(spec=spec, module=module, head=head, words=words, why=why)
    same = found.card.labels == labels
    keep(source.build(), module, class_layers=same)
    why = f"{found.card.name} labels pixels already: {_SAME if same else _OTHER}"
    words = f"the last layer of its {name} head" if same else f"a new last layer in its {name} head"
    return _Network(spec=spec, module=module, head=CLASS_PARTS, words=words, why=why, kept=same)


def _source(found: Pretrained, recipe: Recipe) -> tuple[ModuleSource, ModuleSpec]:
    """The module that the run begins with, and what it is.

    Raises:
        BadRequest: it is neither a classifier of timm nor a segmenter with one of `HEADS`.
    """
    source = begun_with(found, recipe)
    spec = None if source is None else source.spec
    if source is None or spec is None or not (spec.zoo == "timm" or _own_head(spec)):
        kind = "a graph" if source is None else f"a network of {shown(spec.zoo if spec else '')}"
        raise BadRequest(
            f"{found.card.name}: expected a model of timm, whose backbone gives maps of several sizes to a "
            f"head for pixels, or a segmenter that finetune has sealed; got {kind}. Take one that `signet "
            "find --task classify` lists under timm/."
        )
    return source, spec


def _own_head(spec: ModuleSpec | None) -> str | None:
    """The head for pixels that a network has already, if it is one of `HEADS`."""
    return spec.architecture if spec and spec.zoo == "smp" and spec.architecture in HEADS else None


def _head_of(found: Pretrained, recipe: Recipe) -> str:
    """The head's name.

    Raises:
        BadRequest: the recipe's is none for pixels, or not the model's own.
    """
    if recipe.head != "auto" and recipe.head not in HEADS:
        raise BadRequest(
            f"--head {recipe.head}: expected a head for pixels ({', '.join(HEADS)}), since the dataset "
            "states a label for each pixel."
        )
    source = begun_with(found, recipe)
    own = None if source is None else _own_head(source.spec)
    if own is None:
        return DEFAULT_HEAD if recipe.head == "auto" else recipe.head
    if recipe.head not in ("auto", own):
        raise BadRequest(
            f"--head {recipe.head}: {found.card.name} has a {HEADS[own]} head of its own, which it keeps. "
            f"Leave --head out, or take a classifier of timm for a {HEADS[recipe.head]} head."
        )
    return own
