"""Whether the fields of a stranger's card have the types that the code relies on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from signet.cards import Card, OutputContract
from signet.errors import BadCard

_TEXTS = ("name", "family", "architecture", "origin", "digest_trust", "good_for")
_TEXT_OR_NONE = ("weights_digest",)
_COUNT_OR_NONE = ("parameters", "depth", "year")


def check_types(card: Card) -> None:
    """Refuse a card with a field of another type than its class states.

    Raises:
        BadCard: names the field.
    """
    for key in _TEXTS:
        _expect(isinstance(getattr(card, key), str), key, "text", getattr(card, key))
    for key in _TEXT_OR_NONE:
        _expect(_is_text_or_none(getattr(card, key)), key, "text or null", getattr(card, key))
    for key in _COUNT_OR_NONE:
        value = getattr(card, key)
        _expect(value is None or _is_count(value), key, "a whole number or null", value)
    _expect(card.gmacs is None or _is_number(card.gmacs), "gmacs", "a number or null", card.gmacs)
    _expect(isinstance(card.lineage, Mapping), "lineage", "an object", card.lineage)
    _expect(bool(card.inputs), "inputs", "at least one input", card.inputs)
    for spec in card.inputs:
        _expect(isinstance(spec.name, str), "input name", "text", spec.name)
        _expect(spec.kind in ("image", "text", "noise"), "input kind", "image, text or noise", spec.kind)
        _expect(spec.dtype in ("uint8", "float32"), "input dtype", "uint8 or float32", spec.dtype)
        sizes = all(size is None or _is_count(size) for size in spec.shape)
        _expect(sizes, "input shape", "whole numbers or null", spec.shape)
    licence = card.licence
    for value in (licence.weights, licence.code, licence.training_data):
        _expect(_is_text_or_none(value), "licence", "text or null", value)
    _expect(isinstance(licence.stated, bool), "licence stated", "true or false", licence.stated)
    for claim in card.claims:
        words = all(isinstance(value, str) for value in (claim.metric, claim.dataset, claim.source))
        figures = all(value is None or _is_number(value) for value in (claim.low, claim.high))
        _expect(words and figures and _is_number(claim.value), "claims", "figures with sources", claim)
    _check_output(card.output)


def _check_output(output: OutputContract) -> None:
    _expect(isinstance(output.head, str), "output head", "text", output.head)
    _expect(_is_place(output.tensor), "output tensor", "a name or a position", output.tensor)
    features = output.features
    _expect(features is None or _is_place(features), "output features", "a name or a position", features)
    for key in ("classes", "background_index", "width"):
        value = getattr(output, key)
        _expect(value is None or _is_count(value), f"output {key}", "a whole number or null", value)
    for key in ("already_activated", "drop_first"):
        value = getattr(output, key)
        _expect(isinstance(value, bool), f"output {key}", "true or false", value)
    warm = _is_number(output.temperature) and output.temperature > 0
    _expect(warm, "output temperature", "a number above 0", output.temperature)


def _expect(holds: bool, field: str, wanted: str, value: Any) -> None:
    if not holds:
        raise BadCard(f"card field {field!r}: expected {wanted}, got {value!r}.")


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_place(value: Any) -> bool:
    return isinstance(value, str) or _is_count(value)
