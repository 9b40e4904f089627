"""Learning labels of images: what each setting does to what is learned, and that nothing else moves."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from signet.decoding import read
from signet.errors import BadDataset, BadInput, BadRequest
from signet.preprocessing import prepare
from signet.training import Objective, Teaching, Trained, Variation, train
from signet.training.judging import validated
from signet.training.of_classes import ClassTask
from signet.training.sizing import size_in


def task(tiny: ModuleType, images: Path, data: dict[str, Any] | None = None, **changes: Any) -> ClassTask:
    return ClassTask(tiny.data_in(images, **(data or {})), tiny.settings(**changes))


def trained(
    tiny: ModuleType, images: Path, folder: Path, data: dict[str, Any] | None = None, **changes: Any
) -> Trained:
    done: Trained = train(
        tiny.network(),
        tiny.data_in(images, **(data or {})),
        tiny.settings(**changes),
        folder=folder,
        resume=False,
    )
    return done


STRONG = {"augmentation": "strong"}
MIXED = {"augmentation": "none", "variation": Variation(mixup=1.0, cutmix=1.0)}


@pytest.mark.parametrize("changes", [STRONG, MIXED])
def test_mixed_examples_are_a_function_of_seed_epoch_and_images(
    tiny: ModuleType, images: Path, changes: dict[str, Any]
) -> None:
    some, places = task(tiny, images, **changes), np.arange(6)
    first = some.examples(places, 1)
    again = task(tiny, images, **changes).examples(places, 1)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.targets, again.targets)
    other = some.examples(places, 2)
    assert not torch.equal(first.images, other.images)
    assert not torch.equal(first.targets, other.targets)
    assert first.targets.shape == (6, 1, 3)
    assert torch.allclose(first.targets.sum(2), torch.ones(6, 1))
    assert ((first.targets > 0).sum(2) == 2).any()


def test_a_level_can_be_had_without_a_part_of_it(tiny: ModuleType, images: Path) -> None:
    calm = task(tiny, images, **STRONG, variation=Variation(mixup=0.0, cutmix=0.0))
    assert ((calm.examples(np.arange(6), 1).targets > 0).sum(2) == 1).all()


@pytest.mark.parametrize("name", ["randaugment", "erasing"])
def test_what_is_laid_over_a_view_leaves_the_rest_of_it(tiny: ModuleType, images: Path, name: str) -> None:
    plain = task(tiny, images, augmentation="light").learned.views(np.arange(8), 1)
    over = task(tiny, images, augmentation="light", variation=Variation(**{name: 1.0})).learned.views(
        np.arange(8), 1
    )
    assert not np.array_equal(plain, over)
    if name == "erasing":
        same = (plain == over).all(axis=-1).mean(axis=(1, 2))
        assert (same > 0.5).all()
        assert (same < 1).all()


@pytest.mark.parametrize(
    "changes",
    [STRONG, MIXED, {"augmentation": "none", "variation": Variation(randaugment=20.0, erasing=1.0)}],
)
def test_validation_is_never_augmented(tiny: ModuleType, images: Path, changes: dict[str, Any]) -> None:
    some = task(tiny, images, **changes)
    data = some.data
    shown = some.judged.batch(np.arange(len(data.validation)), 3).numpy()
    assert np.array_equal(shown, prepare([read(path) for path in data.validation], data.program).arrays)
    with torch.no_grad():
        plain = validated(task(tiny, images, augmentation="none"), tiny.network(), 5)
        found = validated(some, tiny.network(), 5)
    assert torch.equal(found.kept["logits"], plain.kept["logits"])


@pytest.mark.parametrize(
    "changes",
    [
        STRONG,
        MIXED,
        {"objective": Objective(loss="focal", sampling="balanced", class_weights="inverse")},
        {"sizes": ((8, 8), (12, 12), (16, 16))},
    ],
)
def test_a_run_that_was_interrupted_comes_to_the_same_bits(
    tiny: ModuleType, images: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    class Stopped(Exception):
        pass

    data, how = tiny.data_in(images), tiny.settings(**changes)
    straight = train(tiny.network(), data, how, folder=tmp_path / "straight", resume=False)
    calls = 0

    def stop(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls in (4, 11, 17):
            raise Stopped

    for resume in (False, True, True):
        with pytest.raises(Stopped):
            train(tiny.network(), data, how, folder=tmp_path / "cut", resume=resume, on_progress=stop)
    resumed = train(tiny.network(), data, how, folder=tmp_path / "cut", resume=True)
    assert tiny.same(straight, resumed)


def rare(images: Path) -> dict[str, Any]:
    """Of the third class two images to learn from, and eight of the first two each; all of it judged."""
    paths = sorted(images.glob("*.png"))
    targets = np.arange(len(paths)) % 3
    chosen = np.concatenate([np.flatnonzero(targets == index)[: (8, 8, 2)[index]] for index in range(3)])
    rest = np.setdiff1d(np.arange(len(paths)), chosen)
    return {
        "train": [paths[place] for place in chosen],
        "train_targets": targets[chosen],
        "validation": [paths[place] for place in rest],
        "validation_targets": targets[rest],
    }


@pytest.mark.parametrize(
    "objective",
    [
        Objective(class_weights="inverse"),
        Objective(class_weights="balanced"),
        Objective(sampling="balanced"),
    ],
)
def test_a_rare_class_is_answered_more_often_when_it_counts_more(
    tiny: ModuleType, images: Path, tmp_path: Path, objective: Objective
) -> None:
    data = rare(images)
    changes = {
        "augmentation": "none",
        "epochs": 6,
        "head_rate": 1e-2,
        "select": "loss",
        "label_smoothing": 0.0,
    }

    def share(name: str, objective: Objective) -> float:
        folder = tmp_path / name
        train(
            module := tiny.network(),
            tiny.data_in(images, **data),
            tiny.settings(**changes, objective=objective),
            folder=folder,
            resume=False,
        )
        with torch.no_grad():
            logits = validated(task(tiny, images, data, augmentation="none"), module, 5).kept["logits"]
        return float(logits.softmax(1)[:, 2].mean())

    assert share("more", objective) > share("plain", Objective()) + 0.05


@pytest.mark.parametrize("loss", ["focal", "bce"])
def test_the_loss_that_is_asked_for_is_minimised(
    tiny: ModuleType, images: Path, tmp_path: Path, loss: str
) -> None:
    some, plain = (task(tiny, images, objective=Objective(loss=kind)) for kind in (loss, "cross-entropy"))
    module, examples = tiny.network(), some.examples(np.arange(6), 1)
    with torch.no_grad():
        losses = [float(each.loss(module, examples)) for each in (some, plain)]
    assert losses[0] != pytest.approx(losses[1], rel=0.05)
    done = trained(tiny, images, tmp_path, objective=Objective(loss=loss))
    assert done.history[-1]["train_loss"] < done.history[1]["train_loss"]


def test_an_epoch_of_a_balanced_draw_shows_small_classes_several_times_and_never_alike(
    tiny: ModuleType, images: Path
) -> None:
    some = task(tiny, images, rare(images), augmentation="light", objective=Objective(sampling="balanced"))
    shown = some.examples(np.arange(some.count), 1)
    assert shown.targets[:, 0].sum(0).tolist() == [6, 6, 6]
    views = {view.numpy().tobytes() for view in shown.images}
    assert len(views) == some.count == 18
    assert not np.array_equal(some.drawn(1), some.drawn(2))


def several(images: Path) -> dict[str, Any]:
    """Label 0 and 1 are halves of the classes, label 2 is of all that is bright in none of them."""
    targets = np.arange(40) % 3
    truth = np.stack([targets == 0, targets < 2, targets == 2], axis=1)
    truth[5] = False
    return {"train_targets": truth[:30], "validation_targets": truth[30:]}


def test_several_labels_are_learned_and_judged_by_average_precision(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    done = trained(tiny, images, tmp_path, several(images), epochs=8, augmentation="light")
    assert "validation_accuracy" not in done.history[0]
    values = [row["validation_ap"] for row in done.history]
    assert max(values) > values[0]
    assert max(values) > 0.8
    assert done.validation_logits.shape == (10, 3)
    best = done.history[done.best_epoch]
    from sklearn.metrics import average_precision_score, log_loss

    truth = several(images)["validation_targets"]
    logits = done.validation_logits.astype(np.float64)
    expected = average_precision_score(truth, logits, average="macro")
    assert best["validation_ap"] == pytest.approx(expected, abs=1e-9)
    each = [log_loss(truth[:, place], 1 / (1 + np.exp(-logits[:, place]))) for place in range(3)]
    assert best["validation_loss"] == pytest.approx(sum(each), rel=1e-5)


def test_several_labels_cannot_be_drawn_alike(tiny: ModuleType, images: Path) -> None:
    with pytest.raises(BadRequest, match="sampling: expected 'natural' where several labels"):
        task(tiny, images, several(images), objective=Objective(sampling="balanced"))


def test_validation_without_any_label_is_refused(tiny: ModuleType, images: Path) -> None:
    data = several(images)
    data["validation_targets"] = np.zeros((10, 3), bool)
    with pytest.raises(BadDataset, match="expected a label in the validation part"):
        tiny.data_in(images, **data)


def test_epochs_are_dealt_to_sizes_and_the_last_is_the_judged_one(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    some = task(tiny, images, sizes=((8, 8), (16, 16)))
    shapes = [some.examples(np.arange(3), epoch).images.shape[-1] for epoch in (1, 2, 3, 4)]
    assert shapes == [8, 8, 16, 16]
    assert some.judged.size == (16, 16)
    assert [size_in(epoch, 5, (1, 2, 3)) for epoch in range(1, 6)] == [1, 1, 2, 2, 3]
    assert [size_in(epoch, 2, (1, 2, 3)) for epoch in (1, 2)] == [2, 3]
    with pytest.raises(BadRequest, match=r"sizes: expected the last to be \(16, 16\)"):
        task(tiny, images, sizes=((16, 16), (8, 8)))
    growing = trained(tiny, images, tmp_path / "a", sizes=((8, 8), (16, 16)), augmentation="none")
    fixed = trained(tiny, images, tmp_path / "b", augmentation="none")
    assert growing.history[1]["train_loss"] != fixed.history[1]["train_loss"]


def test_a_teachers_answers_are_learned(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    """Every label is wrong, the teacher is right: who learns from it alone, answers right."""
    data = tiny.data_in(images)
    wrong = (data.train_targets + 1) % 3
    right = 6 * np.eye(3, dtype=np.float32)[data.train_targets]
    figures = []
    for weight in (0.0, 1.0):
        done = trained(
            tiny,
            images,
            tmp_path / str(weight),
            {"train_targets": wrong, "teaching": Teaching(digest="x", logits=right)},
            objective=Objective(teacher_weight=weight, temperature=1.0),
            epochs=6,
            augmentation="light",
        )
        figures.append(done.history[-1]["validation_accuracy"])
    assert figures[1] > 0.8
    assert figures[0] < 0.3


def test_a_teacher_that_is_asked_sees_the_views_of_the_learner(tiny: ModuleType, images: Path) -> None:
    seen: list[np.ndarray] = []

    def teach(views: np.ndarray) -> np.ndarray:
        seen.append(views)
        return np.zeros((len(views), 3), np.float32)

    some = task(tiny, images, {"teaching": Teaching(digest="x", teach=teach)}, **STRONG)
    shown = some.examples(np.arange(5), 2)
    assert seen[0].dtype == np.uint8
    assert torch.equal(some.learned.finished(seen[0]), shown.images)
    assert shown.targets.shape == (5, 2, 3)
    assert torch.allclose(shown.targets[:, 1], torch.full((5, 3), 1 / 3))


def test_what_is_no_teaching_is_refused(tiny: ModuleType, images: Path) -> None:
    with pytest.raises(BadInput, match="and not both"):
        tiny.data_in(images, teaching=Teaching(digest="x"))
    with pytest.raises(BadInput, match="a teacher's logits"):
        tiny.data_in(images, teaching=Teaching(digest="x", logits=np.zeros((3, 3), np.float32)))
    with pytest.raises(BadInput, match="finite"):
        tiny.data_in(images, teaching=Teaching(digest="x", logits=np.full((30, 3), np.nan, np.float32)))


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (lambda: Variation(mixup=-1), "mixup: expected a finite number of at least 0"),
        (lambda: Variation(erasing=2), "erasing: expected 0 to 1"),
        (lambda: Variation(randaugment=31), "randaugment: expected 0 to 30"),
        (lambda: Objective(loss="hinge"), "loss: expected one of 'cross-entropy', 'focal', 'bce'"),
        (lambda: Objective(class_weights="median"), "class_weights: expected one of"),
        (lambda: Objective(sampling="odd"), "sampling: expected one of"),
        (lambda: Objective(temperature=0), "temperature: expected 0.1 to 100"),
        (lambda: Objective(teacher_weight=1.5), "teacher_weight: expected 0 to 1"),
        (lambda: Objective(focusing=-1), "focusing: expected 0 to 10"),
    ],
)
def test_a_setting_out_of_range_says_what_was_expected(group: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        group()
