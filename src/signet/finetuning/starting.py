"""What a run begins with: a pretrained model, or (from scratch) an architecture alone."""

from __future__ import annotations

import os
from pathlib import Path

from signet.errors import HubError, UnknownName
from signet.finetuning.adaptations import SCRATCH
from signet.models import resolve
from signet.networks import Pretrained
from signet.progress import OnProgress
from signet.recipes import Recipe
from signet.untrained import untrained


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
