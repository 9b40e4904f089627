"""A dataset of boxes or masks: which network learns it, on which program, and how it is taught."""

from __future__ import annotations

from typing import Any

from signet.cards import Task
from signet.datasets import Dataset
from signet.errors import BadRequest
from signet.finetuning.adaptations import (
    FROZEN_STAGES,
    SCRATCH,
    Adaptation,
    Pace,
    beginning_words,
    begun_with,
    strategy_of,
)
from signet.finetuning.census import Census, census
from signet.finetuning.dealing import Dealt
from signet.finetuning.detector_networks import (
    FAMILIES,
    FASTER_RCNN,
    MASK_RCNN,
    YOLO,
    DetectorNetwork,
    kind_words,
    over_backbone,
    own_head,
    with_labels,
)
from signet.finetuning.framing import program_for, size_for
from signet.networks import ModuleSource, Pretrained
from signet.recipes import Recipe

DEFAULT_HEAD = YOLO
PACES = {
    YOLO: Pace(batch=8, images=12_000, patience=15, mosaic=0.5, ema=0.998),
    FASTER_RCNN: Pace(batch=2, images=6_000, patience=15),
    MASK_RCNN: Pace(batch=2, images=6_000, patience=15),
}
"""How each is taught. The patience is greater than elsewhere, since average precision on few images jumps."""

_GIVES = {YOLO: ("detect", "instances"), FASTER_RCNN: ("detect",), MASK_RCNN: ("instances",)}
_TRUTH = {"detect": "boxes", "instances": "objects with masks"}


def task_for(found: Pretrained, dataset: Dataset[Any], recipe: Recipe) -> Task:
    """What a dataset of boxes or masks is learned as: objects with masks are boxes, too.

    Raises:
        BadRequest: the model, the recipe's head and the dataset do not go together; the model has no weights
            to begin with.
    """
    strategy_of(recipe)
    source = _source(found, recipe)
    head = _head_of(found, source, recipe)
    gives = _GIVES[head]
    if source.spec is not None and own_head(source.spec) is not None:
        gives = (found.card.task,)
    if dataset.task in gives:
        return dataset.task
    if gives == ("detect",):
        return "detect"
    raise BadRequest(
        f"{dataset.source}: a {FAMILIES[head]} head that gives masks expects objects with masks, and the "
        f"dataset states boxes only. Take a head for boxes ({YOLO}, {FASTER_RCNN}), or a detector without "
        "masks."
    )


def adaptation(found: Pretrained, parts: Dealt, recipe: Recipe) -> Adaptation:
    """The network that a model and a recipe ask for, and how it is taught.

    Raises:
        BadRequest: as `task_for`; or the backbone gives no maps of several sizes.
        MissingExtra: torch, timm or torchvision is not installed.
        BadInput: the backbone does not take the model's weights.
    """
    task = parts.training.task
    masks = task == "instances"
    source = _source(found, recipe)
    head = _head_of(found, source, recipe)
    size = size_for(recipe.input_size, parts.typical)
    seen = census(parts.training, size)
    if source.spec is not None and own_head(source.spec) is not None:
        made = with_labels(found, source, seen, masks, recipe)
    else:
        made = over_backbone(found, source, head, seen, masks, recipe)
    program = program_for(found.card.program, size)
    pace = PACES[head].of(recipe)

    def data() -> Any:
        from signet.training import ObjectData

        digest = ",".join(parts.digests)
        return ObjectData(parts.training, parts.validation, program, made.output, digest=digest)

    return Adaptation(
        task=task,
        module=made.module,
        spec=made.spec,
        program=program,
        output=made.output,
        head=made.form.parts,
        body=made.form.body,
        family=made.family,
        head_words=made.words,
        kept=made.all_kept,
        pace=pace,
        data=data,
        example=_example(seen, masks),
        figures=("ap", "ap50"),
        why=(
            *_head_reasons(found, head, made, masks, recipe),
            f"{size[0]}x{size[1]} pixels, whole pictures in their own proportions, in multiples of 32",
            *beginning_words(found, recipe, task),
            *_teaching(made, seen, pace, recipe),
        ),
        shows=seen.words,
        notes=seen.warnings,
        good_for=f"finding {_TRUTH[task]} of {len(seen.labels)} labels in images like those that it learned "
        "from",
    )


def _source(found: Pretrained, recipe: Recipe) -> ModuleSource:
    """The module that the run begins with.

    Raises:
        BadRequest: a graph, or a network without weights that is not to be learned from scratch.
    """
    source = begun_with(found, recipe)
    if source is not None:
        return source
    if any(isinstance(network, ModuleSource) for network in found.networks):
        raise BadRequest(
            f"{found.card.name}: there are no weights of it to begin with. Learn it from random ones with "
            "--strategy scratch, give weights of your own, or take a classifier of timm with --head yolo."
        )
    raise BadRequest(f"{found.card.name}: {_WANTED}; got a graph, which torch cannot train.")


_WAYS = {
    YOLO: "one stage: every place of three maps answers with a box and its labels",
    FASTER_RCNN: "two stages: regions are proposed, then told apart; slower than one stage",
    MASK_RCNN: "two stages: regions are proposed, then told apart and cut out; slower than one stage",
}
_WANTED = (
    "expected a classifier of timm, whose backbone takes a head for objects, a YOLO of Signet's own, or a "
    "Faster R-CNN or Mask R-CNN of torchvision"
)


def _head_of(found: Pretrained, source: ModuleSource, recipe: Recipe) -> str:
    """The kind of head.

    Raises:
        BadRequest: the model takes none; the recipe's is none for objects, or not the model's own.
    """
    asked = None if recipe.head == "auto" else recipe.head
    if asked is not None and asked not in FAMILIES:
        raise BadRequest(
            f"--head {asked}: expected a head for objects ({', '.join(FAMILIES)}), since the dataset states "
            "boxes or masks."
        )
    own = None if source.spec is None else own_head(source.spec)
    if own is not None:
        if asked not in (None, own):
            raise BadRequest(
                f"--head {asked}: {found.card.name} has a {FAMILIES[own]} head of its own, which it keeps. "
                f"Leave --head out, or take a classifier of timm for a {FAMILIES[asked]} head."
            )
        return own
    if source.spec is None or source.spec.zoo != "timm":
        raise BadRequest(f"{found.card.name}: {_WANTED}; got {kind_words(source.spec)}.")
    return asked or DEFAULT_HEAD


def _head_reasons(
    found: Pretrained, head: str, made: DetectorNetwork, masks: bool, recipe: Recipe
) -> tuple[str, ...]:
    """Why the network is what it is."""
    states = _TRUTH["instances" if masks else "detect"]
    if found.card.task not in ("detect", "instances"):
        why = f"the dataset states {states}, so the backbone gets a {made.family} head with random weights"
        return (why, _WAYS[head])
    if recipe.strategy == SCRATCH:
        return (f"the dataset states {states}, which {found.card.name} is made for",)
    if made.all_kept:
        kept = (
            "nothing of it is new, since its labels are the same, and the head learns at the backbone's rate"
        )
    else:
        kept = "every layer is kept but those that tell labels apart"
    return (f"{found.card.name} finds {states} already: {kept}",)


def _teaching(made: DetectorNetwork, seen: Census, pace: Pace, recipe: Recipe) -> tuple[str, ...]:
    """How it is taught, one sentence each."""
    said = []
    if strategy_of(recipe) == "partial" and recipe.frozen_stages is None and not recipe.freeze:
        said.append(f"the first {FROZEN_STAGES} stages stay: edges and colours are those of any pictures")
    if pace.mosaic:
        said.append(
            f"{100 * pace.mosaic:.0f} % of the pictures are made of four (mosaic), so that objects are seen "
            "in more sizes and surroundings; none in the last epochs"
        )
    if pace.ema:
        said.append(
            "the mean of the weights over the steps is judged and kept, which jumps less than they do"
        )
    if made.form.head == YOLO and not made.all_kept and not made.anchors:
        said.append("scores begin near those of five objects a picture, since nearly all places show none")
    if made.anchors:
        said.append(made.anchors)
    if "anchors" in made.spec.arguments:
        said.append(
            f"anchors begin at {made.spec.arguments['anchors'][0]} pixels: one object in ten is smaller than "
            f"{seen.small:.0f}"
        )
    return tuple(said)


def _example(seen: Census, masks: bool) -> Any:
    """One target with as many objects as images have on the average, for a trial of the time."""
    import torch

    height, width = seen.size
    count = max(1, round(float(seen.each.mean()))) if len(seen.each) else 1
    places = torch.linspace(0, 0.75, count)[:, None]
    near = places * torch.tensor([[width, height]])
    target = {
        "boxes": torch.cat([near, near + torch.tensor([[width, height]]) / 4], dim=1).float(),
        "labels": torch.zeros(count, dtype=torch.int64),
    }
    if masks:
        target["masks"] = torch.ones(count, height, width, dtype=torch.uint8)
    return target
