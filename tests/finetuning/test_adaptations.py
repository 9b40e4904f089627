"""What a network becomes: pace, frozen stages, and detectors of every kind with other labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from signet.boxes import Boxes  # noqa: E402
from signet.datasets import Dataset, Entry  # noqa: E402
from signet.datasets.annotations import Objects  # noqa: E402
from signet.datasets.dataset import boxes_of, instances_of  # noqa: E402
from signet.errors import BadRequest, HubError  # noqa: E402
from signet.finetuning.adaptations import Pace, beginning_words, frozen_stages  # noqa: E402
from signet.finetuning.census import census  # noqa: E402
from signet.finetuning.dealing import Dealt  # noqa: E402
from signet.finetuning.detector_networks import smallest_anchor  # noqa: E402
from signet.finetuning.detectors import adaptation  # noqa: E402
from signet.finetuning.starting import starting_point  # noqa: E402
from signet.masks import Mask  # noqa: E402
from signet.networks import ModuleSource, Pretrained  # noqa: E402
from signet.recipes import Recipe  # noqa: E402
from signet.training import ObjectData  # noqa: E402
from signet.untrained import untrained  # noqa: E402

LABELS = ("cat", "dog")
SIZE = (64, 64)


def rows_of(task: Any, boxes: list[list[float]]) -> Dataset[Any]:
    """Four rows that state the same objects; none of their files is there."""
    xyxy = np.array(boxes, np.float64).reshape(-1, 4)
    masks = []
    for left, top, right, bottom in xyxy.astype(int).tolist():
        pixels = np.zeros(SIZE, np.bool_)
        pixels[top:bottom, left:right] = True
        masks.append(Mask.of(pixels))
    objects = Objects(
        xyxy=xyxy,
        indices=np.arange(len(xyxy)) % len(LABELS),
        crowd=np.zeros(len(xyxy), np.bool_),
        areas=(xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]),
        size=SIZE,
        shapes=tuple(masks),
    )
    entry = Entry(Path("none.png"), objects.classes, annotation=objects)
    return Dataset(
        entries=(entry,) * 4,
        labels=LABELS,
        source="made",
        format="coco",
        root=Path(),
        truth_of=boxes_of if task == "detect" else instances_of,
        task=task,
        exclusive=False,
    )


@dataclasses.dataclass(frozen=True)
class Parts:
    """What of `Dealt` an adaptation looks at."""

    training: Dataset[Any]
    validation: Dataset[Any]
    digests: tuple[str, ...] = ("a", "b")
    typical: tuple[int, int] = SIZE


def parts_of(task: Any) -> Any:
    rows = rows_of(task, [[4, 4, 28, 28], [30, 8, 60, 50]])
    return Parts(rows.subset([0, 1, 2]), rows.subset([3]))


def with_weights(found: Pretrained) -> Pretrained:
    """As if the random weights were those of a file."""
    (source,) = found.networks
    assert isinstance(source, ModuleSource)
    return dataclasses.replace(found, networks=(dataclasses.replace(source, weights=Path("weights")),))


@pytest.mark.parametrize(
    ("name", "task", "new"),
    [
        ("signet/yolov8n-seg", "instances", "head.detect.classes.0.2.weight"),
        ("signet/yolov9t", "detect", "head.classes.0.2.weight"),
        ("signet/yolov7-tiny", "detect", "head.convs.0.weight"),
        (
            "torchvision/fasterrcnn_mobilenet_v3_large_320_fpn.coco_v1",
            "detect",
            "network.roi_heads.box_predictor.cls_score.weight",
        ),
    ],
)
def test_a_detector_takes_other_labels_and_has_a_loss_and_an_answer_for_them(
    name: str, task: Any, new: str
) -> None:
    found = with_weights(untrained(name))
    parts = parts_of(task)
    made = adaptation(found, parts, Recipe())
    assert isinstance(made.data(), ObjectData)
    assert made.size == SIZE
    assert ("its 9 anchors are kept" in " ".join(made.why)) is (name == "signet/yolov7-tiny")
    assert any(parameter.startswith(made.head) for parameter, _ in made.module.named_parameters())
    assert new in made.module.state_dict()
    images = torch.zeros(2, 3, *SIZE)
    losses = made.module.train().losses(images, [made.example] * 2)
    assert all(torch.isfinite(part) for part in losses.values())
    frozen = frozen_stages(made.module, made.body, Recipe())
    assert frozen
    assert all(stage.startswith(f"{made.body}.") for stage in frozen)
    assert frozen_stages(made.module, made.body, Recipe(strategy="scratch")) == ()
    assert len(frozen_stages(made.module, made.body, Recipe(strategy="head"))) > len(frozen)


@given(
    images=st.integers(1, 100_000),
    training=st.integers(1, 1_000_000),
    least=st.integers(1, 20),
    more=st.integers(0, 50),
)
def test_epochs_stay_within_their_limits(images: int, training: int, least: int, more: int) -> None:
    pace = Pace(batch=2, images=images, least=least, most=least + more)
    assert least <= pace.epochs(training) <= least + more
    if least < images / training < least + more:
        assert abs(pace.epochs(training) * training - images) <= training / 2


def test_the_plan_says_what_becomes_of_statistics_averages_and_rates() -> None:
    found = untrained("signet/yolov8n-seg")
    assert beginning_words(found, Recipe(), "segment") == (
        "BatchNorm of what is pretrained keeps its statistics, that of new layers gathers its own",
    )
    for changes in ({}, {"strategy": "scratch"}, {"batchnorm": "batch"}):
        said = beginning_words(found, Recipe(averaging="swa", **changes), "segment")
        assert sum("stochastic weight averaging" in line for line in said) == 1
    assert "decay of 0.9" in beginning_words(found, Recipe(ema=0.9), "segment")[-1]
    assert len(beginning_words(found, Recipe(ema=0.9), "detect")) == 1  # of objects the head's own reasons do
    said = beginning_words(found, Recipe(strategy="scratch", backbone_rate=1e-5), "detect")
    assert "backbone_rate of the recipe: no part of strategy scratch" in said[-1]


def test_stages_that_are_named_are_not_said_to_be_the_first() -> None:
    found, parts = with_weights(untrained("signet/yolov8n")), parts_of("detect")
    first = "the first 2 stages stay: edges and colours are those of any pictures"
    made = adaptation(found, parts, Recipe())
    assert first in made.why
    name = frozen_stages(made.module, made.body, Recipe())[0].removeprefix(f"{made.body}.")
    assert first not in adaptation(found, parts, Recipe(freeze=(name,))).why


def test_the_recipe_decides_before_the_pace() -> None:
    pace = Pace(batch=8, images=100, patience=15, mosaic=0.5, ema=0.9)
    assert pace.of(Recipe()) == pace
    stated = pace.of(Recipe(batch=3, patience=0, mosaic=0.0, ema=0.0))
    assert (stated.batch, stated.patience, stated.mosaic, stated.ema) == (3, 0, 0.0, 0.0)
    # Whole pictures are asked for.
    assert pace.of(Recipe(augmentation="none")).mosaic == 0


def test_anchors_are_fitted_from_scratch_and_kept_where_they_are_learned() -> None:
    rows = rows_of("detect", [[4, 4, 12, 12], [30, 8, 60, 50], [1, 1, 5, 21], [8, 40, 38, 46]])
    parts: Any = Parts(rows.subset([0, 1, 2]), rows.subset([3]))
    scratch = Recipe(strategy="scratch", input_size=64)
    made = adaptation(untrained("signet/yolov7-tiny"), parts, scratch)
    shapes = {tuple(row) for row in made.module.head.shapes.round(decimals=3).tolist()}
    assert shapes >= {(4, 20), (8, 8), (30, 6), (30, 42)}
    words = " ".join(made.why)
    assert (
        "its 9 anchors are fitted to the objects (k-means): the best one overlaps an object by 1.00" in words
    )
    # Learned further they are kept, and so are those of a network that has too few objects to fit nine to.
    found = with_weights(untrained("signet/yolov7-tiny"))
    learned = dataclasses.replace(found.networks[0], build=lambda: made.module)
    again = adaptation(dataclasses.replace(found, networks=(learned,)), parts, Recipe(input_size=64))
    assert torch.equal(again.module.head.shapes, made.module.head.shapes)
    assert "its 9 anchors are kept; the best one overlaps an object by 1.00" in " ".join(again.why)
    few = adaptation(untrained("signet/yolov7-tiny"), parts_of("detect"), scratch)
    assert few.module.head.shapes[0].tolist() == [10, 13]
    assert "its 9 anchors are kept" in " ".join(few.why)


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)), max_size=6
    ),
    st.sampled_from([32, 64, 128]),
)
def test_every_object_is_counted_at_the_size_at_which_it_is_shown(
    places: list[tuple[int, int, int, int]], side: int
) -> None:
    boxes = [[left, top, left + width, top + height] for left, top, width, height in places]
    rows = rows_of("detect", [[float(value) for value in box] for box in boxes])
    seen = census(rows, (side, side))
    assert seen.counts.sum() == len(seen.sides) == 4 * len(boxes)
    assert seen.most == len(boxes)
    truth = Boxes.truth(np.array(boxes, float).reshape(-1, 4), np.zeros(len(boxes), np.int64), LABELS, SIZE)
    assert np.allclose(seen.sides.reshape(4, -1), np.sqrt(truth.areas) * side / 64, rtol=1e-5)
    assert smallest_anchor(seen) in (8, 16, 32)
    assert seen.words


def test_regions_that_stand_for_many_are_no_targets_and_it_is_said() -> None:
    rows = rows_of("detect", [[2.0, 2.0, 12.0, 12.0], [20.0, 20.0, 30.0, 30.0]])
    entries = tuple(
        dataclasses.replace(
            entry, annotation=dataclasses.replace(entry.annotation, crowd=np.array([False, True]))
        )
        for entry in rows.entries
    )
    seen = census(dataclasses.replace(rows, entries=entries), (64, 64))
    assert (seen.counts.sum(), seen.crowds) == (4, 4)
    assert "marked as difficult: 4. They are no targets" in " ".join(seen.warnings)
    assert census(rows, (64, 64)).crowds == 0


def test_from_scratch_a_name_needs_no_weights() -> None:
    scratch = Recipe(strategy="scratch")
    assert starting_point("signet/yolov8n", scratch, offline=True).where == "untrained"
    assert starting_point("timm/resnet18.a1_in1k", scratch, offline=True).where == "untrained"
    assert starting_point("starter", scratch, offline=True).where == "package"
    with pytest.raises(HubError) as caught:
        starting_point("signet/yolov8n", Recipe(), offline=True)
    assert "--strategy scratch" in " ".join(caught.value.__notes__)


def test_random_weights_are_not_pretended_to_be_pretrained() -> None:
    with pytest.raises(BadRequest, match="no weights of it to begin with"):
        adaptation(untrained("signet/yolov8n"), parts_of("detect"), Recipe())


def test_the_parts_that_are_looked_at_are_those_of_a_deal() -> None:
    assert {field.name for field in dataclasses.fields(Parts)} - {"typical"} < {
        field.name for field in dataclasses.fields(Dealt)
    }
