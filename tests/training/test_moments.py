"""Which epoch is the better one."""

from __future__ import annotations

import pytest

from signet.training.moments import is_better

FIGURE = "validation_ap"


@pytest.mark.parametrize(
    ("row", "best", "better"),
    [
        ({FIGURE: 0.2, "validation_loss": 3.0}, {FIGURE: 0.1, "validation_loss": 1.0}, True),
        ({FIGURE: 0.1, "validation_loss": 1.0}, {FIGURE: 0.2, "validation_loss": 3.0}, False),
        ({FIGURE: 0.2, "validation_loss": 1.0}, {FIGURE: 0.2, "validation_loss": 3.0}, True),
        # Without a loss of validation that of training ranks equal figures; epoch 0 has none.
        ({FIGURE: 0.0, "train_loss": 9.0}, {FIGURE: 0.0}, True),
        ({FIGURE: 0.0, "train_loss": 9.0}, {FIGURE: 0.0, "train_loss": 9.0}, False),
        ({FIGURE: 0.0, "train_loss": 8.0}, {FIGURE: 0.0, "train_loss": 9.0}, True),
        ({FIGURE: 0.0, "train_loss": 8.0}, {FIGURE: 0.1, "train_loss": 9.0}, False),
    ],
)
def test_the_figure_decides_and_of_equal_ones_the_loss(
    row: dict[str, float], best: dict[str, float], better: bool
) -> None:
    assert is_better(row, best, "accuracy", FIGURE) is better


def test_the_loss_decides_where_it_is_selected() -> None:
    rows = {FIGURE: 0.1, "validation_loss": 1.0}, {FIGURE: 0.2, "validation_loss": 3.0}
    assert is_better(*rows, "loss", FIGURE)
