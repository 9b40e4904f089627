"""`signet audit`: keys, exit codes, what --fix writes, the report."""

import shutil

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def dataset(tmp_path):
    """Two splits of two classes of smooth noise, nothing wrong with any."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for label in ("left", "right"):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                small = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
                small.resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return tmp_path / "data"


def test_a_clean_dataset_exits_with_0_and_has_the_keys_of_the_contract(signet, classifier, dataset):
    ran = signet("audit", dataset, "--model", classifier, "--json")
    assert ran.code == 0
    assert ran.object["findings"] == []
    assert ran.object["counts"] == {"severe": 0, "warning": 0, "note": 0}
    assert ran.object["images"] == 36
    assert ran.object["provenance"]["model"] == "tests/colours"
    assert len(ran.object["skipped"]) == 1  # label suspects: too few images


def test_a_leak_exits_with_1_is_told_shown_and_mended(signet, dataset, tmp_path):
    shutil.copy(dataset / "train" / "left" / "0.png", dataset / "test" / "left" / "same.png")
    page = tmp_path / "page.html"
    ran = signet("audit", dataset, "--model", "none", "--fix", "--report", page)
    assert ran.code == 1
    assert "severe: leak" in ran.out
    assert "train/left/0.png" in ran.out
    assert "--fix`" in ran.out
    assert "fix: 1 files left out: identical files of one truth" in ran.err
    assert "data:image/jpeg" in page.read_text("utf-8")
    table = tmp_path / "data.mended.csv"
    again = signet("audit", table, "--model", "none", "--json")
    assert again.code == 0
    assert again.object["images"] == 36
    assert signet("audit", dataset, "--model", "none", "--fix").code == 2  # the table is there
    ran = signet("audit", dataset, "--model", "none", "--fix", "--overwrite", "--json")
    assert ran.object["fixed"]["table"] == str(table)
    assert len(ran.object["fixed"]["left_out"]["identical files of one truth, of which one is kept"]) == 1


def test_files_that_are_no_images_make_it_fail(signet, dataset):
    (dataset / "train" / "left" / "x.jpg").write_bytes(b"no picture")
    ran = signet("audit", dataset, "--model", "none", "--json", "--quiet")
    assert ran.code == 1
    assert [finding["kind"] for finding in ran.object["findings"]] == ["unreadable"]
    assert ran.err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--drop-conflicts",), "add --fix"),
        (("--out", "x.csv"), "add --fix"),
        (("--fix", "--out", "x.txt"), "ends in .csv"),
        (("--model", "starterr"), "starter"),
        (("--format", "cocoo"), "coco"),
    ],
)
def test_what_is_asked_wrongly_exits_with_2(signet, dataset, words, said):
    ran = signet("audit", dataset, *words, "--offline")
    assert ran.code == 2
    assert said in ran.err


def test_a_dataset_of_boxes_is_audited_and_its_table_refused(signet, tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / "d" / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(4):
        picture = Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8))
        picture.resize((40, 40)).save(tmp_path / "d" / "images" / f"{number}.png")
        box = "0 0.5 0.5 1.5 0.5" if number == 0 else "0 0.5 0.5 0.2 0.2"
        (tmp_path / "d" / "labels" / f"{number}.txt").write_text(box)
    ran = signet("audit", tmp_path / "d", "--model", "none", "--json")
    kinds = {finding["kind"]: finding for finding in ran.object["findings"]}
    assert kinds["annotations"]["details"]["count"] == 1
    ran = signet("audit", tmp_path / "d", "--model", "none", "--fix")
    assert ran.code == 2
    assert "to_coco" in ran.err
