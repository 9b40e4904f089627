"""What a network becomes for a dataset of pixels or objects, decided before anything is learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.cards import OutputContract, Task
from signet.catalogue.configs import digest_of
from signet.errors import BadRequest, MissingExtra
from signet.finetuning import steadying
from signet.finetuning.optimising import batch_of, ignored
from signet.geometry import Size
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.programs import Program
from signet.recipes import Recipe
from signet.resolving import module_source
from signet.storage import digest_of as file_digest

SCRATCH = "scratch"
FROZEN_STAGES = 2
"""Leading stages that a partial training leaves as they are: edges and colours are those of any pictures, and
at their size they cost most. Source: torchvision's detectors, which train 3 of a ResNet's 5 stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a kind of network is taught where the recipe leaves it open.

    Attributes:
        batch: images of a step.
        images: that are seen in all; the epochs follow from it.
        least: epochs.
        most: epochs.
        patience: epochs without a better validation after which training ends.
        mosaic: share of the training pictures that are made of four.
        ema: decay of the mean of the weights that is judged and kept; 0 for the weights themselves.
    """

    batch: int
    images: int
    least: int = 10
    most: int = 100
    patience: int = 5
    mosaic: float = 0.0
    ema: float = 0.0

    def of(self, recipe: Recipe) -> Pace:
        """With what the recipe decides."""
        return Pace(
            batch=batch_of(recipe, self.batch),
            images=self.images,
            least=self.least,
            most=self.most,
            patience=self.patience if recipe.patience is None else recipe.patience,
            mosaic=self._mosaic(recipe),
            ema=steadying.averaged(recipe, self.ema)["ema"],
        )

    @property
    def settings(self) -> dict[str, float]:
        """What of it a step depends on: plain JSON."""
        return {name: getattr(self, name) for name in ("batch", "patience", "mosaic", "ema")}

    def epochs(self, training: int) -> int:
        """Passes over so many training images."""
        return min(self.most, max(self.least, round(self.images / training)))

    def _mosaic(self, recipe: Recipe) -> float:
        if recipe.mosaic is not None:
            return recipe.mosaic
        return self.mosaic if recipe.augmentation != "none" else 0.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Adaptation:
    """A network with the weights that it begins with, and how it is taught, read and sealed.

    Attributes:
        task: what its answers are.
        module: the torch module; training changes it.
        spec: the module as data, from which it can be built again.
        program: its preprocessing; every image ends with one size.
        output: how its outputs are read.
        head: names of the module's parts that learn at the head's rate; their BatchNorm gathers statistics.
        body: name of the module's part that is the backbone, whose leading stages may be frozen.
        family: name of the kind of head, as its paper has it.
        head_words: what is new of the network, in words: "a new U-Net head".
        kept: nothing is: its head has these labels, and learns further at the backbone's rate.
        pace: how it is taught.
        data: what it learns from and is judged by: `PixelData` or `ObjectData`.
        example: one target as training has it, for a trial of the time that a step takes; None where the
            network's answer alone says it.
        figures: of the validation, the deciding one first, as the history has them behind "validation_".
        why: the reasons, one sentence each.
        shows: what the training images show, in sentences.
        good_for: a sentence for the card.
        notes: what else a person should know.
    """

    task: Task
    module: Any
    spec: ModuleSpec
    program: Program
    output: OutputContract
    head: tuple[str, ...]
    body: str
    family: str
    head_words: str
    kept: bool = False
    pace: Pace
    data: Callable[[], Any]
    example: Any = None
    figures: tuple[str, ...]
    why: tuple[str, ...]
    shows: tuple[str, ...] = ()
    good_for: str
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> Size:
        """(height, width) of every prepared image.

        Raises:
            BadRequest: the program gives images of several sizes.
        """
        size = self.program.input_size()
        if size is None:
            raise BadRequest(f"{self.family}: expected a program that ends with one size.")
        return size

    def source(self, weights: Path) -> ModuleSource:
        """The trained module, of the one size that its program ends with."""
        digest = digest_of(self.spec, file_digest(weights))
        found = module_source(self.spec, weights, digest, self.size)
        if found is None:
            raise BadRequest(f"{self.spec.zoo}: expected a zoo that can build its modules again.")
        return dataclasses.replace(found, free_size=False)


def strategy_of(recipe: Recipe) -> str:
    """What is trained.

    Raises:
        BadRequest: a probe, which there is none of; a strategy for labels of images; or random weights are to
            stay as they are.
    """
    if recipe.strategy == "probe":
        raise BadRequest(
            "--strategy probe: a probe gives one label for an image, and the dataset states more than that. "
            "Use head, partial, full or scratch."
        )
    if recipe.strategy in ("gradual", "probe-then-finetune", "lora"):
        raise BadRequest(
            f"--strategy {recipe.strategy}: expected one label an image, and the dataset states more than "
            "that. Use head, partial, full or scratch."
        )
    if recipe.strategy == SCRATCH and recipe.frozen_stages:
        raise BadRequest(
            f"recipe: frozen_stages {recipe.frozen_stages}: from scratch all weights begin at random "
            "and none is worth keeping. Leave it out."
        )
    return "partial" if recipe.strategy == "auto" else recipe.strategy


def frozen_stages(module: Any, body: str, recipe: Recipe) -> tuple[str, ...]:
    """Names of the modules of the backbone's leading stages that stay as they are.

    Args:
        module: the whole network.
        body: name of the backbone in it.
        recipe: strategy, and how many stages where it states that.
    """
    from signet.training import frozen_parameters, stages_of

    stages = stages_of(module.get_submodule(body))
    if recipe.freeze:
        held = frozen_parameters(module.get_submodule(body), "", recipe.freeze)
        # A norm that goes with its stage lies beside it, and has no name that the stage's is a part of.
        beside = sorted({name.rpartition(".")[0] for name in held if not _lies_in(name, recipe.freeze)})
        return tuple(f"{body}.{name}" for name in (*recipe.freeze, *beside))
    match strategy_of(recipe):
        case "head":  # whatever else is asked for
            count = len(stages)
        case _ if recipe.frozen_stages is not None:
            count = recipe.frozen_stages
        case "full" | "scratch":
            count = 0
        case _:
            count = min(FROZEN_STAGES, len(stages) - 1)
    names: dict[str, None] = {}
    for stage in stages[:count]:
        names[stage.name] = None
        # A norm that goes with its stage lies beside it.
        names |= {
            parameter.rpartition(".")[0]: None
            for parameter in stage.parameters
            if not parameter.startswith(f"{stage.name}.")
        }
    return tuple(f"{body}.{name}" for name in names)


def _lies_in(parameter: str, names: Iterable[str]) -> bool:
    return any(parameter.startswith(f"{name}.") for name in names)


def beginning_words(found: Pretrained, recipe: Recipe, task: Task) -> tuple[str, ...]:
    """What is known before anything is learned, what becomes of the statistics, and of averages."""
    said = steadying.reasons(recipe, task, scratch=recipe.strategy == SCRATCH)
    if recipe.strategy == SCRATCH:
        return (
            f"nothing is pretrained: of {found.card.name} only architecture and preprocessing are taken, "
            "every weight begins at random",
            "everything learns at the head's rate, and every BatchNorm gathers its own statistics",
            *ignored(recipe, SCRATCH),
            *said,
        )
    if recipe.batchnorm != "frozen" or recipe.batchnorm_stages:
        return said
    own = "BatchNorm of what is pretrained keeps its statistics, that of new layers gathers its own"
    return (own, *said[1:])  # the first says the same of a network without new layers


def begun_with(found: Pretrained, recipe: Recipe) -> ModuleSource | None:
    """The module that a run begins with; without weights only where every weight begins at random."""
    source = found.module
    if source is not None or recipe.strategy != SCRATCH:
        return source
    for network in found.networks:
        if isinstance(network, ModuleSource) and network.spec is not None:
            return network
    return None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Meanwhile torch's random numbers come from a seed; afterwards they go on as before.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("Training a head for pixels or objects", "train", "torch") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
