"""`choose` from end to end, on pictures whose colours tell them apart."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from signet import choose
from signet.choosing import ChooseSettings, Limits, choosing, sources
from signet.choosing.scores import NAMES
from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest, Refused

QUICK = ChooseSettings(offline=True, threads=1, least=60, inspect=False)


@pytest.fixture(scope="module")
def found(models, folder):
    return choose(open_dataset(folder), models, settings=QUICK)


def test_the_pick_is_the_best_of_the_ranking_with_all_that_is_known(found, models):
    assert found.pick == str(models[0])  # three mean colours are all that matters here
    assert found.ranking[0].name == found.pick
    assert 0 <= found.regret <= 0.05
    assert found.regret == found.picked.regret
    for row in found.ranking:
        assert 0 <= row.low <= row.expected <= row.high <= 1
        assert row.milliseconds > 0
        assert row.images >= 60
        assert 0 < row.scores["knn"] <= 1
        assert {name for name, value in row.scores.items() if value is not None} == set(NAMES)
        assert "probe: " in row.why
    assert "points less expected" in found.runner_up
    assert found.baseline == ""  # neither has an ImageNet figure
    assert 0 < found.spent <= 1
    assert (found.images, found.classes) == (120, 3)


def test_its_json_has_the_keys_of_the_contract_and_is_plain(found):
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {"pick", "regret", "ranking", "baseline"} <= set(plain)
    row = {"name", "expected", "low", "high", "milliseconds", "params", "licence", "why"}
    assert row <= set(plain["ranking"][0])
    assert plain["baseline"] is None
    assert "(pick)" in found._repr_html_()


def test_the_seed_decides_everything_but_the_clock(found, models, folder):
    again = choose(open_dataset(folder), models, settings=QUICK)
    assert [row.name for row in again.ranking] == [row.name for row in found.ranking]
    assert {row.measured for row in again.ranking} == {row.measured for row in found.ranking}


def test_one_candidate_is_taken_and_said(models, dataset):
    found = choose(dataset, [models[0]], settings=QUICK)
    assert found.pick == str(models[0])
    assert found.regret == 0
    assert found.runner_up == ""
    assert any("nothing was compared" in note for note in found.notes)


def test_a_limit_on_time_is_kept_as_measured_here(models, dataset):
    with pytest.raises(Refused, match="ms an image here, and at most"):
        choose(dataset, [models[0]], max_milliseconds=0.001, settings=QUICK)
    found = choose(dataset, [models[0]], limits=Limits(max_milliseconds=1e6), settings=QUICK)
    assert found.picked.milliseconds < 1e6


def test_a_budget_that_ends_is_said_and_what_is_known_decides(models, dataset):
    """One candidate is timed, since something must be answered; nobody runs after the time is over."""
    settings = dataclasses.replace(QUICK, budget_seconds=1e-6)
    found = choose(dataset, models, settings=settings)
    assert [row.images for row in found.ranking] == [0]
    assert any(note.startswith("The budget ended") for note in found.notes)
    assert "not measured" in found.ranking[0].why
    assert [one.why for one in found.left_out] == ["the budget ended before its time was measured"]


class Clock:
    """A clock that the test turns: each step of work takes what it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    turned = Clock()
    monkeypatch.setattr(choosing.time, "monotonic", turned)
    return turned


def test_a_budget_ends_in_the_middle_of_an_extraction_and_what_is_done_is_kept(
    fresh, models, clock, monkeypatch
):
    """Each image takes a second: after a budget of 40 nothing like all 120 has run."""
    real, computed = sources.extract, []

    def slow(model, paths, **how):
        found = real(model, paths, **how)
        computed.append(found.computed)
        clock.now += found.computed
        return found

    monkeypatch.setattr(sources, "extract", slow)
    monkeypatch.setattr(sources, "milliseconds_of", lambda *_, **__: 1000.0)
    settings = dataclasses.replace(QUICK, budget_seconds=40.0)
    found = choose(fresh, models[:1], settings=settings)
    assert 0 < sum(computed) <= 56
    assert found.picked.images == 0
    assert any(note.startswith("The budget ended") for note in found.notes)


def test_a_budget_that_is_spent_leaves_no_time_for_asking_whether_images_are_far(
    dataset, models, clock, monkeypatch
):
    def judged(features, rows):
        clock.now += 1000
        return np.ones(len(rows.targets))

    monkeypatch.setattr(choosing, "final_right", judged)
    monkeypatch.setattr(choosing.distance, "pixels_of", lambda *_: pytest.fail("the time was over"))
    found = choose(dataset, models[1:], settings=dataclasses.replace(QUICK, budget_seconds=500.0))
    assert any("Whether the domain is far was not looked at" in note for note in found.notes)


def test_what_was_killed_goes_on_where_it_was(fresh, models, monkeypatch):
    """Interrupted in the middle of the images: the second run computes only what the first had not kept."""
    real, computed, kill = sources.extract, [], [True]

    def watched(model, paths, **how):
        if kill[0]:
            paths = paths[:40]
        found = real(model, paths, **how)
        computed.append(found.computed)
        if kill[0]:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(sources, "extract", watched)
    with pytest.raises(KeyboardInterrupt):
        choose(fresh, models[:1], settings=QUICK)
    kill[0] = False
    found = choose(fresh, models[:1], settings=QUICK)
    assert computed[0] == 40
    assert sum(computed) == found.picked.images
    computed.clear()
    choose(fresh, models[:1], settings=QUICK)
    assert sum(computed) == 0


def test_severe_findings_of_the_audit_are_said_and_broken_files_left_out(models, tmp_path, tiny):
    pictures = tiny.make_pictures(tmp_path / "all", 48)
    for number, path in enumerate(pictures):
        label = tmp_path / "data" / tiny.answer(number)
        label.mkdir(parents=True, exist_ok=True)
        path.rename(label / path.name)
    (tmp_path / "data" / "red" / "broken.png").write_bytes(b"no picture")
    settings = dataclasses.replace(QUICK, inspect=True, least=20)
    found = choose(open_dataset(tmp_path / "data"), [models[0]], settings=settings)
    assert any(note.startswith("audit: ") for note in found.notes)
    assert found.images == 48


def test_boxes_are_chosen_for_by_what_is_in_them(models, tmp_path):
    folder = tmp_path / "yolo"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(15):
        pixels = generator.integers(90, 110, (64, 128, 3)).astype(np.uint8)
        pixels[8:56, 8:56, 0] += 100
        pixels[8:56, 72:120, 2] += 100
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        (folder / "labels" / f"{number}.txt").write_text("0 0.25 0.5 0.375 0.75\n1 0.75 0.5 0.375 0.75\n")
    (folder / "data.yaml").write_text("path: .\ntrain: images\nnames: [red, blue]\n")
    found = choose(open_dataset(folder), [models[0]], settings=dataclasses.replace(QUICK, least=20))
    assert (found.images, found.classes) == (30, 2)
    assert found.picked.measured > 0.95
    assert any("not how well found" in note for note in found.notes)


def test_the_train_split_is_chosen_on(models, dataset):
    splits = ["test" if place % 3 == 0 else "train" for place in range(len(dataset))]
    found = choose(dataset.with_splits(splits), [models[0]], settings=QUICK)
    assert found.images == 80
    assert "test was not looked at" in found.notes[0]


def test_what_cannot_be_chosen_on_is_refused_in_words(models, dataset):
    with pytest.raises(BadDataset, match="at least 20 labelled images of 2 classes"):
        choose(dataset.subset(range(30)), [models[0]], settings=QUICK)  # all of one class
    several = dataclasses.replace(dataset, exclusive=False)
    with pytest.raises(BadDataset, match="several classes an image"):
        choose(several, [models[0]], settings=QUICK)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0},
        {"share": 1.5},
        {"budget_seconds": 0},
        {"least": 3},
        {"small": 3},
        {"seed": -1},
        {"threads": 0},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(BadRequest, match=next(iter(wrong)).partition("_")[0]):
        ChooseSettings(**wrong)


def test_images_that_pretraining_says_nothing_of_are_called_far(models, dataset):
    """A network that sees green alone, on pictures whose colours a thumbnail tells apart."""
    found = choose(dataset, [models[1]], settings=QUICK)
    assert any(note.startswith("Far domain") for note in found.notes)
    assert found.scratch is None
    assert any("a graph, which cannot be built anew" in note for note in found.notes)


def test_images_of_which_a_network_sees_more_than_thumbnails_show_are_near(models, tmp_path):
    """A mean colour under noise so heavy that a probe on a few pixels hardly finds it."""
    generator = np.random.default_rng(0)
    for label, colour in (("red", (134, 122, 122)), ("blue", (122, 122, 134))):
        (tmp_path / label).mkdir()
        for number in range(40):
            pixels = np.array(colour) + generator.normal(0, 140, (24, 24, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / label / f"{number}.png")
    found = choose(open_dataset(tmp_path), [models[0]], settings=QUICK)
    assert found.picked.measured < 0.98  # not solved: it is the comparison that says near
    assert not any(note.startswith("Far domain") for note in found.notes)


def test_images_that_every_network_tells_apart_are_not_far(models, tmp_path):
    """Thumbnails make no mistake either: that says that the task is easy, not that the domain is far."""
    for label, shade in (("dark", 20), ("light", 230)):
        (tmp_path / label).mkdir()
        for number in range(30):
            Image.new("RGB", (24, 24), (shade + number % 9,) * 3).save(tmp_path / label / f"{number}.png")
    found = choose(open_dataset(tmp_path), [models[0]], settings=QUICK)
    assert found.picked.measured == 1
    assert not any(note.startswith("Far domain") for note in found.notes)


@pytest.mark.large
def test_a_far_domain_gets_a_row_from_scratch(shared, tmp_path):
    pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    for label in ("left", "right"):
        (tmp_path / label).mkdir()
        for number in range(30):
            pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    found = choose(open_dataset(tmp_path), [shared / "weights" / "squeezenet1_0.dc_in1k"], settings=QUICK)
    assert found.scratch is not None
    assert found.scratch.name == "from scratch (random features)"
    assert 0 < found.scratch.low < found.scratch.expected < found.scratch.high < 1


def test_no_candidate_sees_more_images_than_a_kernel_can_hold(models, dataset, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_IMAGES", 70)
    found = choose(dataset, models, settings=dataclasses.replace(QUICK, least=100))
    assert max(row.images for row in found.ranking) == 70
    assert found.images == 120
