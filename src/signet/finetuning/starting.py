"""What a run begins with: a pretrained model, or (from scratch) an architecture alone."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from signet.cards import Licence
from signet.catalogue.configs import digest_of, digest_with
from signet.errors import BadRequest, HubError, UnknownName
from signet.finetuning.adaptations import SCRATCH, begun_with, seeded
from signet.finetuning.joining import write_state
from signet.models import resolve
from signet.networks import Pretrained
from signet.progress import OnProgress
from signet.recipes import Recipe
from signet.resolving import module_source
from signet.storage import digest_of as file_digest
from signet.untrained import untrained
from signet.zoos import by_name


def starting_point(
    model: str | Path,
    recipe: Recipe,
    *,
    offline: bool = False,
    card: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Pretrained:
    """Find the model; from scratch a name of the catalogue needs no weights, and none are downloaded.

    Args:
        model: as `resolve` takes it.
        recipe: whose strategy decides.
        offline: never ask the network.
        card: of a graph file or of weights.
        on_progress: told of downloaded bytes.

    Raises:
        UnknownName: no such file, and no such name.
        BadInput: a file or folder that is not a model.
        HubError: the weights could not be had; of a network that has none it says how to go on.
    """
    name = os.fspath(model)
    if recipe.strategy == SCRATCH and not Path(name).expanduser().exists():
        try:
            return untrained(name)
        except UnknownName:
            pass  # a mirror may have what no index lists
    try:
        return resolve(model, offline=offline, card=card, on_progress=on_progress)
    except HubError as error:
        if name.startswith("signet/"):
            error.add_note(
                f"{name} is an architecture without published weights: learn it from random ones with "
                "--strategy scratch, or give weights of your own."
            )
        raise


def with_random_weights(found: Pretrained, recipe: Recipe, folder: Path) -> Pretrained:
    """The network of a model with every weight at random, so that features and training see nothing learned.

    Args:
        found: whose architecture and preprocessing are taken.
        recipe: whose seed decides the weights.
        folder: where they are written.

    Raises:
        BadRequest: torch cannot build the network.
        MissingExtra: torch is not installed.
    """
    source = begun_with(found, recipe)
    zoo = (
        None
        if source is None or source.spec is None
        else by_name.zoo(source.spec.zoo, source.spec.architecture)
    )
    if source is None or source.spec is None or zoo is None:
        raise BadRequest(
            f"--strategy scratch: {found.card.name} is a graph, which has no form that torch can train. Use "
            "--strategy probe."
        )
    with seeded(recipe.seed):
        state = zoo.build(source.spec, None).state_dict()
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    weights = write_state(arrays, folder / "random.safetensors")
    digest = digest_of(source.spec, file_digest(weights))
    size = found.card.input_size or (224, 224)
    made = module_source(source.spec, weights, digest, size)
    if made is None:
        raise BadRequest(f"{source.spec.zoo}: expected a zoo that can build its modules again.")
    card = dataclasses.replace(
        found.card,
        claims=(),
        weights_digest=None,
        digest_trust="unknown",
        licence=Licence(code=found.card.licence.code),
        domain="",
        origin=f"trained from random weights: the architecture of {found.card.name}",
        lineage={
            "trained_from": "random weights, nothing pretrained",
            "architecture_of": found.card.name,
            "seed": recipe.seed,
        },
    )
    output = dataclasses.replace(card.output, tensor="logits", features="features")
    if card.task == "embed":
        output = dataclasses.replace(card.output, tensor="features", features=None)
    card = dataclasses.replace(card, output=output)
    return Pretrained(card, (made,), digest_with(digest, card), "untrained")
