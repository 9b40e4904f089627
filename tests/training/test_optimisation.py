"""How a step is made is checked when it is stated."""

from __future__ import annotations

import pytest

from signet.errors import BadRequest
from signet.training import Optimisation


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("warmup", 1, r"warmup: expected 0 to below 1, got 1\. It is a share"),
        ("clip", float("inf"), r"clip: expected a finite number of at least 0"),
        ("weight_decay", -0.1, r"weight_decay: expected 0 to 1, got -0\.1"),
    ],
)
def test_a_setting_out_of_range_says_what_was_expected(name: str, value: object, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        Optimisation(**{name: value})  # type: ignore[arg-type]
