"""Under which terms a weight may be used: what its publisher states, apart from what is merely inherited.

timm gives each architecture a licence in its code, and each weight of it inherits that, whoever trained it.
So an inherited licence is never "stated" here, except where the weight is timm's own, or where the licence
is a restriction: those were written for the weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from signet.cards import Licence
from signet.catalogue.families import training_data_of

CODE = {
    "timm": "Apache-2.0",
    "torchvision": "BSD-3-Clause",
    "keras": "Apache-2.0",
    "open_clip": "MIT",
    "transformers": "Apache-2.0",
}
"""Licence of each zoo's code, from its package."""

OWN = re.compile(
    r"timm/(?!tf_)[^.]+\.(?:(?:a[123]h?|ah|am|b[12]k|bt|c[123]|c2ns|ch|d|d[12]h?|lamb|ra[1-4]?|racm|ram|rmsp)_(?:e\d+_r\d+_)?in1k"
    r"|(?:agc|d|in12k|lion|sw|sbb2?)_.*|in12k|r384_(?:ad_)?in12k.*|(?:ix_)?e\d+_(?:ad_)?r\d+_in1.*"
    r"|.*(?:laion2b|laiona|openai|webli)(?:_augreg|_soup)?_ft_in1.*)$"
)
"""Names of weights that timm's author trained or fine-tuned himself: recipes of timm, ImageNet-12k, and
fine-tunings of image-text towers.

Source: `origin_url` of timm's configs where they state it; the recipes' names in the model cards of timm.
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """One rule's answer.

    Attributes:
        weights: SPDX name, or the words of the source; "unknown".
        stated: the publisher of the weights says so.
        words: why, for people.
    """

    weights: str
    stated: bool
    words: str


TORCHVISION = Terms(
    "unknown",
    False,
    "torchvision states no licence for its weights ('may have their own licenses or terms derived from the "
    "dataset'); its code is BSD-3-Clause",
)
SWAG = Terms("cc-by-nc-4.0", True, "torchvision's README: SWAG models are released under CC-BY-NC 4.0")
KERAS = "stated of these weights by Keras (keras-team/keras docs/templates/applications.md @034466b)"
RULES: Mapping[str, tuple[tuple[re.Pattern[str], Terms], ...]] = {
    "timm": (
        (re.compile(r".*\.swag_"), SWAG),
        (re.compile(r"[^.]+\.tv2?_in1k$"), TORCHVISION),
    ),
    "torchvision": (
        (re.compile(r".*\.imagenet1k_swag_"), SWAG),
        (re.compile(r""), TORCHVISION),
    ),
    "open_clip": (
        (re.compile(r"coca_"), Terms("mit", True, "the model card of LAION on the hub")),
        (
            re.compile(r""),
            Terms("unknown", False, "the publisher's statement was not read; open_clip's code is MIT"),
        ),
    ),
}
"""By zoo; the first match counts, and what none fits is settled by the licence that the config states."""

RESTRICTED = re.compile(
    r"(^|-)nc(-|$)|^apple|^(?:cvnets|fastvit|mobileone|seer|dinov3|fair|gemma)|^cc-by-4\.0$"
)
"""Licences that somebody wrote for the weights, and no default of a family's code."""


def terms_of(name: str, stated: str | None) -> Terms:
    """What is known of the licence of a weight of the packaged index.

    Args:
        name: `zoo/architecture.tag`.
        stated: the licence in its zoo's config, or None.
    """
    zoo, _, rest = name.partition("/")
    for pattern, terms in RULES.get(zoo, ()):
        if pattern.match(rest):
            return terms
    words = (stated or "unknown").split(" ", maxsplit=1)[0]
    if words == "unknown":
        return Terms("unknown", False, "nobody states one")
    if zoo == "keras":  # the index has a licence only where Keras states one of the weights
        return Terms(words, True, KERAS)
    if RESTRICTED.search(words):
        return Terms(words, True, "timm's config of these weights, from their publisher")
    if OWN.match(name):
        return Terms(words, True, "timm's own training; its README reminds of ImageNet's terms")
    return Terms(words, False, "inherited family default of timm's code, not stated for these weights")


def licence_of(name: str, stated: str | None) -> Licence:
    """The licence of a card: weights, code, and the terms of the training data as far as the tag tells."""
    terms = terms_of(name, stated)
    zoo, _, rest = name.partition("/")
    return Licence(
        weights=terms.weights,
        stated=terms.stated,
        code=CODE.get(zoo),
        training_data=training_data_of(rest.partition(".")[2]),
        words=terms.words,
    )
