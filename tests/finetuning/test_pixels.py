"""Fine-tuning on labelled pixels, from the dataset to a verified seal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("segmentation_models_pytorch")

from signet.datasets import Dataset, from_folder, from_masks  # noqa: E402
from signet.errors import BadDataset, BadRequest, WrongTask  # noqa: E402
from signet.evaluation import evaluate  # noqa: E402
from signet.finetuning import Adapted, RunSettings, finetune  # noqa: E402
from signet.finetuning.adapted import NOTHING_FOUND  # noqa: E402
from signet.finetuning.dealing import deal  # noqa: E402
from signet.finetuning.framing import program_for, size_for  # noqa: E402
from signet.finetuning.segmenters import CLASS_PARTS, HEAD_PARTS, adaptation, task_for  # noqa: E402
from signet.models import load  # noqa: E402
from signet.networks import ModuleSource  # noqa: E402
from signet.progress import Progress, silent  # noqa: E402
from signet.recipes import Recipe  # noqa: E402
from signet.resolving import resolve  # noqa: E402
from signet.untrained import untrained  # noqa: E402
from signet.verification import verify  # noqa: E402

LABELS = ("ground", "square")
RECIPE = Recipe(
    head="fpn", epochs=2, batch=2, input_size=64, threads=1, head_rate=3e-3, checkpoint_seconds=0.0
)
FURTHER = RECIPE.changed(head="auto", epochs=1)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of a bright square, and where it is."""
    folder = tmp_path_factory.mktemp("squares")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for place in range(10):
        generator = np.random.default_rng(place)
        values = np.zeros((64, 96), np.uint8)
        top, left = generator.integers(2, 30), generator.integers(2, 60)
        values[top : top + 30, left : left + 30] = 1
        pixels = generator.integers(0, 80, (64, 96, 3)) + 150 * values[..., None]
        PillowImage.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{place}.png")
        PillowImage.fromarray(values).save(folder / "masks" / f"{place}.png")
    return folder


@pytest.fixture(scope="module")
def rows(squares: Path) -> Dataset[Any]:
    return from_masks(squares, labels=LABELS)


class Stop(Exception):
    """What the test interrupts a run with."""


@pytest.fixture(scope="module")
def sealed(classifier: Path, rows: Dataset[Any], tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    """A backbone that has learned the squares; its folder holds nothing else. Not to be changed."""
    plans: list[Any] = []
    out = tmp_path_factory.mktemp("sealed") / "a.signet"
    recipe = RECIPE.changed(epochs=1)
    done = finetune(classifier, rows, out=out, recipe=recipe, run=RunSettings(on_plan=plans.append))
    assert isinstance(done, Adapted)
    assert [plan.words() for plan in plans] == [done.plan.words()]
    return done


def test_a_backbone_learns_pixels_and_is_measured_and_sealed(sealed: Adapted, rows: Dataset[Any]) -> None:
    done = sealed
    words = "\n".join(done.plan.words())
    assert "FPN head with random weights" in words
    assert "frozen: conv1, bn1, layer1" in words
    assert "64x96 pixels" in words
    assert verify(done.seal.path).ok
    with load(done.seal.path) as model:
        assert model.card.task == "segment"
        assert model.card.labels == LABELS
        assert model(rows.paths[0])[0].size == (64, 96)
        parts = deal(rows, RECIPE, silent)
        again = evaluate(model, parts.test).metrics
    assert {name: figure.value for name, figure in again.items()} == {
        name: figure.value for name, figure in done.metrics.items()
    }
    assert done.seal.manifest.training["validation"] == dict(done.validation)
    assert [path.name for path in done.seal.path.parent.iterdir()] == ["a.signet"]


def test_the_object_has_the_keys_of_the_command_contract(sealed: Adapted) -> None:
    told = json.loads(json.dumps(sealed.to_dict()))
    assert {"seal", "plan", "metrics", "probe", "seconds"} <= told.keys()
    assert told["probe"] is None


def test_a_segmenter_learns_further_from_its_seal(
    sealed: Adapted, rows: Dataset[Any], tmp_path: Path
) -> None:
    again = finetune(sealed.seal.path, rows, out=tmp_path / "b.signet", recipe=FURTHER)
    assert isinstance(again, Adapted)
    words = "\n".join(again.plan.words())
    assert "a labels pixels already: nothing of it is new" in words
    assert "trained: the last layer of its FPN head, and the other stages below it" in words
    # It begins where the other one ended.
    assert again.history[0]["validation_miou"] == sealed.validation["miou"]
    assert again.seal.manifest.training["decided"]["head_rate"] == FURTHER.backbone_rate
    card = again.seal.manifest.card
    assert card.lineage["finetuned_from"]["name"] == "a"
    assert card.lineage["parent"]["finetuned_from"]["name"] == sealed.plan.model
    assert card.origin == "a, trained further by partial"
    assert card.program == sealed.seal.manifest.card.program
    assert verify(again.seal.path).ok


@pytest.mark.parametrize("names", [("square", "ground"), ("ground", "square", "nothing")])
def test_with_other_labels_all_but_the_last_layer_is_kept(
    sealed: Adapted, rows: Dataset[Any], names: tuple[str, ...]
) -> None:
    found = resolve(sealed.seal.path)
    other = dataclasses.replace(rows, labels=names)
    made = adaptation(found, deal(other, FURTHER, silent), FURTHER)
    module_source = next(network for network in found.networks if isinstance(network, ModuleSource))
    before, after = module_source.build().state_dict(), made.module.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        new = name.startswith(CLASS_PARTS)
        assert (tensor.shape == before[name].shape and torch.equal(tensor, before[name])) is not new, name
    assert not made.kept
    assert made.head == CLASS_PARTS
    assert made.output.classes == made.spec.classes == len(names)
    assert "every layer is kept but the last" in made.why[0]
    scratch = FURTHER.changed(strategy="scratch")
    random = adaptation(found, deal(other, scratch, silent), scratch)
    assert random.head == HEAD_PARTS
    for name, tensor in random.module.state_dict().items():
        if tensor.ndim == 4 and name.startswith("network.encoder"):
            assert not torch.equal(tensor, before[name]), name


def test_a_segmenter_keeps_its_own_head(sealed: Adapted, rows: Dataset[Any]) -> None:
    found = resolve(sealed.seal.path)
    assert task_for(found, rows, FURTHER.changed(head="fpn")) == "segment"
    with pytest.raises(BadRequest, match="--head unet: a has a FPN head of its own, which it keeps"):
        task_for(found, rows, FURTHER.changed(head="unet"))


@pytest.mark.parametrize("name", ["torchvision/fcn_resnet50.coco_with_voc_labels_v1"])
def test_segmenters_of_other_libraries_are_refused(name: str, rows: Dataset[Any]) -> None:
    with pytest.raises(BadRequest, match=r"expected a model of timm.*got a network of torchvision"):
        task_for(untrained(name), rows, FURTHER.changed(strategy="scratch"))


def test_a_model_that_answers_nothing_right_is_sealed_with_a_warning(sealed: Adapted) -> None:
    assert sealed.words()[1].startswith("sealed: the weights of epoch")
    report = dataclasses.replace(sealed.report, notes=(NOTHING_FOUND,))
    poor = dataclasses.replace(sealed, validation={"ap": 0.0, "ap50": 0.0}, report=report)
    assert not poor.found
    assert poor.words()[1].startswith("sealed, but of no use as it is")
    assert f"note: {NOTHING_FOUND}" in poor.words()
    assert "of no use as it is" in poor.story().decided


@pytest.mark.large
def test_a_resumed_run_seals_the_same_weights(classifier: Path, rows: Dataset[Any], tmp_path: Path) -> None:
    done = finetune(classifier, rows, out=tmp_path / "a.signet", recipe=RECIPE)
    assert isinstance(done, Adapted)

    def on_progress(moment: Progress) -> None:
        if moment.stage == "fine-tuning" and moment.done == 4:
            raise Stop

    with pytest.raises(Stop):
        finetune(
            classifier,
            rows,
            out=tmp_path / "b.signet",
            recipe=RECIPE,
            run=RunSettings(on_progress=on_progress),
        )
    resumed = finetune(
        classifier, rows, out=tmp_path / "b.signet", recipe=RECIPE, run=RunSettings(resume=True)
    )
    assert isinstance(resumed, Adapted)
    assert resumed.history == done.history
    files = [path / "weights.safetensors" for path in (done.seal.path, resumed.seal.path)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.large
def test_from_scratch_nothing_is_pretrained_and_the_same_steps_are_taken(
    classifier: Path, rows: Dataset[Any], tmp_path: Path
) -> None:
    recipe = RECIPE.changed(strategy="scratch", epochs=1)
    done = finetune(classifier, rows, out=tmp_path / "a.signet", recipe=recipe)
    assert isinstance(done, Adapted)
    words = "\n".join(done.plan.words())
    assert "nothing is pretrained" in words
    assert "frozen: nothing" in words
    card = done.seal.manifest.card
    assert card.lineage == {
        "trained_from": "random weights, nothing pretrained",
        "architecture_of": resolve(classifier).card.name,
    }
    assert verify(done.seal.path).ok


def test_random_weights_come_from_the_seed_and_share_their_head_with_the_pretrained(
    classifier: Path, rows: Dataset[Any]
) -> None:
    found = resolve(classifier)
    states = []
    for changes in ({}, {"strategy": "scratch"}, {"strategy": "scratch"}, {"strategy": "scratch", "seed": 1}):
        recipe = RECIPE.changed(**changes)
        states.append(adaptation(found, deal(rows, recipe, silent), recipe).module.state_dict())
    pretrained, scratch, again, other = states
    for name, tensor in scratch.items():
        assert torch.equal(tensor, again[name])
        if tensor.ndim == 4:
            assert torch.equal(tensor, pretrained[name]) is name.startswith(HEAD_PARTS), name
            assert not torch.equal(tensor, other[name])


def test_parts_are_dealt_once_and_stay_apart(rows: Dataset[Any]) -> None:
    parts = deal(rows, Recipe(), silent)
    names = [set(part.names) for part in (parts.training, parts.validation, parts.test)]
    assert sum(map(len, names)) == len(set().union(*names)) == 10
    assert parts.held_out
    assert parts.typical == (64, 96)
    split = rows.with_splits(["test"] * 3 + ["train"] * 5 + ["val"] * 2)
    own = deal(split, Recipe(), silent)
    assert [len(part) for part in (own.training, own.validation, own.test)] == [5, 2, 3]
    assert not own.held_out
    with pytest.raises(BadDataset, match="at least 4 readable images"):
        deal(rows.subset([0, 1]), Recipe(), silent)


@pytest.mark.parametrize(
    ("typical", "short", "expected"),
    [((360, 480), None, (352, 480)), ((2000, 3000), None, (512, 768)), ((360, 480), 128, (128, 160))],
)
def test_the_size_keeps_the_pictures_proportions(typical: Any, short: int | None, expected: Any) -> None:
    assert size_for(short, typical) == expected


def test_the_program_shows_the_whole_picture_with_the_backbones_numbers(classifier: Path) -> None:
    program = resolve(classifier).card.program
    made = program_for(program, (64, 96))
    assert made.input_size() == (64, 96)
    assert made.steps[3:] == tuple(step for step in program.steps if step.stage in ("normalise", "layout"))


def test_what_does_not_fit_is_refused_in_words(
    classifier: Path, rows: Dataset[Any], squares: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.signet"
    with pytest.raises(BadRequest, match="a probe gives one label for an image"):
        finetune(classifier, rows, out=out, recipe=RECIPE.changed(strategy="probe"))
    with pytest.raises(BadRequest, match="--head linear: expected a head for pixels"):
        finetune(classifier, rows, out=out, recipe=RECIPE.changed(head="linear"))
    with pytest.raises(BadRequest, match="frozen_stages 1: from scratch"):
        finetune(classifier, rows, out=out, recipe=RECIPE.changed(strategy="scratch", frozen_stages=1))
    with pytest.raises(BadRequest, match="expected a model of timm"):
        finetune("starter", rows, out=out, recipe=RECIPE)
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        PillowImage.new("RGB", (8, 8)).save(tmp_path / "pictures" / name / "0.png")
    with pytest.raises(WrongTask, match="expected a label for each pixel, got one label an image"):
        finetune(classifier, from_folder(tmp_path / "pictures"), out=out, recipe=RECIPE)
    for changes, words in (
        ({"strategy": "lora"}, "--strategy lora: expected one label an image"),
        ({"head": "auto", "lora_rank": 4}, "lora_rank: expected labels of images"),
        ({"head": "mlp"}, "--head mlp: expected a head for pixels"),
    ):
        with pytest.raises((BadRequest, WrongTask), match=words):
            finetune(classifier, rows, out=out, recipe=RECIPE.changed(**changes))
    with pytest.raises(BadRequest, match="head: expected labels of images"):
        finetune(classifier, rows, out=out, recipe=RECIPE, run=RunSettings(head=lambda *_: None))
    assert not out.exists()
