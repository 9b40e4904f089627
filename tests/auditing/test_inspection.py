"""The audit as a whole: order, what mends it by name, what is skipped; the order of rows changes nothing."""

from pathlib import Path

import numpy as np
import pytest

import signet
from signet.auditing import AuditSettings, audit
from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest, UnknownName
from signet.findings import SEVERITIES


@pytest.fixture(scope="module")
def classifier(module_at, tmp_path_factory):
    """The tiny classifier of colours of the command line's tests."""
    tiny = module_at("signet_tiny", Path(__file__).parents[1] / "cli" / "tiny.py")
    return tiny.make_classifier(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(photograph, tmp_path):
    """A dataset with a severe finding, a warning and notes; its folder needs quotes in a shell."""
    top = tmp_path / "my birds"
    for number in range(40):
        place = top / ("test" if number % 4 == 0 else "train") / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        photograph(number).save(place)
    photograph(0).save(top / "train" / "b" / "leak.jpg", quality=70)
    photograph(99).convert("L").save(top / "train" / "a" / "grey.png")
    photograph(98, (15, 15)).save(top / "train" / "a" / "tiny.png")
    return top


def test_the_worst_comes_first_and_the_fix_names_the_dataset(folder):
    found = audit(open_dataset(folder), model=None)
    ranks = [SEVERITIES.index(one.severity) for one in found.findings]
    assert ranks == sorted(ranks)
    assert found.findings[0].kind == "leak"
    assert f"`signet audit '{folder}' --fix`" in found.findings[0].fix
    assert found.images == 43
    assert len(found.provenance["fingerprint"]) == 64
    assert found.skipped == (
        "No model was given: labels were not judged, and splits not told apart by features.",
    )


def test_a_model_adds_its_checks_and_what_could_not_be_checked(folder, classifier):
    moments = []
    found = signet.audit(open_dataset(folder), model=classifier, on_progress=moments.append)
    assert {moment.stage for moment in moments} >= {"looking for duplicates", "extracting features"}
    assert found.provenance["model"] == "tests/colours"
    assert found.skipped == (
        "Label suspects are looked for among at least 50 images of 2 classes of 5 images "
        "(of different groups) each; there are 43 of 2.",
    )


def test_the_order_of_the_rows_changes_nothing(folder):
    data = open_dataset(folder)
    mixed = data.subset(np.random.default_rng(0).permutation(len(data)))
    first, second = (audit(one, model=None) for one in (data, mixed))
    assert {one.kind: set(one.sources) for one in first.findings} == {
        one.kind: set(one.sources) for one in second.findings
    }
    assert first.provenance["fingerprint"] == second.provenance["fingerprint"]


def test_the_same_seed_gives_the_same_audit(folder, classifier):
    data = open_dataset(folder)
    first, second = (
        audit(data, model=classifier, settings=AuditSettings(seed=3, threads=1)).findings for _ in range(2)
    )
    assert first == second


def test_what_is_asked_wrongly_is_refused(folder):
    with pytest.raises(BadRequest, match="threads: expected at least 1, got 0"):
        AuditSettings(threads=0)
    with pytest.raises(BadRequest, match="seed: expected 0 or more"):
        AuditSettings(seed=-1)
    with pytest.raises(UnknownName, match="starter"):
        audit(open_dataset(folder), model="startre")
    with pytest.raises(BadDataset, match="expected images to audit, got none"):
        audit(open_dataset(folder).subset([]), model=None)
