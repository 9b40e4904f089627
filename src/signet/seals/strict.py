"""JSON as `docs/seal-format.md` allows it: what two readers could take for two things is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from signet.errors import SealError

DEEPEST = 64
"""How deep values may be nested: far beyond any record, far below where a reader's stack ends."""
LARGEST = 2**64 - 1
"""The greatest whole number: sizes, counts and seeds have 64 bits."""


def strict_json(data: bytes) -> dict[str, Any]:
    """The object in UTF-8 JSON.

    Raises:
        SealError: no object; a key twice in one object; a number that is not finite, or a whole one beyond
            `LARGEST`; text that is not Unicode (half of a surrogate pair); nested deeper than `DEEPEST`.
        ValueError: no JSON, or not in UTF-8.
        RecursionError: nested deeper than the parser can go.
    """
    document = json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_whole,
    )
    if not isinstance(document, dict):
        raise SealError(f"expected an object, got a {type(document).__name__}.")
    _check(document)
    return document


def _check(document: object) -> None:
    """Depth and text of everything, without recursion."""
    level: list[object] = [document]
    for _ in range(DEEPEST + 1):
        if not level:
            return
        inner: list[object] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, Mapping):
                for key in value:
                    _check_text(key)
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        level = inner
    raise SealError(f"expected values that are nested at most {DEEPEST} deep.")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # An escaped half of a pair is JSON, and yet no text: it cannot be written as UTF-8, nor compared.
        raise SealError(f"expected Unicode text, got half of a surrogate pair in {text[:40]!r}.") from error


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys occur once; of a repeated key another reader might take the other value."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise SealError("expected every key of an object once, got one twice.")
    return result


def _refuse_constant(name: str) -> float:
    raise SealError(f"expected finite numbers, got {name}.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise SealError(f"expected finite numbers, got {text[:40]}.")
    return value


def _whole(text: str) -> int:
    # By its length first: to turn thousands of digits into a number takes long.
    if len(text.lstrip("-")) > len(str(LARGEST)) or abs(int(text)) > LARGEST:
        raise SealError(f"expected whole numbers of at most {LARGEST}, got {text[:40]}.")
    return int(text)
