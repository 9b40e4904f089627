"""`signet find`: which models there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import BadRequest

if TYPE_CHECKING:
    from signet.catalogue.finding import Found, Query

FOR_TESTS = "Test networks"
"""The family of timm's smallest, which are there to test programs and would squeeze every picture."""
MULTIPLIERS = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def find(
    text: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Words of name or family.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="classify, detect, segment, embed ...")] = None,
    family: Annotated[str | None, typer.Option("--family", help="ResNet, ViT, yolo* ...")] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="natural, medical ...")] = None,
    min_top1: Annotated[
        float | None, typer.Option("--min-top1", help="Accuracy on ImageNet-1k of at least: 0.8.")
    ] = None,
    min_ap: Annotated[
        float | None, typer.Option("--min-ap", help="COCO's AP of boxes of at least: 0.3.")
    ] = None,
    min_mask_ap: Annotated[float | None, typer.Option("--min-mask-ap", help="The same of masks.")] = None,
    min_miou: Annotated[
        float | None, typer.Option("--min-miou", help="Mean IoU of pixels of at least: 0.6.")
    ] = None,
    max_params: Annotated[str | None, typer.Option("--max-params", help="At most so many: 10M.")] = None,
    max_gmacs: Annotated[float | None, typer.Option("--max-gmacs", help="At most so many 10^9.")] = None,
    max_size: Annotated[str | None, typer.Option("--max-size", help="Weight file of at most: 50MB.")] = None,
    input_size: Annotated[
        int | None, typer.Option("--input-size", help="Pixels of both sides of a prepared image.")
    ] = None,
    min_input: Annotated[int | None, typer.Option("--min-input", help="Pixels of its shorter side.")] = None,
    max_input: Annotated[int | None, typer.Option("--max-input", help="Pixels of its longer side.")] = None,
    since: Annotated[int | None, typer.Option("--since", help="First year of publication.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="permissive or commercial.")] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", help="embedded, mirrored, downloadable, or no public weights."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            help="name, accuracy (of the task), top1, top5, ap, ap50, mask_ap, miou, params, gmacs, "
            "size_bytes, input_size, depth, year, family, task, domain, licence, status; by default the "
            "measure of a --task of boxes, masks or pixels, else the name.",
        ),
    ] = None,
    pareto: Annotated[
        str,
        typer.Option("--pareto", help="Keep what no other beats in these figures: accuracy,params."),
    ] = "",
    names: Annotated[bool, typer.Option("--names", help="Write names only, one a line.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw accuracy against size into this PNG file.")
    ] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Find pretrained models."""
    from signet.catalogue.finding import Query, select

    query = Query(
        text=" ".join(text or ()),
        task=task,
        family=family,
        domain=domain,
        min_top1=min_top1,
        min_ap=min_ap,
        min_mask_ap=min_mask_ap,
        min_miou=min_miou,
        max_params=None if max_params is None else count(max_params),
        max_gmacs=max_gmacs,
        max_size=None if max_size is None else size(max_size),
        input_size=input_size,
        min_input=min_input,
        max_input=max_input,
        since=since,
        licence=licence,
        status=status,
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        keys = tuple(key.strip() for key in pareto.split(",") if key.strip())
        found = select(query, sort=sort, pareto=keys)
        if plot is not None and len(found):
            _draw(found, task, plot, overwrite, terminal)
        if as_json:
            terminal.object(found.to_list())
        elif names:
            for entry in found:
                terminal.line(entry.name)
        elif len(found):
            _table(terminal, found)
        _remark(terminal, found, query, keys)
        return 0


def _draw(found: Found, task: str | None, plot: Path, overwrite: bool, terminal: Terminal) -> None:
    """Accuracy against size of what was found, as a PNG file."""
    from signet import charts, storage
    from signet.catalogue.entry import TITLES, measure_of

    if plot.suffix.lower() != ".png":
        raise BadRequest(f"--plot: expected the name of a .png file, got {plot}.")
    measure = measure_of(task)
    points, sources, sets = [], set(), set()
    for entry in found:
        accuracy = entry.key(measure)
        if isinstance(accuracy, float) and entry.params and entry.family != FOR_TESTS:
            name = entry.name.rpartition("/")[2].partition(".")[0]
            points.append(charts.Point(name, entry.family, entry.params, accuracy))
            claims = [claim for claim in entry.claims if claim.metric == measure and claim.value == accuracy]
            sources |= {claim.source.partition(";")[0] for claim in claims}
            sets |= {claim.dataset for claim in claims[:1]}
    if not points:
        raise BadRequest(f"--plot: of no model that fits are both {TITLES[measure]} and parameters known.")
    words = charts.TOP1 if measure == "top1" else ", ".join([TITLES[measure], *sorted(sets)])
    picture = charts.accuracy_against_size(points, "; ".join(sorted(sources)), words)
    with storage.new_file(plot, overwrite=overwrite) as temporary:
        picture.save(temporary, "PNG", optimize=True)
    left_out = len(found) - len(points)
    without = (
        f"; {left_out:,} are not in it: no known accuracy or size, or made to test software"
        if (left_out)
        else ""
    )
    terminal.say(f"{plot}: {len(points):,} models{without}")


def _remark(terminal: Terminal, found: Found, query: Query, keys: tuple[str, ...]) -> None:
    """What was left out and why, and what cannot be had, on stderr."""
    from signet.catalogue.entry import NO_WEIGHTS

    if found.licence_unknown:
        terminal.say(
            f"{_models(found.licence_unknown, 'fit', 'fits')}, with a licence that is inherited or not "
            "stated; left out"
        )
    for key, number in found.figure_unknown.items():
        terminal.say(f"{_models(number, 'could fit')}, whose {key} is not known; left out")
    without = sum(entry.status == NO_WEIGHTS for entry in found)
    if without:
        terminal.say(
            f"{without:,} of them {'has' if without == 1 else 'have'} no public weights: signet show NAME "
            "says why, how weights of your own are brought, and what is nearest"
        )
    if keys:
        beaten = sum(map(len, found.dominated.values()))
        terminal.say(
            f"{beaten:,} models are dominated in {', '.join(keys)}: 'beats' counts them, each at the best "
            "that beats it (--json names them)"
        )
    if not len(found):
        _tell_near(terminal, query)
    elif not terminal.as_json:
        terminal.say("1 model" if len(found) == 1 else f"{len(found):,} models")


def _models(number: int, several: str, one: str = "") -> str:
    return f"1 more model {one or several}" if number == 1 else f"{number:,} more models {several}"


def _tell_near(terminal: Terminal, query: Query) -> None:
    """What a search without a result may have meant."""
    from signet.catalogue.finding import loosened, near

    meant = near(f"{query.text} {query.family or ''}")
    without = loosened(query)
    told = [
        f"{number:,} without --{name.replace('_', '-')}" for name, number in without.items() if name != "text"
    ]
    if meant:
        terminal.say(f"no model fits; did you mean {' or '.join(map(repr, meant))}?")
    elif told:
        terminal.say(f"no model fits; it would be {', '.join(told)}")
    else:
        terminal.say("no model fits; loosen a filter")


def _table(terminal: Terminal, found: Found) -> None:
    from signet.catalogue.entry import MEASURES, TITLES
    from signet.cli.columns import Column
    from signet.cli.words import accuracy, bytes_of, licence, millions, side

    rows = [
        (
            entry.name,
            *(accuracy(entry.key(key)) for key in MEASURES.values()),
            millions(entry.params),
            str(len(found.dominated.get(entry.name, ()))) if found.dominated else "",
            "" if entry.gmacs is None else f"{entry.gmacs:,.2f}",
            side(entry.input_size),
            licence(entry.licence),
            bytes_of(entry.size_bytes),
            "" if entry.year is None else str(entry.year),
            entry.family,
            entry.task,
            entry.status,
        )
        for entry in found
    ]
    columns = (
        Column("name"),
        *(Column(TITLES[key], right=True, spare=9 * (key != "top1")) for key in MEASURES.values()),
        Column("params", right=True),
        Column("beats", right=True, spare=8),
        Column("GMACs", right=True, spare=6),
        Column("input", right=True, spare=5),
        Column("licence", spare=7),
        Column("size", right=True, spare=3),
        Column("year", right=True, spare=4),
        Column("family", spare=2),
        Column("task", spare=2),
        Column("status", spare=1),
    )
    drawn = terminal.rows(columns, rows)
    if "licence" not in drawn.lacking:
        terminal.say_inherited(entry.licence for entry in found)


def count(text: str) -> int:
    """A number that may end in K, M, G or B: "10M" is 10,000,000.

    Raises:
        BadRequest: it is none.
    """
    number, factor = text, 1
    if text[-1:].lower() in MULTIPLIERS:
        number, factor = text[:-1], MULTIPLIERS[text[-1].lower()]
    return _scaled(number, factor, text, "a number such as 25000000 or 25M")


def size(text: str) -> int:
    """Bytes: "50MB" is 50,000,000, "50MiB" 52,428,800; without a unit they are bytes.

    Raises:
        BadRequest: it is none.
    """
    number = text.lower().removesuffix("b")
    base = 1024 if number.endswith("i") else 1000
    number = number.removesuffix("i")
    power = "kmgt".find(number[-1:]) + 1 if number[-1:] else 0
    return _scaled(number[:-1] if power else number, base**power, text, "a size such as 50MB or 48MiB")


def _scaled(number: str, factor: int, text: str, expected: str) -> int:
    try:
        value = float(number.replace(",", "").replace("_", "")) * factor
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise BadRequest(f"expected {expected}, got {text!r}.")
    return round(value)
