"""How a long verb tells how far it is: one frozen value, handed to a callback.

A verb takes `on_progress: OnProgress | None`; it never prints. The command line draws the bar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a long verb.

    Attributes:
        stage: what is being done, in words for a person: "extracting features".
        done: how many units are done.
        total: how many there will be, or None when nobody knows.
        unit: the name of one unit: "images", "bytes", "steps".
        note: a short remark for the end of the line: "validation 0.81".
        history: of a training, told when an epoch ends: a row of figures for each epoch so far.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "images"
    note: str = ""
    history: tuple[Mapping[str, float], ...] = ()


OnProgress = Callable[[Progress], None]


def inside(on_progress: OnProgress, step: str) -> OnProgress:
    """A callback for one of several trainings that make a run.

    Its moments are told with the name of the step before theirs, and without its epochs: whoever draws or
    writes down a history takes it for the run's.

    Args:
        on_progress: of the run.
        step: which of its trainings it is: "network 2 of 5".
    """

    def tell(moment: Progress) -> None:
        on_progress(replace(moment, stage=f"{step}: {moment.stage}", history=()))

    return tell


def silent(moment: Progress) -> None:
    """The callback that does nothing; what verbs use when none is given."""
