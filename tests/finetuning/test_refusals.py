"""Settings that a dataset or a strategy has no use for are refused in words; what is asked for is planned."""

from __future__ import annotations

import pytest

from signet.datasets import open_dataset
from signet.errors import BadRequest, WrongTask
from signet.finetuning import lessons
from signet.finetuning.refusals import LEARNED_WITH, TRAINED_WITH, refuse_unfit
from signet.recipes import Recipe

OTHERS = {
    "random_baseline": True,
    "mixup": 0.2,
    "cutmix": 1.0,
    "erasing": 0.1,
    "randaugment": 5,
    "loss": "focal",
    "focusing": 1.0,
    "sampling": "balanced",
    "progressive": [96, 128],
    "kfold": 3,
    "teacher": "starter",
    "teacher_views": "once",
    "teacher_temperature": 4.0,
    "teacher_weight": 0.9,
}


@pytest.fixture(scope="module")
def labels(shapes):
    return open_dataset(shapes)


@pytest.fixture(scope="module")
def several(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    files = sorted(shapes.glob("train/*/*.png"))
    rows = [f"{path},{'a|b' if place % 2 else 'a'}" for place, path in enumerate(files)]
    (folder / "index.csv").write_text("\n".join(["file,label", *rows]))
    return open_dataset(folder)


class Truth:
    """As much of a dataset as is looked at."""

    source, exclusive = "boxes.json", False

    def __init__(self, task: str) -> None:
        self.task = task


def test_the_table_of_settings_is_whole():
    assert set(OTHERS) == set(LEARNED_WITH)


def given(name):
    """A setting, and what it is refused without."""
    needed = {"loss": "focal"} if name == "focusing" else {"teacher": "starter"} if "teacher_" in name else {}
    return {**needed, name: OTHERS[name]}


@pytest.mark.parametrize("task", ["segment", "detect", "instances"])
@pytest.mark.parametrize("name", LEARNED_WITH)
def test_pixels_and_objects_have_no_use_for_them(name, task):
    recipe = Recipe(**given(name))
    with pytest.raises(BadRequest, match=f"recipe: .*{name}.*: expected labels of images, got "):
        refuse_unfit(recipe, Truth(task))
    refuse_unfit(Recipe(), Truth(task))


@pytest.mark.parametrize("name", LEARNED_WITH)
def test_a_probe_has_no_use_for_them(labels, name):
    with pytest.raises(BadRequest, match=f"recipe: .*{name}.*: expected a strategy that trains, got 'probe'"):
        refuse_unfit(Recipe(strategy="probe", **given(name)), labels)
    refuse_unfit(Recipe(**{"teacher": "starter", **given(name)}), labels)


@pytest.mark.parametrize("name", TRAINED_WITH)
def test_epochs_and_rates_beside_a_probe_are_named_in_its_plan(labels, name):
    values = {
        "epochs": 3,
        "warmup": 0.2,
        "augmentation": "none",
        "patience": 0,
        "frozen_stages": 1,
        "input_size": 64,
    }
    recipe = Recipe(strategy="probe", **{name: values.get(name, 0.05)})
    refuse_unfit(recipe, labels)
    assert lessons.unused(recipe) == (
        f"{name} of the recipe: no part of a probe, which is a fit on features",
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"augmentation": "strong"}, "augmentation 'strong' mixes pictures"),
        ({"strengths": (0.1,)}, "strengths: expected labels of images, got labelled pixels"),
        ({"folds": 3}, "folds: expected labels of images, got labelled pixels"),
        ({"label_smoothing": 0.0}, "label_smoothing: expected labels of images, got labelled pixels"),
        ({"class_weights": "inverse"}, "class_weights 'inverse': expected 'none' or 'median'"),
    ],
)
def test_pixels_keep_their_own(given, words):
    with pytest.raises(BadRequest, match=words):
        refuse_unfit(Recipe(**given), Truth("segment"))
    refuse_unfit(Recipe(class_weights="median"), Truth("segment"))


def test_what_belongs_to_pixels_and_objects_is_refused_for_labels(labels, several):
    for data in (labels, several):
        with pytest.raises(BadRequest, match="class_weights 'median': expected labelled pixels"):
            refuse_unfit(Recipe(class_weights="median"), data)
        with pytest.raises(BadRequest, match="mosaic: expected a dataset of objects"):
            refuse_unfit(Recipe(mosaic=0.5), data)
        with pytest.raises(WrongTask, match="expected a label for each pixel"):
            refuse_unfit(Recipe(head="unet"), data)


def test_several_labels_are_not_drawn_alike_and_have_no_cross_entropy(several):
    with pytest.raises(BadRequest, match=r"sampling 'balanced': .* has several labels"):
        refuse_unfit(Recipe(sampling="balanced"), several)
    with pytest.raises(BadRequest, match=r"loss 'cross-entropy': .* has several labels"):
        refuse_unfit(Recipe(loss="cross-entropy"), several)
    refuse_unfit(Recipe(loss="focal", class_weights="inverse"), several)


def test_sizes_that_grow_end_with_the_one_that_is_sealed():
    assert Recipe(progressive=[96, 128]).input_size == 128
    assert Recipe(progressive=[96, 128], input_size=128) == Recipe(progressive=[96, 128])
    with pytest.raises(BadRequest, match="progressive ends with 128 and input_size is 160"):
        Recipe(progressive=[96, 128], input_size=160)
    with pytest.raises(BadRequest, match=r"expected sizes that grow, got \[128, 96\]"):
        Recipe(progressive=[128, 96])


def test_the_cost_of_sizes_that_grow_is_that_of_their_areas():
    recipe = Recipe(progressive=[64, 128])
    assert lessons.pace_of(recipe, 4) == pytest.approx((0.25 + 0.25 + 1 + 1) / 4)
    (line,) = lessons.growing(recipe, 4)
    assert "2 at 64, 2 at 128" in line
    assert "62 %" in line
    assert lessons.pace_of(Recipe(), 4) == 1
    assert lessons.growing(Recipe(), 4) == ()


def test_what_is_asked_for_is_said():
    assert lessons.reasons(Recipe()) == ()
    said = " ".join(
        lessons.reasons(
            Recipe(class_weights="balanced", sampling="balanced", loss="focal", augmentation="strong")
        )
    )
    for word in ("effective number", "every class is shown alike", "focal loss", "mixed"):
        assert word in said


def test_each_setting_reaches_the_training():
    pytest.importorskip("torch")
    together = {name: value for name, value in OTHERS.items() if name != "random_baseline"}
    recipe = Recipe(**together, class_weights="inverse")
    fields = lessons.lesson_of(recipe)
    objective, variation = fields["objective"], fields["variation"]
    assert (objective.loss, objective.focusing, objective.class_weights) == ("focal", 1.0, "inverse")
    assert (objective.sampling, objective.temperature, objective.teacher_weight) == ("balanced", 4.0, 0.9)
    assert variation.given == {"mixup": 0.2, "cutmix": 1.0, "erasing": 0.1, "randaugment": 5.0}
    assert fields["sizes"] == ((96, 96), (128, 128))


def test_folds_beside_kfold_are_refused(labels):
    with pytest.raises(BadRequest, match="kfold 4 and folds 3: the probe is judged by the folds of kfold"):
        refuse_unfit(Recipe(kfold=4, folds=3), labels)
    refuse_unfit(Recipe(kfold=4), labels)
