"""`signet compare`: keys, exit codes, baseline, and the report."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def dataset(tiny, pictures, tmp_path):
    """A folder of classes with one picture in the wrong one."""
    for number, path in enumerate(pictures):
        place = tmp_path / "data" / tiny.answer(number) / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    shutil.copy(pictures[0], tmp_path / "data" / "green" / "wrong.png")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def other(tiny, tmp_path_factory):
    """The same network, whose card has red and green the wrong way round."""
    swapped = ("green", "red", *tiny.LABELS[2:])
    return tiny.make_classifier(tmp_path_factory.mktemp("other"), "swapped", swapped)


def test_json_has_the_keys_of_the_contract(signet, classifier, other, dataset):
    ran = signet("compare", classifier, other, dataset, "--json")
    assert ran.code == 0
    plain = ran.object
    assert {"models", "pairs", "count", "disagreements"} <= plain.keys()
    first, second = plain["models"]
    assert {"name", "metrics", "milliseconds", "params", "size_bytes", "claims"} <= first.keys()
    assert list(first["metrics"]["top1"]) == ["value", "low", "high"]
    top1 = next(pair for pair in plain["pairs"] if pair["metric"] == "top1")
    assert {"first", "second", "metric", "difference", "low", "high", "p"} <= top1.keys()
    assert (top1["first"], top1["second"]) == (second["name"], first["name"])
    assert plain["count"] == 13
    gap = second["metrics"]["top1"]["value"] - first["metrics"]["top1"]["value"]
    assert top1["difference"] == pytest.approx(gap)
    assert gap < 0
    assert plain["disagreeing"] == len(plain["disagreements"]) > 0
    assert {reply["figure"] for reply in plain["disagreements"][0]["replies"]} == {0.0, 1.0}


def test_the_baseline_is_named_as_on_the_command_line(signet, classifier, other, dataset):
    ran = signet("compare", classifier, other, dataset, "--json", "--baseline", other)
    assert ran.object["baseline"] == ran.object["models"][1]["name"]
    wrong = signet("compare", classifier, other, dataset, "--baseline", "nobody")
    assert wrong.code == 2
    assert "The baseline is one of" in wrong.err


def test_for_a_person_and_as_a_page(signet, classifier, other, dataset, tmp_path):
    page = tmp_path / "page.html"
    ran = signet("compare", classifier, other, dataset, "--report", page)
    assert ran.code == 0
    assert ran.out.splitlines()[0].split()[:2] == ["model", "top1"]
    assert "p Holm" in ran.out
    assert "13 images in" in ran.err
    assert "Where they disagree" in page.read_text("utf-8")
    again = signet("compare", classifier, other, dataset, "--report", page)
    assert again.code != 0
    assert "--overwrite" in again.err


@pytest.mark.parametrize("words", [1, 2])
def test_fewer_than_two_models_are_refused(signet, classifier, dataset, words):
    ran = signet("compare", *[classifier, dataset][-words:])
    assert ran.code == 2
    assert "at least two models and a dataset" in ran.err
    assert "signet evaluate" in ran.err
