"""`signet evaluate`: keys, exit codes, splits and the report."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def dataset(tiny, pictures, tmp_path):
    """A folder of classes with one picture in the wrong one, and one that is none."""
    for number, path in enumerate(pictures):
        place = tmp_path / "data" / tiny.answer(number) / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    shutil.copy(pictures[0], tmp_path / "data" / "green" / "wrong.png")
    (tmp_path / "data" / "blue" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "data"


def test_json_has_the_keys_of_the_contract(signet, classifier, dataset):
    ran = signet("evaluate", classifier, dataset, "--json")
    assert ran.code == 0
    plain = ran.object
    assert {"metrics", "per_class", "confusion", "calibration", "count", "seconds"} <= plain.keys()
    assert {"top1", "f1_macro", "ece"} <= plain["metrics"].keys()
    assert all(list(figure)[:3] == ["value", "low", "high"] for figure in plain["metrics"].values())
    assert plain["count"] == 13
    assert plain["metrics"]["top1"]["value"] == pytest.approx(12 / 13, abs=1e-6)
    assert 0 < plain["metrics"]["top1"]["low"] < 12 / 13 < plain["metrics"]["top1"]["high"] <= 1
    counts = dict(zip(plain["confusion"]["labels"], plain["confusion"]["counts"], strict=True))
    assert counts["green"][plain["confusion"]["labels"].index("red")] == 1
    assert sum(map(sum, counts.values())) == 13
    assert len(plain["unreadable"]) == 1


def test_same_seed_same_figures(signet, classifier, dataset):
    first, second = (signet("evaluate", classifier, dataset, "--json", "--seed", 7).object for _ in range(2))
    for key in ("metrics", "per_class", "confusion", "calibration", "mistakes"):
        assert first[key] == second[key]


def test_for_a_person(signet, classifier, dataset):
    ran = signet("evaluate", classifier, dataset)
    assert ran.code == 0
    assert ran.out.splitlines()[0].split() == ["metric", "value", "95", "%", "interval"]
    assert "0.9231" in ran.out
    assert "folder, 14 images, 4 labels" in ran.err
    assert "broken.png" in ran.err
    assert "note: Read as a folder of classes" in ran.err


def test_what_was_left_out_of_a_dataset_is_said(signet, classifier, dataset):
    (dataset / "nothing").mkdir()
    shutil.copy(dataset / "green" / "wrong.png", dataset)
    ran = signet("evaluate", classifier, dataset)
    assert "1 folders in which no image is found are no classes: nothing." in ran.err
    assert "1 images beside the class folders" in ran.err


def test_the_report_is_one_file(signet, classifier, dataset, tmp_path):
    report = tmp_path / "report.html"
    words = ["evaluate", classifier, dataset, "--report", report]
    assert signet(*words).code == 0
    html = report.read_text("utf-8")
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert "tests/colours" in html
    assert "http-equiv" in html.lower()
    ran = signet(*words)
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert signet(*words, "--overwrite").code == 0


def test_splits(signet, classifier, dataset, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(dataset, tmp_path / "split" / split)
    (tmp_path / "split" / "test" / "green" / "wrong.png").unlink()
    words = ["evaluate", classifier, tmp_path / "split", "--json"]
    assert signet(*words).object["count"] == 12
    assert signet(*words, "--split", "train").object["count"] == 13
    ran = signet(*words, "--split", "tset")
    assert ran.code == 2
    assert "tset" in ran.object["error"]["message"]
    earlier = signet("evaluate", "no-such-model", tmp_path / "split", "--json", "--split", "tset")
    assert "tset" in earlier.object["error"]["message"]


def test_what_cannot_be_measured(signet, classifier, dataset, tmp_path):
    assert signet("evaluate", "starter", dataset).code == 2
    assert signet("evaluate", classifier, tmp_path / "nothing").code == 1
    shutil.copytree(dataset, tmp_path / "other")
    for name in ("red", "green", "blue", "white"):
        (tmp_path / "other" / name).rename(tmp_path / "other" / f"{name}ish thing")
    ran = signet("evaluate", classifier, tmp_path / "other")
    assert (ran.code, ran.out) == (2, "")
    assert "label" in ran.err
