"""How great a model is, told from its files: values from a header, bytes from the disk; nothing is loaded."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

from signet.errors import BadInput
from signet.networks import GraphFile, Pretrained

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_FLOATS = ("F64", "F32", "F16", "BF16")
_HEADER_LIMIT_BYTES = 100 * 1024 * 1024
"""Source: the safetensors format, which allows no longer header."""


def bytes_of(found: Pretrained) -> int | None:
    """The size of the smallest file that is enough to run a model; None where it has no file.

    A graph of OpenVINO counts with the weights that lie beside it.
    """
    sizes = []
    for network in found.networks:
        path = network.path if isinstance(network, GraphFile) else network.weights
        if path is not None and path.is_file():
            beside = path.with_suffix(".bin")
            more = beside.stat().st_size if path.suffix == ".xml" and beside.is_file() else 0
            sizes.append(path.stat().st_size + more)
    return min(sizes, default=None)


def parameters_of(found: Pretrained) -> int | None:
    """Trainable values: those that the card states, else those in the header of the weights.

    None where neither says so.
    """
    if found.card.parameters is not None:
        return found.card.parameters
    for network in found.networks:
        weights = None if isinstance(network, GraphFile) else network.weights
        if weights is not None and weights.suffix == ".safetensors" and weights.is_file():
            with suppress(BadInput):
                return count_of(weights)
    return None


def count_of(weights: Path) -> int:
    """Values of the floating tensors of a safetensors file, statistics of normalisations left out.

    Raises:
        BadInput: the file is none, or is cut short in its header.
    """
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, _HEADER_LIMIT_BYTES))
    try:
        tensors = json.loads(text)
        return sum(
            math.prod(tensor["shape"])
            for name, tensor in tensors.items()
            if name != "__metadata__" and tensor["dtype"] in _FLOATS and not name.endswith(_BUFFERS)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{weights.name}: expected the header of a safetensors file.") from error
