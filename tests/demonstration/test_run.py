"""The demo on a handful of pictures: what its page says is what is there."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from signet.demonstration import run
from signet.demonstration.digits import digits
from signet.demonstration.materials import materials
from signet.errors import AlreadyExists


@pytest.fixture(scope="module")
def few():
    """A scene of two digits, eight pictures of each to learn from and five for the test."""

    def make(seed):
        rows = [row for row in digits(seed) if row[0] in ("0", "1")]
        chosen = []
        for label in ("0", "1"):
            for split, count in (("train", 8), ("test", 5)):
                chosen += [row for row in rows if row[:2] == (label, split)][:count]
        return chosen

    return run.Scene("few", "A few digits", "Few.", make)


@pytest.fixture(scope="module")
def shown(few, tmp_path_factory):
    """The demo, run once on that scene."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "SCENES", (few,))
        out = tmp_path_factory.mktemp("demo") / "out"
        yield run.run_demo(out)
        with pytest.raises(AlreadyExists):
            run.run_demo(out)


def test_everything_it_names_is_there(shown):
    assert shown.ok
    page = shown.report.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 10
    assert str(shown.scenes[0].seal) in page
    assert shown.scenes[0].seal.is_dir()
    assert any(str(shown.report) in line for line in shown.words())


def test_the_page_names_no_folder_that_was_only_there_while_it_was_made(shown):
    assert ".part" not in shown.report.read_text(encoding="utf-8")


def test_a_seal_that_is_not_verified_is_not_called_so(shown):
    (scene,) = shown.scenes
    assert "and verified on every engine" in run._summary([scene])
    broken = dataclasses.replace(scene.verdicts[0], ok=False, first_divergence="resize")
    failed = dataclasses.replace(scene, verdicts=(broken, *scene.verdicts[1:]))
    assert "verified on every engine" not in run._summary([failed])
    (words,) = run._unverified([failed])
    assert "few is not verified on" in words
    assert "resize" in words


@pytest.mark.parametrize("make", [digits, lambda seed: materials(seed=seed)])
def test_the_same_seed_makes_the_same_pictures_and_no_picture_is_in_two_splits(make):
    first, second = make(0), make(0)
    assert [row[:2] for row in first] == [row[:2] for row in second]
    assert all(np.array_equal(one[2], two[2]) for one, two in zip(first, second, strict=True))
    parts = {split: {row[2].tobytes() for row in first if row[1] == split} for split in ("train", "test")}
    assert parts["train"]
    assert parts["test"]
    assert not parts["train"] & parts["test"]
