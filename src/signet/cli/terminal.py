"""What a person sees: results on stdout, progress and remarks on stderr, nothing that acts by itself.

Names from files are shown with control characters escaped and without markup.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from signet.naming import shown
from signet.progress import Progress

if TYPE_CHECKING:
    from signet.cards import Licence
    from signet.cli.columns import Column, Drawn

_UNBOUNDED = 100_000  # columns of a file or a pipe
_ROOMY = 64  # columns for a stage, a bar, a count, a rate and the time left


class Terminal:
    """The two streams of one command.

    Args:
        as_json: one JSON object on stdout, and no table.
        quiet: nothing on stderr but errors.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._started = time.monotonic()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._started

    @property
    def interactive(self) -> bool:
        """Whether a person reads stdout."""
        return sys.stdout.isatty()

    @property
    def watched(self) -> bool:
        """Whether a person reads stderr, and wants to."""
        return not self.quiet and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """One remark on stderr."""
        if not self.quiet:
            self._above_bar(wrapped(shown(text), sys.stderr))

    def say_inherited(self, licences: Iterable[Licence]) -> None:
        """What the question mark behind a licence in a table means, where there is one."""
        if any(not terms.stated and terms.weights != "unknown" for terms in licences):
            self.say("licence with '?': inherited from the architecture's code, not stated for the weights")

    def say_engine(self, model: Any) -> None:
        """The one line that names engine and precision, and why they were taken."""
        engine = model.engine
        self.say(
            f"{model.card.name}: {engine.name} {engine.version}, {engine.precision} ({model.running.why})"
        )

    def result(self, text: str, indent: int = 0) -> None:
        """A line of the result for a person, on stdout; on a terminal it is wrapped below its indent."""
        self._clear()
        print(wrapped(" " * indent + shown(text), sys.stdout, indent + 2))  # noqa: T201

    def line(self, text: str) -> None:
        """A line of the result for a program, on stdout, as it is."""
        self._clear()
        print(text)  # noqa: T201

    def object(self, value: object) -> None:
        """The one JSON object of `--json`."""
        self._clear()
        print(json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False))  # noqa: T201

    def table(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        right: Sequence[int] = (),
        spare: Sequence[int] = (),
    ) -> None:
        """A table on stdout.

        Args:
            titles: of the columns; a column without any text is left out.
            rows: their cells.
            right: positions of columns that stand flush right.
            spare: positions of columns that a narrow terminal does without, the first to go first.
        """
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        self._clear()
        cells = [[shown(cell) for cell in row] for row in rows]
        width = shutil.get_terminal_size().columns if self.interactive else 200
        kept, lacking = _columns(titles, cells, spare, width)
        widths = _widths(titles, cells)
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(titles))
        for place in kept:
            side: Any = "right" if place in right else "left"
            # Figures and what a row is about are broken last.
            whole = place in right or (place == kept[0] and widths[place] <= width // 2)
            table.add_column(titles[place], justify=side, overflow="fold", no_wrap=whole)
        for row in cells:
            table.add_row(*(Text(row[place]) for place in kept))
        console = Console(width=width, highlight=False)
        with console.capture() as captured:
            console.print(table)
        print("\n".join(line.rstrip() for line in captured.get().splitlines()))  # noqa: T201
        if lacking:
            self.say(f"left out in {width} columns: {', '.join(lacking)} (--json has all)")

    def rows(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Drawn:
        """A table of one line a row on stdout; a narrow terminal does without some columns, which is said."""
        from signet.cli.columns import draw

        self._clear()
        cells = [[shown(cell) for cell in row] for row in rows]
        width = shutil.get_terminal_size().columns if self.interactive else _UNBOUNDED
        drawn = draw(columns, cells, width)
        print("\n".join(drawn.lines))  # noqa: T201
        if drawn.lacking:
            self.say(f"left out in {width} columns: {', '.join(drawn.lacking)} (--json has all)")
        if drawn.shortened:
            self.say(f"{drawn.shortened:,} names are shortened in {width} columns (--names has them whole)")
        return drawn

    def on_progress(self, moment: Progress) -> None:
        """Draw one moment of a long verb, where a person watches."""
        if not self.watched:
            return
        if self._bar is None:
            self._bar = _new_bar()
            self._bar.start()
        task = self._tasks.get(moment.stage)
        if task is None:
            task = self._bar.add_task(moment.stage, total=moment.total, unit=moment.unit, note="")
            self._tasks[moment.stage] = task
        self._bar.update(
            task, completed=moment.done, total=moment.total, unit=moment.unit, note=shown(moment.note)
        )

    def stop(self) -> None:
        """End the progress bar, so that what follows stands below it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._tasks = {}

    def _clear(self) -> None:
        """Make room for stdout, where it is the same terminal as the bar's."""
        if self.interactive:
            self.stop()

    def _above_bar(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr)  # noqa: T201


def wrapped(text: str, stream: TextIO, hanging: int = 2) -> str:
    """Text broken between words where a terminal shows it; as it is for a file or a pipe."""
    if not stream.isatty():
        return text
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
    )


def _widths(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [
        max(cell_len(title), *(cell_len(row[place]) for row in rows)) if rows else cell_len(title)
        for place, title in enumerate(titles)
    ]


def _columns(
    titles: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[int], width: int
) -> tuple[list[int], list[str]]:
    """(the columns to show, titles of those that have no room)."""
    kept = [place for place in range(len(titles)) if any(row[place] for row in rows)]
    widths = _widths(titles, rows)
    lacking = []
    for place in spare:
        if sum(widths[column] for column in kept) + 2 * (len(kept) - 1) <= width:
            break
        if place in kept:
            kept.remove(place)
            lacking.append(titles[place])
    return kept, lacking


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            amount = "" if not speed else f"{speed:,.1f}" if speed < 9.95 else f"{speed:,.0f}"
            return Text(f"{amount} {task.fields['unit']}/s" if amount else "", style="cyan")

    console = Console(stderr=True)
    stage, count, left = (
        TextColumn("{task.description}", markup=False),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    note = TextColumn("{task.fields[note]}", markup=False)
    # Where there is no room for all, figures that are whole say more than a bar beside cut ones.
    roomy = console.width >= _ROOMY
    columns = (stage, BarColumn(bar_width=None), count, Rate(), left, note) if roomy else (stage, count, left)
    return Bar(
        *columns,
        console=console,
        transient=False,
        # The bar's own wish would send what is printed to stdout to the terminal, and not into its file.
        redirect_stdout=False,
        redirect_stderr=False,
    )
