"""The proof that what was frozen did not move: a digest before training, and the same one after."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from signet.errors import CheckFailed

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Held:
    """Tensors that training must leave as they are.

    Attributes:
        names: as `state_dict` has them.
        values: how many numbers they hold together.
        digest: of the tensors before training (`tensors_digest`).
        each: sha256 hex of each tensor, in the order of `names`: what has moved can be named.
    """

    names: tuple[str, ...]
    values: int
    digest: str
    each: tuple[str, ...]

    @classmethod
    def of(cls, state: Mapping[str, Tensor], names: Sequence[str]) -> Held:
        """What the named tensors are now."""
        chosen = {name: state[name] for name in names}
        return cls(
            names=tuple(names),
            values=sum(tensor.numel() for tensor in chosen.values()),
            digest=tensors_digest(chosen),
            each=tuple(tensors_digest({name: tensor}) for name, tensor in chosen.items()),
        )

    def check(self, state: Mapping[str, Tensor]) -> None:
        """Compare with a later state.

        Args:
            state: of the same network.

        Raises:
            CheckFailed: a tensor has moved by a bit.
        """
        moved = [
            name
            for name, digest in zip(self.names, self.each, strict=True)
            if tensors_digest({name: state[name]}) != digest
        ]
        if moved:
            listed = ", ".join(moved[:_NAMED])
            more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
            raise CheckFailed(
                f"training: expected what is frozen to stay as it is, to the bit, but {listed}{more} moved. "
                "Nothing is sealed. A layer of this network changes its own state outside of gradients and "
                "modes: let its stage learn, or report it with the name of the model."
            )


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 hex over name, type, shape and bytes of tensors, in their order.

    Of each tensor these are hashed: a line `NAME DTYPE SHAPE` (`blocks.0.weight torch.float32 (8, 3)`), then
    its values in C order, little-endian; of a single number its decimal text.
    """
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        # Flat first: a tensor may count as contiguous with strides that no view of bytes can have.
        values = (
            plain.flatten().view(torch.uint8).numpy().tobytes() if plain.ndim else repr(plain.item()).encode()
        )
        digest.update(values)
    return digest.hexdigest()
