"""What a run shows for itself, in words."""

from __future__ import annotations

import pytest

from signet.finetuning.proofs import FrozenProof, payoff
from signet.records import Interval

SECONDS = {"probe": 8.4, "finetuned": 300.0}


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Interval(0.031, 0.012, 0.05), "fine-tuning paid: +3.1 points (95 % interval +1.2 to +5.0"),
        (Interval(-0.02, -0.03, -0.01), "fine-tuning did not pay, it did harm: -2.0 points"),
        (Interval(0.01, -0.01, 0.03), "these images cannot tell whether fine-tuning paid: +1.0 points"),
        (Interval(0.0, 0.0, 0.0), "these images cannot tell"),
    ],
)
def test_whether_it_paid_is_told_from_the_interval_and_beside_the_time(gain: Interval, words: str) -> None:
    said = payoff(gain, SECONDS)
    assert said.startswith(words)
    assert said.endswith("for 300 seconds of training beside 8 of the probe")


def test_a_proof_lists_its_tensors_by_module() -> None:
    proof = FrozenProof(
        3, 40, "ab" * 32, "ab" * 32, ("stem.0.weight", "stem.1.weight", "stem.1.running_mean")
    )
    assert proof.to_dict()["modules"] == {"stem.0": ["weight"], "stem.1": ["weight", "running_mean"]}
    assert proof.words().startswith("3 tensors with 40 numbers were frozen and are the same bits")
    assert FrozenProof(0, 0, "", "", ()).words() == "nothing was frozen"
