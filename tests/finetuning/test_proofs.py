"""What a run shows for itself, in words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from signet.finetuning.proofs import FrozenProof, MergedProof, frozen_facts, payoff
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
    said = payoff(gain, {**SECONDS, "search": 90.0})
    assert said.endswith("for 300 seconds of training and 90 of the search beside 8 of the probe")


def test_a_proof_lists_its_tensors_by_module() -> None:
    proof = FrozenProof(
        3, 40, "ab" * 32, "ab" * 32, ("stem.0.weight", "stem.1.weight", "stem.1.running_mean")
    )
    assert proof.to_dict()["modules"] == {"stem.0": ["weight"], "stem.1": ["weight", "running_mean"]}
    assert proof.words().startswith("3 tensors with 40 numbers were frozen and are the same bits")
    assert FrozenProof(0, 0, "", "", ()).words() == "nothing was frozen"


def proof(**changes: Any) -> FrozenProof:
    return dataclasses.replace(
        FrozenProof(2, 12, "a" * 64, "a" * 64, ("stem.weight", "stem.bias")), **changes
    )


MERGED = MergedProof(1, 8, "b" * 64, "b" * 64, 1.25e-7, ("blocks.0.qkv.weight",))


def test_of_merged_matrices_nobody_says_that_they_did_not_move() -> None:
    said = proof(merged=MERGED).words()
    frozen, matrices = said.split("; ")
    assert frozen.startswith("2 tensors with 12 numbers were frozen and are the same bits after training")
    assert matrices == (
        "1 matrices with 8 numbers have adapters: they are the same bits after training as before until "
        "these were merged into them (sha256 bbbbbbbbbbbbbbbb...), and since then the sum of both, within "
        "rounding (greatest difference 1.2e-07)"
    )
    facts = dict(frozen_facts(proof(merged=MERGED)))
    assert facts["modules"] == "stem"
    assert facts["modules with adapters"] == "blocks.0"
    assert proof(merged=MERGED).to_dict()["merged"]["modules"] == {"blocks.0.qkv": ["weight"]}


def test_the_proofs_of_all_folds_are_one_sentence_and_all_in_the_record() -> None:
    whole = FrozenProof.of_folds([proof(), proof(), proof()])
    assert whole.holds
    assert whole.words().startswith(
        "in each of 3 networks 2 tensors with 12 numbers were frozen and are the same"
    )
    assert whole.to_dict()["folds"] == [{"before": "a" * 64, "after": "a" * 64}] * 3
    assert dict(frozen_facts(whole))["networks"] == "3; holds of every one of them"


@pytest.mark.parametrize(
    "moved",
    [
        proof(after="c" * 64),
        proof(merged=dataclasses.replace(MERGED, after="c" * 64)),
    ],
)
def test_a_fold_in_which_something_moved_is_named(moved: FrozenProof) -> None:
    sound = proof(merged=moved.merged and MERGED)
    whole = FrozenProof.of_folds([sound, moved, sound])
    assert not whole.holds
    assert whole.words().startswith("in network 2 of 3 ")
    assert "other bits after training than before" in whole.words()
    assert dict(frozen_facts(whole))["networks"] == "3; moved in network 2"


def test_the_greatest_error_of_all_folds_counts() -> None:
    folds = [proof(merged=dataclasses.replace(MERGED, error=error)) for error in (1e-8, 3e-8, 2e-8)]
    whole = FrozenProof.of_folds(folds)
    assert whole.merged is not None
    assert whole.merged.error == 3e-8
    assert whole.to_dict()["folds"][1]["merged"] == {"before": "b" * 64, "after": "b" * 64}


def test_modules_that_begin_alike_are_told_together() -> None:
    names = (
        "stem.weight",
        "blocks.0.bn1.weight",
        "blocks.0.bn1.bias",
        "blocks.0.conv.weight",
        "blocks.1.bn1.bias",
    )
    facts = dict(frozen_facts(proof(names=names)))
    assert facts["modules"] == "stem, blocks.0 (2), blocks.1"


def test_of_a_network_that_is_not_sealed_it_is_said() -> None:
    assert "network" not in dict(frozen_facts(proof()))
    assert dict(frozen_facts(proof(), sealed=False))["network"].endswith(
        "which is not sealed: the probe leaves the whole network as it was"
    )


def test_of_a_probe_that_was_adapted_it_is_not_said_that_its_network_is_as_it_was() -> None:
    facts = dict(frozen_facts(proof(), sealed=False, adapted=("stem.bias", "blocks.0.bn1.weight")))
    assert "as it was" not in facts["network"]
    assert "was adapted to images of another kind" in facts["network"]
    assert facts["changed in the sealed network"] == "2: stem, blocks.0"
    # What was trained and sealed has that from its own proof.
    assert "changed in the sealed network" not in dict(frozen_facts(proof(), adapted=("stem.bias",)))


def test_what_an_adaptation_changed_afterwards_is_no_longer_claimed_of_the_seal() -> None:
    one = proof(merged=MERGED).then_adapted(("stem.bias", "blocks.0.qkv.weight", "head.weight"))
    assert one.adapted == ("stem.bias", "blocks.0.qkv.weight")
    assert one.words().endswith(
        "; 2 of them were changed afterwards, by the adaptation to images of another kind, and are sealed so"
    )
    assert one.to_dict()["adapted"] == {"stem": ["bias"], "blocks.0.qkv": ["weight"]}
    assert dict(frozen_facts(one))["changed by the adaptation"] == "2: stem, blocks.0"
    assert proof().then_adapted(("head.weight",)) == proof()
