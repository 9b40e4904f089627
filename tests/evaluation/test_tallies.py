"""A tally says on draws what the report says of all images."""

from __future__ import annotations

import numpy as np
import pytest

from signet.evaluation.tallies import LabelTally
from signet.statistics import Resampling


def test_of_several_labels_every_figure_of_the_report_can_be_drawn() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((40, 3)) < 0.4).astype(np.int64)
    scores = np.clip(0.7 * truth + 0.3 * random.random((40, 3)), 0, 1)
    kept = LabelTally(
        places=np.arange(40), labels=("a", "b", "c"), notes=(), unreadable=(), scores=scores, truth=truth
    )
    reported = kept.metrics(Resampling(resamples=20))
    drawn = kept.figures(np.ones((1, 40)))
    assert drawn.keys() == reported.keys()
    for name, figure in reported.items():
        assert drawn[name][0] == pytest.approx(figure.value), name
