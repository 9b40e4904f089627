"""The card of a config, whichever zoo it is of; nothing but its text is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signet.cards import Card, DigestTrust
from signet.catalogue import configs, towers


def card(name: str, config: Mapping[str, Any], digest: str | None, trust: DigestTrust, origin: str) -> Card:
    """The card that an index entry, or the `config.json` of a mirrored folder, states.

    Args:
        name: `zoo/architecture.tag`.
        config: the parsed JSON; its key `library` names the zoo, timm where it has none.
        digest: sha256 hex of the weights, or None while they are not here.
        trust: how the digest is known.
        origin: where the weights come from, in words.

    Raises:
        BadCard: a key is missing, unknown, or has a value that is not understood.
    """
    if config.get("library") == "open_clip":
        return towers.card(name, config, digest, trust, origin)
    return configs.card(name, config, digest, trust, origin)
