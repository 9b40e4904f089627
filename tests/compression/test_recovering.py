"""What is refused before a network is cut or taught, and truth in another order of labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.compression import compress
from signet.compression.recovering import check_parts, in_order, refuse_unfit
from signet.compression.settings import DEFAULT_RECIPES, LEARNED
from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest
from signet.recipes import Recipe


@given(st.permutations(range(5)), st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_that_a_label_keeps_its_name_in_another_order(order: list[int], targets: list[int]) -> None:
    given_labels = ("a", "b", "c", "d")
    wanted = tuple("abcde"[place] for place in order)
    places = np.array(targets, np.int64)
    found = in_order(places, given_labels, wanted)
    assert [wanted[place] for place in found] == [given_labels[place] for place in targets]
    several = in_order(np.eye(4, dtype=bool)[places], given_labels, wanted)
    assert several.shape == (len(targets), 5)
    assert np.array_equal(several.argmax(1), found)
    assert (several.sum(1) == 1).all()


def test_that_a_dataset_without_parts_is_refused(place) -> None:
    with pytest.raises(BadDataset, match="no train and no test part"):
        check_parts(place.data, "pruned")


def test_that_a_seal_whose_graph_is_all_there_is_is_refused(place, tmp_path) -> None:
    rows = ["file,label,split"]
    for number, entry in enumerate(place.data.entries):
        part = "train" if number % 3 else "test"
        rows.append(f"{entry.path},{place.data.labels[entry.classes[0]]},{part}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    data = open_dataset(tmp_path / "table.csv")
    settings = place.settings(calibration=None)
    pytest.importorskip("torch_pruning")
    with pytest.raises(BadRequest, match="whose graph is all there is"):
        compress(place.seal("plain"), data, to="pruned", out=tmp_path / "a.signet", settings=settings)
    with pytest.raises(BadRequest, match="Name it with --student"):
        compress(place.seal("plain"), data, to="distilled", out=tmp_path / "a.signet", settings=settings)
    with pytest.raises(BadRequest, match="expected test with pruned, got 'train'"):
        compress(
            place.seal("plain"),
            data,
            to="pruned",
            out=tmp_path / "a.signet",
            settings=place.settings(calibration=None, split="train"),
        )


@pytest.mark.parametrize(
    ("to", "changes", "word"),
    [
        ("int8", {"calibration": None, "student": "starter"}, "student"),
        ("fp16", {"calibration": None, "macs": 0.5}, "macs"),
        ("int8", {"calibration": None, "recipe": Recipe()}, "recipe"),
        ("pruned", {}, "calibration"),
    ],
)
def test_that_settings_of_other_targets_are_refused(place, tmp_path, to, changes, word) -> None:
    with pytest.raises(BadRequest, match=f"^{word}: expected none with {to}"):
        compress(
            place.seal("plain"),
            place.data,
            to=to,
            out=tmp_path / "a.signet",
            settings=place.settings(**changes),
        )


def test_that_a_share_is_between_0_and_1(place) -> None:
    for macs in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(BadRequest, match="macs: expected a share above 0 and below 1"):
            place.settings(macs=macs)


def test_that_the_defaults_are_recipes_and_others_are_refused() -> None:
    for to in LEARNED:
        refuse_unfit(Recipe.from_dict(DEFAULT_RECIPES[to]))
    with pytest.raises(BadRequest, match="strategy, input_size of the recipe"):
        refuse_unfit(Recipe(strategy="probe", input_size=64))
