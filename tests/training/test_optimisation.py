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


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimizer": "adamx"}, r"optimizer: expected one of 'adamw', 'sgd'.*got 'adamx'"),
        ({"schedule": "cosin"}, r"schedule: expected one of 'cosine'"),
        ({"nesterov": True}, r"nesterov: expected the optimizer 'sgd' with momentum, got 'adamw' with 0\.9"),
        ({"optimizer": "sgd", "nesterov": True, "momentum": 0.0}, r"'sgd' with 0\. Leave nesterov out"),
        ({"step_at": (0.7, 0.3)}, r"step_at: expected shares that rise, got \[0\.7, 0\.3\]"),
        ({"step_at": (1.0,)}, r"step_at: expected 0 to below 1"),
        ({"stage_rates": (("stem", 0.0),)}, r"a rate above 0 .* is frozen instead"),
        ({"layer_decay": 1.5}, r"layer_decay: expected 0\.01 to 1, .*no faster than later ones"),
        ({"accumulate": 0}, r"accumulate: expected a whole number of at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        Optimisation(**fields)  # type: ignore[arg-type]
