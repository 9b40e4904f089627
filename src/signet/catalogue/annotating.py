"""A card with all that is known of its model beyond its config: paper, depth, licence, published figures."""

from __future__ import annotations

import dataclasses

from signet.cards import Card, Licence
from signet.catalogue import index
from signet.catalogue.facts import claims_of, gmacs_of
from signet.catalogue.families import family_of, training_data_of
from signet.catalogue.licences import CODE, licence_of

DOMAIN = "natural"
"""What every weight of the packaged index was trained on: photographs of everyday things."""


def annotated(card: Card) -> Card:
    """The card with the catalogue's facts.

    A model of the packaged index gets its licence by rule, since its config states what it inherits. A folder
    that somebody else made keeps the licence that it states.
    """
    zoo, _, rest = card.name.partition("/")
    known = index.has(card.name)
    family = family_of(card.architecture, zoo)
    size = card.input_size
    gmacs = gmacs_of(card.architecture, size) if zoo == "timm" and size is not None else None
    return dataclasses.replace(
        card,
        family=family.name or card.family,
        licence=licence(card.name, card.licence) if known else _completed(card.licence, zoo, rest),
        claims=claims_of(card.name, size) or card.claims,
        gmacs=card.gmacs if card.gmacs is not None else gmacs,
        depth=card.depth if card.depth is not None else family.depth,
        year=card.year if card.year is not None else family.year,
        paper=card.paper or family.paper or "",
        domain=card.domain or (DOMAIN if known else ""),
        good_for=card.good_for or family.good_for,
    )


def licence(name: str, stated: Licence) -> Licence:
    """The licence of an indexed model, by the rules; `stated` is what its config says."""
    return licence_of(name, None if stated.weights == "unknown" else stated.weights)


def _completed(stated: Licence, zoo: str, rest: str) -> Licence:
    return dataclasses.replace(
        stated,
        code=stated.code or CODE.get(zoo),
        training_data=stated.training_data or training_data_of(rest.partition(".")[2]),
    )
