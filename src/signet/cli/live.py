"""A training while it runs: a line for each epoch in the terminal, a page of curves, and a tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from signet.cli.terminal import Terminal
from signet.naming import shown
from signet.progress import Progress

CURVES, TRACKERS = "curves.html", ("tensorboard", "mlflow")
_COLUMNS = (
    ("train_loss", "loss"),
    ("validation_loss", "validation"),
    ("loss_gap", "gap"),
    ("validation_accuracy", "accuracy"),
    ("validation_ap", "AP"),
    ("validation_miou", "mIoU"),
    ("idle", "idle"),
    ("seconds", "seconds"),
)

_LATER = ("train_loss", "idle", "seconds")


def beside(out: Path, ending: str) -> Path:
    """A file of the run beside the seal, which holds nothing that is not sealed."""
    return out.with_name(f"{out.name.removesuffix('.signet')}.{ending}")


class Live:
    """What is told of a run while it trains.

    Attributes:
        curves: the page's path as text, as soon as there is one.
    """

    def __init__(
        self,
        terminal: Terminal,
        out: Path,
        *,
        title: str,
        tracker: str | None = None,
        settings: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        """See above.

        Args:
            terminal: for the bar and the epochs' lines.
            out: the seal to write; the page and the tracker's files are beside it.
            title: of the page.
            tracker: "tensorboard", "mlflow", or None.
            settings: of the run, for a tracker that keeps them.
            resume: whether the run goes on from an earlier one.

        Raises:
            MissingExtra: the tracker is not installed.
        """
        self._terminal, self._title = terminal, title
        self._place = beside(out, CURVES)
        self._told = 0
        self._tracker: Any = None
        self.curves: str | None = None
        if tracker is not None:
            from signet.finetuning.trackers import tracker_of

            plain = out.with_name(out.name.removesuffix(".signet"))
            self._tracker = tracker_of(tracker, plain, settings, resume=resume)

    def on_progress(self, moment: Progress) -> None:
        """Draw the bar; when an epoch has ended, tell of it."""
        self._terminal.on_progress(moment)
        if not moment.history:
            return
        self._write(moment)
        self._track(lambda tracker: tracker.write(moment.history))
        if self._terminal.watched:
            for line in _lines(moment.history, self._told):
                self._terminal.say(line)
        self._told = len(moment.history)

    def close(self, report: Path | None = None) -> None:
        """Let go of the tracker's files.

        Args:
            report: the page of the run; None where it did not come to an end.
        """
        self._track(lambda tracker: tracker.close(report))

    def _track(self, tell: Callable[[Any], None]) -> None:
        """Tell the tracker; one that fails is left, since hours of training are worth more than its files."""
        if self._tracker is None:
            return
        try:
            tell(self._tracker)
        except Exception as error:  # noqa: BLE001  (each tracker has its own kinds)
            self._tracker = None
            reason = shown(str(error)) or type(error).__name__
            self._terminal.say(f"tracking has stopped, the run goes on: {reason}")

    def _write(self, moment: Progress) -> None:
        """The page so far, whole: who has it open never sees half of one."""
        from signet import storage
        from signet.reporting import render
        from signet.reporting.training import training_page

        page = training_page(self._title, moment.history, steps_done=moment.done, steps=moment.total)
        storage.write_bytes(self._place, render(page).encode(), overwrite=True)
        self.curves = str(self._place)


def _lines(history: tuple[Mapping[str, float], ...], told: int) -> list[str]:
    """Lines of the epochs that were not told yet, below a heading when they are the first."""
    from signet.reporting.training import cell

    # Epoch 0 has learned nothing yet, and so has none of some figures that all others have.
    shown = [(key, title) for key, title in _COLUMNS if key in _LATER or key in history[0]]
    lines = [] if told else [f"{'epoch':>5}" + "".join(f"{title:>11}" for _, title in shown)]
    for place in range(told, len(history)):
        row = history[place]
        cells = [cell(key, row[key]) if key in row else "" for key, _ in shown]
        lines.append(f"{place:>5}" + "".join(f"{text:>11}" for text in cells))
    return lines
