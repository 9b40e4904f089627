"""What a network that goes on learning keeps of what it was: every tensor that fits, but for other labels."""

from __future__ import annotations

import re
from typing import Any

_CLASS_LAYERS = re.compile(
    r"^head\.(detect\.)?classes\.\d+\.2\."
    r"|^head\.(convs|multiply)\."
    r"|^network\.roi_heads\.(box_predictor\.|mask_predictor\.mask_fcn_logits\.)"
    r"|^network\.segmentation_head\."
)
"""Names of the tensors that know a label from another."""


def keep(parent: Any, module: Any, *, class_layers: bool) -> tuple[str, ...]:
    """Copy every tensor of a network into one of the same kind that has its place and shape there.

    Args:
        parent: the network that is known.
        module: the one that is to learn; changed in place.
        class_layers: those that know a label from another too.

    Returns:
        Names of the tensors that stay new.
    """
    there = parent.state_dict()
    state, new = {}, []
    for name, own in module.state_dict().items():
        other = there.get(name)
        fits = other is not None and other.shape == own.shape
        if fits and (class_layers or not _CLASS_LAYERS.match(name)):
            state[name] = other
        else:
            state[name] = own
            new.append(name)
    module.load_state_dict(state, strict=True)
    return tuple(new)
