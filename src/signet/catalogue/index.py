"""The packaged index: one config for each pretrained classifier that a zoo carries.

It is read line by line and parsed only where asked, so that finding one name costs milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from signet.errors import UnknownName

STARTER = "starter"
ZOOS = ("timm", "torchvision", "open_clip", "keras")


def names() -> tuple[str, ...]:
    """Every name of the index, sorted, the embedded starter first."""
    return (STARTER, *sorted(_lines()))


def has(name: str) -> bool:
    """Whether a whole name, zoo and tag, is one of the index."""
    return name in _lines()


def configs() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, config) of every indexed model."""
    for name, line in _lines().items():
        yield name, json.loads(line)


def config(name: str) -> Mapping[str, Any]:
    """The config of a name, which may leave out the zoo or the tag where that leaves one candidate.

    Raises:
        UnknownName: nobody, or more than one, is called so; carries near misses.
    """
    found: Mapping[str, Any] = json.loads(_lines()[full_name(name)])
    return found


def full_name(name: str) -> str:
    """`zoo/architecture.tag` of a name that may leave out zoo or tag.

    Without a tag, the first one that its zoo lists is taken when there is only one; several are refused,
    since they differ by points of accuracy.

    Raises:
        UnknownName: nobody, or more than one, is called so; carries near misses.
    """
    found = candidates(name)
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")
        raise UnknownName(
            "single model",
            name,
            (),
            f"{len(found)} models are called so, with other weights: {listed}. "
            "Give the whole name; `signet show` tells them apart.",
            ambiguous=True,
        )
    raise UnknownName("model", name, names(), "See `signet find`.")


def candidates(name: str) -> tuple[str, ...]:
    """Every indexed model that a name may mean, which may leave out the zoo or the tag."""
    lines = _lines()
    if name in lines:
        return (name,)
    zoo, _, bare = name.rpartition("/")
    return tuple(
        known
        for known in lines
        if (not zoo or known.startswith(f"{zoo}/")) and known.split("/", 1)[1] in _spellings(known, bare)
    )


def _spellings(known: str, bare: str) -> tuple[str, ...]:
    """The name as asked for, and with the tag of the candidate when none was given."""
    _, _, tag = known.partition(".")
    return (bare,) if "." in bare else (bare, f"{bare}.{tag}")


@cache
def _lines() -> Mapping[str, str]:
    """Name to its line; the name is cut out of the text, since parsing 1,600 lines takes longer."""
    found: dict[str, str] = {}
    for zoo in ZOOS:
        text = files("signet.catalogue").joinpath(f"data/{zoo}.jsonl").read_text("utf-8")
        for line in text.splitlines():
            start = line.index(f'"name":"{zoo}/') + 8
            found[line[start : line.index('"', start)]] = line
    return found
