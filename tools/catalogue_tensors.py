"""What every network of the catalogue is looked at for: its gradients, and what a step moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Set
from typing import Any

CLASSES = 3
"""Labels of the head that replaces a network's own."""


class Failed(Exception):
    """A network does not do what it should; the message says what."""


def awake(module: Any) -> Any:
    """No tensor is wholly zero: a residual branch that starts at zero would pass no gradient on."""
    import torch

    with torch.no_grad():
        for name, value in module.named_parameters():
            if not value.any():
                if value.ndim == 1 and name.endswith("bias"):
                    continue
                value.normal_(std=0.02) if value.ndim > 1 else value.fill_(0.5)
    return module


def gradients(module: Any, loss: Any) -> str:
    """That a loss gives every parameter that can learn a finite gradient; how many there are.

    Raises:
        Failed: it does not.
    """
    loss.backward()
    rows = {name: value for name, value in module.named_parameters() if value.requires_grad}
    without = [name for name, value in rows.items() if value.grad is None]
    broken = [
        name for name, value in rows.items() if value.grad is not None and not value.grad.isfinite().all()
    ]
    if without or broken or not loss.isfinite():
        raise Failed(f"loss {loss.item()}; without a gradient: {without[:5]}; not finite: {broken[:5]}.")
    module.zero_grad(set_to_none=True)
    return f"{len(rows)} gradients"


def stepped(module: Any, optimizer: Any, frozen: Set[str], loss: Callable[[], Any]) -> str:
    """That one step moves every tensor that may learn, and not one bit of any other; how many moved.

    Args:
        module: the network, in the mode in which it learns.
        optimizer: of its parameters.
        frozen: names of those that must stay, and the statistics of their layers with them.
        loss: of the network.

    Raises:
        Failed: it is not so.
    """
    before = {name: _digest(value) for name, value in module.state_dict().items()}
    learning = {name for name, value in module.named_parameters() if value.requires_grad}
    loss().backward()
    optimizer.step()
    after = {name: _digest(value) for name, value in module.state_dict().items()}
    moved = {name for name in before if before[name] != after[name]}
    statistics = {name for name in before if name not in dict(module.named_parameters())}
    free = {name for name in statistics if f"{name.rpartition('.')[0]}.weight" not in frozen}
    _require_exactly(learning, moved, free)
    still = len(before) - len(moved)
    return f"{len(moved)} tensors moved ({len(moved & statistics)} statistics), {still} bit-identical"


def _require_exactly(learning: set[str], moved: set[str], free: set[str]) -> None:
    still, strange = learning - moved, moved - learning - free
    if still or strange:
        raise Failed(
            f"the step left {len(still)} of {len(learning)} that learn ({sorted(still)[:5]}), "
            f"and moved {len(strange)} that are frozen ({sorted(strange)[:5]})."
        )


def _digest(value: Any) -> bytes:
    """A copy's worth of memory would double the largest networks."""
    plain = value.detach().contiguous()
    return hashlib.blake2b(
        memoryview(plain.numpy()).cast("B") if plain.numel() else b"", digest_size=16
    ).digest()
