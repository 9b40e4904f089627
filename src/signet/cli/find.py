"""`signet find`: which models there are."""

from __future__ import annotations

from typing import Annotated

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import BadRequest

MULTIPLIERS = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def find(
    text: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Words of name or family.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="classify, detect, segment, embed ...")] = None,
    family: Annotated[str | None, typer.Option("--family", help="ResNet, ViT ...")] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="natural, medical ...")] = None,
    max_params: Annotated[str | None, typer.Option("--max-params", help="At most so many: 10M.")] = None,
    max_gmacs: Annotated[float | None, typer.Option("--max-gmacs", help="At most so many 10^9.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="permissive or commercial.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="embedded, mirrored, downloadable.")] = None,
    sort: Annotated[
        str, typer.Option("--sort", help="name, params, gmacs, size_bytes, input_size, top1.")
    ] = "name",
    pareto: Annotated[str, typer.Option("--pareto", help="Keys, comma-separated: params,top1.")] = "",
    names: Annotated[bool, typer.Option("--names", help="Write names only, one a line.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Find pretrained models."""
    from signet.catalogue.finding import Query, near, select

    query = Query(
        text=" ".join(text or ()),
        task=task,
        family=family,
        domain=domain,
        max_params=None if max_params is None else count(max_params),
        max_gmacs=max_gmacs,
        licence=licence,
        status=status,
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        keys = tuple(key.strip() for key in pareto.split(",") if key.strip())
        found = select(query, sort=sort, pareto=keys)
        if found.licence_unknown:
            terminal.say(
                f"{found.licence_unknown} more models fit, with a licence that is inherited or not stated; "
                "they are left out"
            )
        if as_json:
            terminal.object([entry.to_dict() for entry in found])
        elif names:
            for entry in found:
                terminal.result(entry.name)
        elif len(found):
            _table(terminal, found)
        if not len(found):
            meant = near(query.text)
            terminal.say(
                f"no model fits; did you mean {' or '.join(map(repr, meant))}?"
                if meant
                else "no model fits; loosen a filter"
            )
        return 0 if len(found) else 1


def _table(terminal: Terminal, found: object) -> None:
    from signet.catalogue.finding import Found

    if not isinstance(found, Found):
        return
    rows = [
        (
            entry.name,
            entry.task,
            entry.family,
            "" if entry.params is None else f"{entry.params / 1e6:,.1f} M",
            "" if entry.gmacs is None else f"{entry.gmacs:,.2f}",
            "" if entry.input_size is None else f"{entry.input_size[0]}x{entry.input_size[1]}",
            _accuracy(entry.key("top1")),
            f"{entry.licence.weights}{'' if entry.licence.stated else ' (inherited)'}",
            entry.status,
        )
        for entry in found
    ]
    titles = ("name", "task", "family", "params", "GMACs", "input", "top-1", "licence", "status")
    terminal.table(titles, rows, right=(3, 4, 5, 6), spare=(4, 2, 1, 5, 6, 3))
    terminal.say(f"{len(rows)} models")


def _accuracy(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else ""


def count(text: str) -> int:
    """A number that may end in K, M, G or B: "10M" is 10,000,000.

    Raises:
        BadRequest: it is none.
    """
    number, factor = text, 1
    if text[-1:].lower() in MULTIPLIERS:
        number, factor = text[:-1], MULTIPLIERS[text[-1].lower()]
    try:
        value = float(number.replace(",", "").replace("_", "")) * factor
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise BadRequest(f"expected a number such as 25000000 or 25M, got {text!r}.")
    return round(value)
