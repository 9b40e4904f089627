"""What the end of an epoch decides: a run goes on, goes back, or is over; and what a mixture gives."""

from __future__ import annotations

import time
from dataclasses import replace

from signet.training.averaging import Soup, first_epoch
from signet.training.judging import Evaluated, Judge
from signet.training.moments import Moment, is_better, ranked
from signet.training.overfitting import SLOWER, STEPS_BACK, memorising
from signet.training.settings import TrainSettings
from signet.training.sizing import size_in


def to_come(settings: TrainSettings, epoch: int) -> tuple[str, ...]:
    """What a run was asked for, and has not begun when an epoch ends: in words that follow "before".

    Args:
        settings: of the run.
        epoch: that is over.
    """
    words = []
    later = [name for name, first in settings.thaw if first > epoch]
    if later:
        words.append(f"{', '.join(later)} thawed")
    if settings.swa_start and epoch < first_epoch(settings):
        words.append("there was an epoch for the mean of the weights")
    if settings.sizes and epoch < _at_last_size(settings):
        words.append("it saw pictures of the last size")
    return tuple(words)


def _begun(settings: TrainSettings) -> int:
    """The first epoch in which nothing is still to come; from there on patience counts."""
    first = max((epoch for _, epoch in settings.thaw), default=1)
    if settings.swa_start:
        first = max(first, first_epoch(settings))
    return max(first, _at_last_size(settings))


def _at_last_size(settings: TrainSettings) -> int:
    """The first epoch whose pictures have the last size."""
    sizes, every = settings.sizes, range(1, settings.epochs + 1)
    return (
        next((epoch for epoch in every if size_in(epoch, settings.epochs, sizes) == sizes[-1]), 1)
        if sizes
        else 1
    )


def decided(moment: Moment, settings: TrainSettings, figure: str, out_of_time: bool) -> Moment:
    """The moment after an epoch.

    Args:
        moment: the epoch that is over, its row and the best epoch included.
        settings: of the run.
        figure: key of the task's figure.
        out_of_time: whether the budget is spent.

    Returns:
        The beginning of the next epoch. It has gone back where `steps_back` has grown: the caller then gives
        the network the state of its best epoch.
    """
    epoch, best = moment.epoch, moment.best_epoch
    last = epoch >= settings.epochs
    words = None
    if settings.overfitting != "off":
        words = memorising(moment.history, best, moment.since, figure)
    may_go_back = settings.overfitting == "step-back" and moment.steps_back < STEPS_BACK
    goes_back = words is not None and may_go_back and not (last or out_of_time)
    coming = to_come(settings, epoch)
    tired = 0 < settings.patience <= epoch - max(best, moment.since, _begun(settings) - 1)
    early = out_of_time or (not goes_back and (tired or words is not None))
    notes = moment.notes
    if words is not None:
        consequence = (
            f"it went back to epoch {best}, and goes on at {SLOWER:g} of the rate"
            if goes_back
            else f"training ended, and epoch {best} is kept"
        )
        notes = (*notes, f"{words}; {consequence}")
    if early and not last and coming:
        notes = (*notes, f"training ended after epoch {epoch}, before {' and '.join(coming)}")
    return replace(
        moment,
        epoch=epoch + 1,
        step=0,
        loss=0.0,
        images=0,
        epoch_seconds=0.0,
        finished=last or early,
        stopped_early=early and not last,
        steps_back=moment.steps_back + goes_back,
        since=epoch if goes_back else moment.since,
        notes=notes,
    )


def mixed(
    moment: Moment, soup: Soup, judge: Judge, settings: TrainSettings, figure: str
) -> tuple[Moment, Evaluated | None]:
    """Try mixtures of the remembered epochs when a run is over.

    Args:
        moment: the end of the run.
        soup: what is remembered.
        judge: measures each mixture.
        settings: of the run.
        figure: key of the task's figure.

    Returns:
        (the moment, what was found of the best mixture): where one is better than the best epoch, it is a row
        of its own after all others, with `soup`: the number of epochs in it. Else None.
    """
    begin = time.monotonic()
    history = moment.history
    start = history[moment.best_epoch]

    def better(one: Evaluated, found: Evaluated | None) -> bool:
        return is_better(one.row, start if found is None else found.row, settings.select, figure)

    def tried() -> Evaluated:
        return judge.now(mixed=True)

    order = ranked(history, settings.select, figure)
    result = soup.mix(order, tried, better)
    found, epochs = result
    if found is None:
        note = f"soup: no mixture of {len(soup.epochs)} epochs is better on validation than the best epoch"
        return replace(moment, notes=(*moment.notes, note)), None
    place = len(history)
    seconds = time.monotonic() - begin
    row = {"epoch": place, **found.row, "learning_rate": 0.0, "soup": len(epochs), "seconds": seconds}
    note = f"soup: the mean of the weights of epochs {', '.join(map(str, epochs))} is kept, as row {place}"
    return replace(moment, best_epoch=place, history=(*history, row), notes=(*moment.notes, note)), found
