"""A trained network on disk: its weights, and the graph that will be sealed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signet import tracing
from signet.catalogue.configs import digest_of
from signet.errors import BadRequest
from signet.finetuning.joining import Rebuilt, write_state
from signet.finetuning.workplace import LEARNED
from signet.networks import ModuleSource, ModuleSpec
from signet.resolving import module_source
from signet.storage import digest_of as file_digest


class Written(NamedTuple):
    """A trained network on disk: as data and tensors where these say all, as a module, and as a graph."""

    rebuilt: Rebuilt | None
    source: ModuleSource
    graph: Path


def written(
    spec: ModuleSpec | None,
    module: Any,
    classifier: str,
    state: dict[str, Any],
    folder: Path,
    size: tuple[int, int],
) -> Written:
    """Write the weights and `tuned.onnx`.

    Args:
        spec: the module as data; None where only its code says what it is.
        module: in its final state.
        classifier: dotted name of its head.
        state: all of its tensors.
        folder: that they are written into.
        size: (height, width) of its input.

    Raises:
        BadRequest: the module's zoo cannot build it again.
    """
    weights = write_state(state, folder / LEARNED)
    if spec is not None:
        source = module_source(spec, weights, digest_of(spec, file_digest(weights)), size)
        if source is None:
            raise BadRequest(f"{spec.zoo}: expected a zoo that can build its modules again.")
    else:
        source = ModuleSource(module.eval, file_digest(weights), (3, *size), classifier=classifier)
    graph = folder / "tuned.onnx"
    tracing.export(source, graph)
    return Written(None if spec is None else Rebuilt(spec, state), source, graph)


def arrays_of(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """A state as numpy arrays, on the processor."""
    return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in tensors.items()}
