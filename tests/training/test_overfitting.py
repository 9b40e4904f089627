"""Learning by heart: what tells it, what it leads to, and that an honest run is left alone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.errors import BadRequest
from signet.training import train
from signet.training.overfitting import GAP, LAST_EPOCHS, SAMPLE, SLOWER, memorising

FIGURE = "validation_accuracy"


def row(validation: float, sample: float, accuracy: float = 0.5, **more: float) -> dict[str, float]:
    return {
        "validation_loss": validation,
        SAMPLE: sample,
        GAP: validation - sample,
        FIGURE: accuracy,
        **more,
    }


HONEST = [row(1.0, 1.0), row(0.8, 0.7, 0.6)]
WORSE = [row(0.9, 0.5), row(1.0, 0.3), row(1.2, 0.1)]


def test_three_epochs_of_a_growing_gap_are_told_with_their_figures() -> None:
    words = memorising([*HONEST, *WORSE], 1, 0, FIGURE)
    assert words == (
        "overfitting: from epoch 1 to epoch 4 the loss of training images fell from 0.700 to 0.100, while "
        "that of validation rose from 0.800 to 1.200"
    )


@pytest.mark.parametrize(
    "last",
    [
        WORSE[:2],  # two epochs are noise
        [*WORSE[:2], row(0.79, 0.1)],  # validation is as good again
        [*WORSE[:2], row(1.2, 0.71)],  # nothing is learned either: that is no memory
        [{key: value for key, value in one.items() if key != GAP} for one in WORSE],
    ],
)
def test_less_than_that_is_not_told(last: list[dict[str, float]]) -> None:
    assert memorising([*HONEST, *last], 1, 0, FIGURE) is None


def test_epochs_before_a_step_back_do_not_count() -> None:
    assert memorising([*HONEST, *WORSE], 1, 2, FIGURE) is None
    assert memorising([*HONEST, *WORSE, WORSE[-1]], 1, 2, FIGURE)


def test_worse_calibration_and_a_figure_below_the_start_are_said() -> None:
    history = [row(1.0, 1.0, 0.7, validation_ece=0.1), row(0.8, 0.7, 0.75, validation_ece=0.05)]
    words = memorising([*history, *(dict(one, validation_ece=0.3) for one in WORSE)], 1, 0, FIGURE)
    assert words is not None
    assert "its calibration error from 0.050 to 0.300" in words
    assert words.endswith("accuracy is 0.500, below the 0.700 that training began with")


def by_heart(tiny: ModuleType, images: Path, folder: Path, **changes: Any) -> Any:
    """Labels that nothing in the images says, and a network that can remember 30 of them."""
    targets = np.random.default_rng(3).integers(0, 3, 40)
    targets[:3] = range(3)
    data = tiny.data_in(images, train_targets=targets[:30], validation_targets=targets[30:])
    fields = {
        "epochs": 40,
        "augmentation": "none",
        "head_rate": 0.1,
        "backbone_rate": 0.03,
        "label_smoothing": 0.0,
        "checkpoint_seconds": 60.0,
        "select": "loss",
    }
    how = tiny.settings(**{**fields, **changes})
    return train(tiny.network(), data, how, folder=folder, resume=False)


def test_a_run_that_can_only_remember_is_ended_and_keeps_what_was_better(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    done = by_heart(tiny, images, tmp_path / "stop", overfitting="stop")
    assert done.stopped_early
    assert len(done.history) < 20
    assert done.notes[0].startswith("overfitting: from epoch ")
    assert done.notes[0].endswith(f"; training ended, and epoch {done.best_epoch} is kept")
    best, last = done.history[done.best_epoch], done.history[-1]
    assert last[GAP] > best[GAP] + 0.1
    assert len(done.history) - 1 - done.best_epoch >= LAST_EPOCHS
    blind = by_heart(tiny, images, tmp_path / "off", overfitting="off", epochs=len(done.history) + 2)
    assert not blind.notes
    assert not blind.stopped_early
    assert len(blind.history) == len(done.history) + 3
    assert GAP not in blind.history[0]


def test_a_step_back_goes_on_from_the_best_epoch_at_a_lower_rate(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    done = by_heart(tiny, images, tmp_path, overfitting="step-back")
    went = next(note for note in done.notes if "went back" in note)
    assert f"goes on at {SLOWER:g} of the rate" in went
    place = int(went.split(" to epoch ")[1].split()[0])
    before, after = done.history[place], done.history[place + 1]
    # From the better weights again: remembering is undone, at about a third of the rate.
    assert after[SAMPLE] > before[SAMPLE]
    assert after["learning_rate"] < 0.4 * before["learning_rate"]


@pytest.mark.parametrize("step", [20, 40])
def test_a_stop_and_a_resume_change_no_step_back(
    tiny: ModuleType, images: Path, tmp_path: Path, step: int
) -> None:
    class Stop(Exception):
        pass

    def stop(moment: Any) -> None:
        if moment.done == step:
            raise Stop

    targets = np.random.default_rng(3).integers(0, 3, 40)
    targets[:3] = range(3)
    data = tiny.data_in(images, train_targets=targets[:30], validation_targets=targets[30:])
    how = tiny.settings(
        epochs=9,
        augmentation="none",
        head_rate=0.1,
        backbone_rate=0.03,
        label_smoothing=0.0,
        select="loss",
        overfitting="step-back",
    )
    straight = train(tiny.network(), data, how, folder=tmp_path / "a", resume=False)
    assert any("went back" in note for note in straight.notes)
    with pytest.raises(Stop):
        train(tiny.network(), data, how, folder=tmp_path / "b", resume=False, on_progress=stop)
    resumed = train(tiny.network(), data, how, folder=tmp_path / "b", resume=True)
    assert tiny.same(straight, resumed)
    assert straight.notes == resumed.notes


def test_what_really_learns_is_left_alone(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    how = tiny.settings(epochs=8, overfitting="stop", checkpoint_seconds=60)
    done = train(tiny.network(), tiny.data_in(images), how, folder=tmp_path, resume=False)
    assert not done.notes
    assert len(done.history) == 9
    for one in done.history:
        assert one[GAP] == pytest.approx(one["validation_loss"] - one[SAMPLE])


def test_another_word_is_refused(tiny: ModuleType) -> None:
    with pytest.raises(BadRequest, match=r"overfitting: expected one of 'off', 'stop', 'step-back'"):
        tiny.settings(overfitting="back")
