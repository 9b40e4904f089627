"""When a run ends: what patience counts, and what is said of what never began."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from signet.training.ending import decided, to_come
from signet.training.moments import Moment

FIGURE = "validation_accuracy"
LATE = [
    ({"thaw": (("body", 3), ("stem", 7))}, "stem thawed"),
    ({"swa_start": 0.6, "epochs": 10}, "there was an epoch for the mean of the weights"),
    ({"sizes": ((8, 8), (12, 12), (16, 16)), "epochs": 9}, "it saw pictures of the last size"),
]


def at(epoch: int, best: int = 0) -> Moment:
    """The end of an epoch, none after the best one better."""
    rows = tuple({FIGURE: float(place <= best), "validation_loss": 1.0} for place in range(epoch + 1))
    return Moment(epoch=epoch, best_epoch=best, history=rows)


def test_patience_counts_the_epochs_after_the_best(tiny: ModuleType) -> None:
    settings = tiny.settings(epochs=20, patience=3)
    assert [decided(at(epoch, 2), settings, FIGURE, False).finished for epoch in (3, 4, 5)] == [0, 0, 1]
    assert not decided(at(19), tiny.settings(epochs=20, patience=0), FIGURE, False).finished


@pytest.mark.parametrize(("changes", "words"), LATE)
def test_it_begins_to_count_when_all_has_begun(tiny: ModuleType, changes: dict[str, Any], words: str) -> None:
    """Each of these begins in epoch 7; nothing was better since the network was given."""
    settings = tiny.settings(**{"epochs": 20, "patience": 3, **changes})
    found = [decided(at(epoch), settings, FIGURE, False) for epoch in range(1, 10)]
    assert [moment.finished for moment in found] == [False] * 8 + [True]
    assert not found[-1].notes
    assert [bool(to_come(settings, epoch)) for epoch in range(1, 10)] == [True] * 6 + [False] * 3


@pytest.mark.parametrize(("changes", "words"), LATE)
def test_what_a_budget_cut_off_is_said(tiny: ModuleType, changes: dict[str, Any], words: str) -> None:
    settings = tiny.settings(**{"epochs": 20, "patience": 3, **changes})
    cut = decided(at(4), settings, FIGURE, True)
    assert cut.finished
    assert cut.notes == (f"training ended after epoch 4, before {words}",)
    assert not decided(at(8), settings, FIGURE, True).notes
