"""Whether the fields of a stranger's card have the types that the code relies on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from signet.cards import Card, Claim, InputSpec, Licence, OutputContract
from signet.errors import BadCard

_TEXTS = ("name", "family", "architecture", "origin", "digest_trust", "good_for")
_TEXT_OR_NONE = ("weights_digest",)
_COUNT_OR_NONE = ("parameters", "depth", "year")
_TEMPERATURES = (1e-6, 1e6)
"""Beyond these a float32 division overflows, or no score is left; calibration finds values near 1."""
_STANDARD_HEADS = ("softmax", "sigmoid", "embedding")
_PARTS: tuple[tuple[str, type], ...] = (("inputs", InputSpec), ("licence", Licence), ("claims", Claim))


def without_later_fields(card: object) -> object:
    """A card's JSON without the fields that this version does not know, for seals of a higher minor.

    The program stays as it is: a step that is not known must be refused in every minor. So do the fields of
    an output whose head is not one of this version's, since those are that head's own.
    """
    if not isinstance(card, Mapping):
        return card
    known = _of_kind(card, Card)
    output = known.get("output")
    if isinstance(output, Mapping) and output.get("head") in _STANDARD_HEADS:
        known["output"] = _of_kind(output, OutputContract)
    for key, kind in _PARTS:
        value = known.get(key)
        if isinstance(value, list):
            known[key] = [_of_kind(row, kind) if isinstance(row, Mapping) else row for row in value]
        elif isinstance(value, Mapping):
            known[key] = _of_kind(value, kind)
    return known


def _of_kind(fields: Mapping[str, Any], kind: type) -> dict[str, Any]:
    known = {spec.name for spec in dataclasses.fields(kind)} - {"extra"} | {"format"}
    return {key: value for key, value in fields.items() if key in known}


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
    if card.output.head in _STANDARD_HEADS:
        fits = (card.task == "embed") == (card.output.head == "embedding")
        wanted = "the task that the head answers: embed for embedding, classify for softmax and sigmoid"
        _expect(fits, "task", wanted, card.task)


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
    least, most = _TEMPERATURES
    warm = _is_number(output.temperature) and least <= output.temperature <= most
    _expect(warm, "output temperature", f"a number of {least:g} to {most:g}", output.temperature)


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
