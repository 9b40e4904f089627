"""Weights that bear other names: a map from module to module, applied strictly.

A key map is data: for each of our modules that has tensors, the name of the module that holds them in the
file. Nothing is guessed, nothing is left over, and nothing is left as it was built.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from signet.errors import BadInput

COUNTER = "num_batches_tracked"
"""A tensor of torch's BatchNorm that files of before 2018 and of other frameworks do not have."""

SHOWN = 5
"""Names that a message shows of each kind."""


def renamed(state: Mapping[str, Tensor], names: Mapping[str, str], module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a foreign file under our names, ready for `load_state_dict(strict=True)`.

    Args:
        state: tensors by their names in the file.
        names: for each of our modules that has tensors, its name in the file.
        module: what they are for.

    Raises:
        BadInput: a tensor is missing, unexpected or of another shape, or the map does not cover `module`.
    """
    ours: dict[str, Tensor] = {}
    missing: list[str] = []
    other: list[str] = []
    used: set[str] = set()
    for key, expected in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        if path not in names:
            raise BadInput(f"The key map has no name for {path!r}; it is for another architecture.")
        theirs = f"{names[path]}.{leaf}"
        tensor = state.get(theirs)
        if tensor is None and leaf == COUNTER:
            ours[key] = torch.zeros((), dtype=torch.long)
        elif tensor is None:
            missing.append(theirs)
        else:
            used.add(theirs)
            ours[key] = tensor
            if tensor.shape != expected.shape:
                other.append(f"{theirs} {tuple(tensor.shape)} instead of {tuple(expected.shape)}")
    unexpected = [name for name in state if name not in used]
    if missing or unexpected or other:
        raise BadInput(
            "Expected exactly the tensors of the architecture; "
            + "; ".join(
                f"{kind}: {_shown(found)}"
                for kind, found in (("missing", missing), ("unexpected", unexpected), ("other shape", other))
                if found
            )
        )
    return ours


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
