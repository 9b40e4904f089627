"""Several models of one name side by side, for a person."""

from __future__ import annotations

from collections.abc import Sequence

from signet.catalogue.namesakes import Namesake, why
from signet.cli.columns import Column
from signet.cli.terminal import Terminal
from signet.cli.words import accuracy, bytes_of, licence, millions, side

COLUMNS = (
    Column("name"),
    Column("top-1", right=True),
    Column("input", right=True, spare=6),
    Column("params", right=True, spare=4),
    Column("GMACs", right=True, spare=3),
    Column("size", right=True, spare=1),
    Column("licence", spare=7),
    Column("trained on", spare=5),
    Column("published by", spare=2),
)


def tell_many(terminal: Terminal, name: str, found: Sequence[Namesake]) -> None:
    """The table, the recipes of the tags, and the sentence that says why the models differ."""
    drawn = terminal.rows(COLUMNS, [_row(one) for one in found])
    if "licence" not in drawn.lacking:
        terminal.say_inherited(one.entry.licence for one in found)
    told = [one for one in found if one.recipe.words]
    if told:
        terminal.result("")
        terminal.result("recipes")
    for recipe in dict.fromkeys(one.recipe.words for one in told):
        tags = [
            one.entry.name.partition("/")[2].partition(".")[2] for one in told if one.recipe.words == recipe
        ]
        source = next(one.recipe.source for one in told if one.recipe.words == recipe)
        terminal.result(f"{', '.join(dict.fromkeys(tags))}: {recipe} ({source})", indent=2)
    unknown = [one.entry.name.partition(".")[2] for one in found if not one.recipe.words]
    if unknown:
        terminal.result(f"not explained by a source that was read: {', '.join(unknown)}", indent=2)
    terminal.result("")
    terminal.result(why(found))
    terminal.say(f"{len(found)} models are called {name!r}; give the whole name to see one of them")


def _row(one: Namesake) -> tuple[str, ...]:
    entry = one.entry
    return (
        entry.name,
        accuracy(entry.key("top1")),
        side(entry.input_size),
        millions(entry.params),
        "" if entry.gmacs is None else f"{entry.gmacs:,.2f}",
        bytes_of(entry.size_bytes),
        licence(entry.licence),
        " + ".join(one.recipe.trained_on),
        one.recipe.by,
    )
