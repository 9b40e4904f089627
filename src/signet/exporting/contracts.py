"""What travels with an exported file, inside it and beside it, so that nobody has to guess how to use it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from signet.cards import Card, InputSpec, OutputContract
from signet.programs import Program
from signet.seals import Seal

KEYS = ("signet.card", "signet.seal", "signet.program")
"""Of the metadata inside a file: the card as JSON, the digest of the seal, and that of the sealed program."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How an exported file differs from the sealed network as its users see it.

    Attributes:
        inputs: what goes in.
        output: how its outputs are to be read.
        program: what is left to do before it.
        inside: stages of the sealed program that the file does itself.
        outputs: names of what it gives, in order, where the file itself does not name them.
    """

    inputs: tuple[InputSpec, ...]
    output: OutputContract
    program: Program
    inside: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def card_of(seal: Seal, to: str, shape: Shape) -> Card:
    """The card of an exported file; the digest of the file is not in it yet."""
    origin: dict[str, Any] = {
        "seal": seal.digest,
        "program": seal.card.program.digest,
        "format": to,
        "inside": list(shape.inside),
    }
    if shape.outputs:
        origin["outputs"] = list(shape.outputs)
    return dataclasses.replace(
        seal.card,
        inputs=shape.inputs,
        output=shape.output,
        program=shape.program,
        weights_digest=None,
        digest_trust="unknown",
        lineage={**seal.card.lineage, "exported_from": origin},
    )


def inside_of(card: Card) -> tuple[str, ...]:
    """The stages that an exported file does itself."""
    return tuple(card.lineage["exported_from"]["inside"])


def metadata(card: Card, seal: Seal) -> Mapping[str, str]:
    """For formats that carry text by key."""
    values = (json.dumps(card.to_dict(), ensure_ascii=False), seal.digest, seal.card.program.digest)
    return dict(zip(KEYS, values, strict=True))


def with_digest(card: Card, digest: str) -> Card:
    """The card that lies beside the file, which states what the file's bytes are."""
    return dataclasses.replace(card, weights_digest=digest, digest_trust="pinned")
