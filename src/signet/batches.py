"""What goes into a network and what comes out, with all that is needed to find the way home."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from signet.arrays import Array
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.steps import Step


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Prepared images.

    Attributes:
        arrays: one array (N, ...) when all images have one size, else a list of N arrays.
        geometry: for each image, the way back to its original pixels.
        sources: for each image, where it came from.
        pending: steps of the program that are still to be done. An engine that fuses them (normalise,
            layout) does them itself; `preprocessing.finish` does them for any other.
    """

    arrays: Array | Sequence[Array]
    geometry: tuple[Geometry, ...]
    sources: tuple[str, ...]
    pending: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.arrays) == len(self.geometry) == len(self.sources):
            raise BadInput(
                "a batch: expected as many arrays as geometries and sources, "
                f"got {len(self.arrays)}, {len(self.geometry)} and {len(self.sources)}."
            )

    def __len__(self) -> int:
        return len(self.geometry)


@dataclass(frozen=True, slots=True, eq=False)
class Outputs(Mapping[str, Array]):
    """Named arrays from an engine; the first axis of each is the image."""

    arrays: Mapping[str, Array]

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrays", MappingProxyType(dict(self.arrays)))

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
