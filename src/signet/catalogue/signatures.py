"""Which tensors each architecture of timm and torchvision has: packaged, small, read only when asked for.

A weight file says nothing of its architecture but the names and shapes of its tensors. Those are compared
with what `tools/index_signatures.py` wrote down from empty networks: a digest tells an equal set from any
other, and a min-hash sketch which sets are near. Tensors whose first axis is the number of classes are the
head; that axis is left open.

Source: Broder, "On the resemblance and containment of documents", 1997 (min-hash).
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]
Sketch = NDArray[np.uint16]

SKETCH_LENGTH = 24
OPEN = -1
"""Stands in a shape for the number of classes."""

_ZOOS = ("timm", "torchvision")


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors of one architecture.

    Attributes:
        name: `zoo/architecture`, with `:argument=value` for one that is built otherwise.
        digest: of the names and shapes of its tensors, with the head's first axis open.
        headless: the same of the network without a head; "" where its zoo builds none.
        head: names of the tensors whose first axis is the number of classes.
        function: architectures with equal digests compute the same where these numbers are equal.
        entries: how many weights the index lists for it.
        sketch: of names and shapes, for nearness.
    """

    name: str
    digest: str
    headless: str
    head: tuple[str, ...]
    function: int
    entries: int
    sketch: Sketch

    @property
    def architecture(self) -> str:
        """`zoo/architecture`."""
        return self.name.partition(":")[0]

    @property
    def arguments(self) -> dict[str, bool]:
        """What its zoo is told when it builds it."""
        argument, _, value = self.name.partition(":")[2].partition("=")
        return {argument: value == "true"} if argument else {}


@dataclass(frozen=True, slots=True)
class Match:
    """An architecture that has exactly the tensors of a file.

    Attributes:
        signature: of the architecture.
        classes: what the file's head has; 0 for a network without a head.
    """

    signature: Signature
    classes: int


def exact(shapes: Shapes) -> tuple[Match, ...]:
    """The architectures that have exactly these tensors, the preferred one first.

    timm comes before torchvision, since its entries name the layer that is the head and there are more of
    them to be like; then what has most pretrained weights; then the name.
    """
    by_digest, by_headless, heads = _tables()
    found: list[Match] = []
    for head in heads:
        rows = {shapes[name][:1] for name in head if name in shapes}
        if all(name in shapes for name in head) and len(rows) == 1 and rows != {()}:
            (classes,) = rows.pop()
            digest = digest_of(opened(shapes, head))
            found += [Match(row, classes) for row in by_digest.get(digest, ()) if row.head == head]
    found += [Match(row, 0) for row in by_headless.get(digest_of(shapes), ())]
    return tuple(sorted(found, key=_preference))


def nearest(shapes: Shapes, most: int = 3) -> tuple[Signature, ...]:
    """The architectures whose names and shapes are most like these, each set of tensors once."""
    wanted = sketch_of(shapes)
    likeness = {row.name: float((row.sketch == wanted).mean()) for row in signatures().values()}
    ordered = sorted(signatures().values(), key=lambda row: (-likeness[row.name], _preference(Match(row, 1))))
    chosen: dict[str, Signature] = {}
    for row in ordered:
        if likeness[row.name] > 0:
            chosen.setdefault(row.digest, row)
    return tuple(chosen.values())[:most]


def known_npz() -> Mapping[str, str]:
    """File name of an author's `.npz` to the index entry of the same weights."""
    return dict(_rows("npz_files.csv"))


@cache
def signatures() -> Mapping[str, Signature]:
    """Every architecture of the index by `zoo/architecture`."""
    found = {}
    for name, digest, headless, head, function, entries, sketch in _rows("signatures.csv"):
        values = np.frombuffer(base64.b85decode(sketch), "<u2").astype(np.uint16)
        names = tuple(head.split())
        found[name] = Signature(name, digest, headless, names, int(function), int(entries), values)
    return found


def opened(shapes: Shapes, head: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shapes with the first axis of the head's tensors open."""
    return {name: (OPEN, *shape[1:]) if name in head else shape for name, shape in shapes.items()}


def counted(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The tensors that answers depend on: counters of the training are in some files, and not in others."""
    return {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def digest_of(shapes: Shapes) -> str:
    """16 hex digits over names and shapes; counters of the training left out."""
    lines = "\n".join(sorted(_words(name, shape) for name, shape in counted(shapes).items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def sketch_of(shapes: Shapes) -> Sketch:
    """uint16 (24,): the more places two sketches share, the more names and shapes do."""
    words = {text for name, shape in counted(shapes).items() for text in (name, _words(name, shape))}
    digests = [hashlib.sha256(text.encode()).digest() for text in sorted(words)] or [bytes(32)]
    # 24 hash functions out of one: odd multipliers mix the 64 bits anew. Of each least value the lowest 16
    # bits are kept, since the highest are alike in all least values.
    seeds = np.frombuffer(b"".join(digest[:8] for digest in digests), "<u8")
    multipliers = np.arange(1, 2 * SKETCH_LENGTH, 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        mixed = seeds[:, None] * multipliers[None, :]
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    sketch: Sketch = (mixed.min(axis=0) & np.uint64(0xFFFF)).astype(np.uint16)
    return sketch


def _words(name: str, shape: Iterable[int]) -> str:
    return f"{name} {' '.join('*' if length == OPEN else str(length) for length in shape)}"


def _preference(match: Match) -> tuple[bool, int, int, str]:
    row = match.signature
    return match.classes == 0, _ZOOS.index(row.name.split("/")[0]), -row.entries, row.name


@cache
def _tables() -> tuple[dict[str, list[Signature]], dict[str, list[Signature]], list[tuple[str, ...]]]:
    """By digest, by digest without a head, and the different heads."""
    by_digest: dict[str, list[Signature]] = {}
    by_headless: dict[str, list[Signature]] = {}
    for row in signatures().values():
        by_digest.setdefault(row.digest, []).append(row)
        if row.headless:
            by_headless.setdefault(row.headless, []).append(row)
    return by_digest, by_headless, sorted({row.head for row in signatures().values()})


def _rows(file: str) -> list[list[str]]:
    text = files("signet.catalogue").joinpath(f"data/{file}").read_text("utf-8")
    return list(csv.reader(text.splitlines()))[1:]
