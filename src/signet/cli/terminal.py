"""What a person sees: results on stdout, progress and remarks on stderr, nothing that acts by itself.

Names from files are shown with control characters escaped and without markup.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from signet.naming import shown
from signet.progress import Progress


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

    def say(self, text: str) -> None:
        """One remark on stderr."""
        if not self.quiet:
            self._above_bar(shown(text) if "\n" not in text else "\n".join(map(shown, text.split("\n"))))

    def say_engine(self, model: Any) -> None:
        """The one line that names engine and precision, and why they were taken."""
        engine = model.engine
        self.say(
            f"{model.card.name}: {engine.name} {engine.version}, {engine.precision} ({model.running.why})"
        )

    def result(self, text: str) -> None:
        """A line of the result, on stdout."""
        self.stop()
        print(text)  # noqa: T201

    def object(self, value: object) -> None:
        """The one JSON object of `--json`."""
        self.stop()
        print(json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False))  # noqa: T201

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """A table on stdout; columns whose positions are in `right` are flush right."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        self.stop()
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for place, title in enumerate(titles):
            table.add_column(title, justify="right" if place in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))
        width = None if self.interactive else 200
        Console(width=width, highlight=False).print(table)

    def on_progress(self, moment: Progress) -> None:
        """Draw one moment of a long verb, where a person watches."""
        if self.quiet or not sys.stderr.isatty():
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

    def _above_bar(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr)  # noqa: T201


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
            return Text("" if not speed else f"{speed:,.0f} {task.fields['unit']}/s", style="cyan")

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
        transient=False,
    )
