"""What a setting may be is read from its annotation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from signet.errors import BadRequest
from signet.recipe_fields import checked, plain, setting, specs_of


@dataclasses.dataclass(frozen=True)
class Kinds:
    """One setting of each kind."""

    count: int | Literal["auto"] | None = setting(None, 1, 9)
    names: tuple[str, ...] = setting(())
    sizes: tuple[int, ...] = setting((1,), 0, 9)
    rates: Mapping[str, float] = setting({"a": 0.5}, 0, 1)
    modes: Mapping[str, Literal["on", "off"]] = setting({})


def value_of(name: str, value: Any) -> Any:
    spec, kind = specs_of(Kinds)[name]
    return checked(spec, kind, value)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("count", 3, 3),
        ("count", "auto", "auto"),
        ("count", None, None),
        ("names", ["stem", "stages.0"], ("stem", "stages.0")),
        ("names", [], ()),
        ("sizes", [1, 2], (1, 2)),
        ("rates", {"b": 1, "a": 0}, {"a": 0.0, "b": 1.0}),
        ("modes", {"stem": "on"}, {"stem": "on"}),
    ],
)
def test_what_fits_is_kept_and_read_only(name: str, given: Any, kept: Any) -> None:
    value = value_of(name, given)
    assert value == kept
    assert value_of(name, plain(value)) == value
    assert not isinstance(value, dict | list)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("count", 10, r"count is a whole number from 1 to 9; got 10\. It may also be 'auto'\."),
        ("count", "many", r"got 'many'\. It may also be 'auto'"),
        ("names", "stem", r"names is a list of names; got 'stem'"),
        ("names", [3], r"names is text; got 3"),
        ("sizes", [], r"sizes is a list of numbers; got \[\]"),
        ("sizes", [1.5], r"sizes is a whole number from 0 to 9; got 1\.5"),
        ("rates", 0.1, r"rates is a table, NAME = value; got 0\.1"),
        ("rates", {"a": 2}, r"rates is a number from 0 to 1; got 2"),
        ("modes", {"stem": "of"}, r"modes is one of 'on', 'off'; got 'of'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(name: str, given: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        value_of(name, given)


def test_a_default_table_is_not_shared_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Kinds().rates["a"] = 1.0  # type: ignore[index]
    assert Kinds() == Kinds()
