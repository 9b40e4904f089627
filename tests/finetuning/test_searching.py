"""The search within a time: what is tried, that it is repeatable and resumable, and that the best goes on."""

from __future__ import annotations

import dataclasses
import re
import types
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.cli.live import Live
from signet.cli.terminal import Terminal
from signet.errors import BadRequest, CheckFailed, Diverged
from signet.finetuning import searching
from signet.finetuning.plans import Plan
from signet.finetuning.searching import Rungs, rungs_within, searched, settings_to_try, words_of
from signet.finetuning.strategies import check_recipe
from signet.finetuning.trained import frozen_stages
from signet.finetuning.workplace import Workplace
from signet.progress import Progress
from signet.recipes import Recipe

needs_torch = pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")


@given(seconds=st.floats(0.1, 1e5), an_epoch=st.floats(0.01, 1e3), most=st.integers(1, 60))
def test_a_search_keeps_to_its_time_and_a_third_goes_on(seconds, an_epoch, most):
    rungs = rungs_within(seconds, an_epoch, most)
    assert rungs.passes * an_epoch <= seconds * (1 + 1e-9)
    for earlier, later in zip(rungs.trials, rungs.trials[1:], strict=False):
        assert earlier == 3 * later
    for earlier, later in zip(rungs.epochs, rungs.epochs[1:], strict=False):
        assert later == 3 * earlier
    if rungs.trials:
        assert rungs.trials[-1] == 3
        assert rungs.epochs[-1] <= most
    else:
        assert 3 * an_epoch > seconds


def test_more_time_means_more_rungs():
    counts = [len(rungs_within(seconds, 1.0, 30).trials) for seconds in (2, 3, 18, 81, 324)]
    assert counts == [0, 1, 2, 3, 4]


def test_what_is_tried_follows_from_the_seed_and_begins_with_the_recipes_own():
    first, again = (settings_to_try(Recipe(), 9, (0, 3, 6)) for _ in range(2))
    assert first == again
    assert first[0] == {}
    assert first[:3] == settings_to_try(Recipe(), 3, (0, 3, 6))
    assert first != settings_to_try(Recipe(seed=1), 9, (0, 3, 6))
    assert {row["augmentation"] for row in first[1:]} <= {"none", "light", "medium"}
    assert {row["frozen_stages"] for row in first[1:]} <= {0, 3, 6}
    for row in first:
        Recipe().changed(**row)


@pytest.mark.parametrize("strategy", ["head", "lora", "scratch"])
def test_what_has_no_part_in_the_strategy_is_not_searched(strategy):
    every = [set(row) for row in settings_to_try(Recipe(), 9, (), "full")[1:]]
    found = [set(row) for row in settings_to_try(Recipe(), 9, (), strategy)[1:]]
    assert found == [names - {"backbone_rate"} for names in every]


def test_what_the_recipe_states_is_not_searched():
    recipe = Recipe(backbone_rate=3e-5, weight_decay=0.1, mixup=0.2, freeze=("stem",))
    for row in settings_to_try(recipe, 5, (0, 1))[1:]:
        assert set(row) == {"head_rate"}
    assert all("frozen_stages" not in row for row in settings_to_try(Recipe(), 5, ()))


TARGETS = np.arange(12) % 3


def job_in(folder, rungs):
    plan = Plan(
        model="m",
        dataset="d",
        labels=3,
        strategy="head",
        images={},
        trained="",
        frozen="",
        why=(),
        probe_size=None,
        epochs=9,
        search_trials=rungs.trials,
        search_epochs=rungs.epochs,
    )
    development = types.SimpleNamespace(targets=TARGETS)
    parts = types.SimpleNamespace(development=development, validation=np.arange(12))
    from signet.finetuning.jobs import Job

    return Job(None, parts, plan, Recipe(), Workplace(folder))


def logits_of(right):
    """Logits by which so many of the 12 are answered right."""
    table = np.zeros((12, 3), np.float32)
    answers = np.where(np.arange(12) < right, TARGETS, (TARGETS + 1) % 3)
    table[np.arange(12), answers] = 5
    return table


@pytest.fixture
def bench(monkeypatch):
    """Trainings that are the better the lower the head's rate is; one diverges."""
    asked = []

    def attempt(job, probe, folder):
        asked.append((job.plan.epochs, job.recipe.head_rate, folder.name))
        assert job.resume
        if job.recipe.head_rate > 2.5e-3:
            raise Diverged("diverged")
        right = int(np.clip(round(-2.5 * np.log(job.recipe.head_rate) - 8), 1, 12))
        return types.SimpleNamespace(validation_logits=logits_of(right), seconds=2.0)

    monkeypatch.setattr(searching, "attempt", attempt)
    return asked


def test_the_better_third_goes_on_and_the_best_is_trained(bench, tmp_path):
    rungs = Rungs((9, 3), (1, 3))
    job, rows, seconds = searched(job_in(tmp_path, rungs), None)
    diverged = sum(row["accuracy"] is None for row in rows)
    assert seconds == pytest.approx(2.0 * (len(rows) - diverged), abs=0.5)
    assert all("seconds" not in row for row in rows)  # the same search gives the same table
    assert [epochs for epochs, _, _ in bench] == [1] * 9 + [3] * 3
    rates = [row.get("head_rate", 1e-3) for row in rows[:9]]
    kept = {row["trial"] for row in rows[:9] if row["kept"]}
    assert kept == {row["trial"] for row in rows[9:]}
    figures = {row["trial"]: row["accuracy"] for row in rows[:9]}
    worst_kept = min(figures[trial] for trial in kept)
    assert all((figures[t] or 0) <= worst_kept for t in figures if t not in kept)
    assert sum(row["kept"] for row in rows[9:]) == 1
    assert job.recipe.head_rate == min(rates, key=lambda rate: abs(np.log(rate / min(rates))))
    lines = words_of(rows)
    assert len(lines) == 12
    assert "trial 1, 1 epochs: as the recipe says" in lines[0]
    assert not list(tmp_path.glob("search-*-*/"))


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
def test_epochs_of_trials_are_in_no_event_file_and_on_no_curve(bench, tmp_path, monkeypatch):
    """What training tells of itself is written down; what a trial tells is not."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ways = searching.attempt

    def telling(job, probe, folder):
        job.on_progress(Progress("fine-tuning", 6, 12, history=({"epoch": 0, "validation_loss": 9.0},) * 3))
        return ways(job, probe, folder)

    monkeypatch.setattr(searching, "attempt", telling)
    told = []
    live = Live(Terminal(quiet=True), tmp_path / "x.signet", title="x", tracker="tensorboard")
    job = job_in(tmp_path / "run", Rungs((3,), (2,)))
    searched(
        dataclasses.replace(job, on_progress=lambda moment: (told.append(moment), live.on_progress(moment))),
        None,
    )
    assert live.curves is None
    assert "rung 1, trial 3: fine-tuning" in {moment.stage for moment in told}
    rows = tuple({"epoch": epoch, "validation_loss": 1.0 - epoch / 4} for epoch in range(3))
    live.on_progress(Progress("fine-tuning", 12, 12, history=rows))
    live.close()
    events = EventAccumulator(str(tmp_path / "x.tensorboard"))
    events.Reload()
    assert [one.value for one in events.Scalars("validation_loss")] == [1.0, 0.75, 0.5]


def test_stages_that_a_search_chose_are_those_that_the_plan_names(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "frozen_stages", lambda *_: ("stem", "stages.0"))
    job = searching.with_settings(job_in(tmp_path, Rungs()), {"frozen_stages": 2})
    assert job.plan.stages == ("stem", "stages.0")
    assert job.plan.frozen == "stem, stages.0 (BatchNorm in evaluation mode)"
    assert job.plan.trained.endswith("the head alone")
    assert searching.with_settings(job, {"weight_decay": 0.0}).plan == job.plan


def starter_in(folder, recipe, rungs=((3,), (1,))):
    """A run that fine-tunes the starter; all its stages learn."""
    from signet.finetuning.starting import starting_point

    job = job_in(folder, Rungs(*rungs))
    plan = dataclasses.replace(job.plan, strategy="full", input_size=(64, 64))
    parts = types.SimpleNamespace(**vars(job.parts), labels=("a", "b", "c"))
    return dataclasses.replace(
        job, start=starting_point("starter", recipe), plan=plan, recipe=recipe, parts=parts
    )


@needs_torch
def test_no_trial_is_beyond_what_destroys_such_a_network(bench, tmp_path):
    recipes = (Recipe(seed=seed, frozen_stages=0) for seed in range(200))
    recipe = next(
        one
        for one in recipes
        if any(row.get("backbone_rate", 0) > 3e-4 for row in settings_to_try(one, 9, ()))
    )
    rungs = ((9,), (1,))
    job = starter_in(tmp_path / "bounded", recipe, rungs)
    _, rows, _ = searched(job, None)
    assert max(row.get("backbone_rate", 0) for row in rows) == 3e-4
    (said, *_) = [row["limited"] for row in rows if "limited" in row]
    assert re.fullmatch(r"backbone_rate lowered from 0\.0003[12], beyond the limit 0\.0003", said)
    assert any(said in line for line in words_of(rows))
    insisting = starter_in(tmp_path / "insisting", recipe.changed(allow_rate=True), rungs)
    _, rows, _ = searched(insisting, None)
    assert max(row.get("backbone_rate", 0) for row in rows) > 3e-4
    assert not any("limited" in row for row in rows)


@needs_torch
def test_a_stated_rate_is_asked_again_where_a_trial_lets_more_stages_learn(tmp_path):
    job = starter_in(tmp_path, Recipe(backbone_rate=1e-2, frozen_stages=99))
    few = frozen_stages(job.start, "full", job.recipe)
    job = dataclasses.replace(job, plan=dataclasses.replace(job.plan, stages=few))
    changes = {"frozen_stages": 0, "weight_decay": 0.1}
    kept, said = searching._within_limits(job, changes)
    assert kept == {"weight_decay": 0.1}
    assert said == "not frozen_stages 0, with which 0.01 is beyond the limit 0.0003"
    assert searching._within_limits(job, kept) == (kept, "")


def test_an_interrupted_search_goes_on_where_it_was(bench, tmp_path, monkeypatch):
    rungs = Rungs((9, 3), (1, 3))
    straight = searched(job_in(tmp_path / "straight", rungs), None)
    bench.clear()
    ways = searching.attempt

    def dying(job, probe, folder):
        if len(bench) == 5:
            raise KeyboardInterrupt
        return ways(job, probe, folder)

    with monkeypatch.context() as patch:
        patch.setattr(searching, "attempt", dying)
        with pytest.raises(KeyboardInterrupt):
            searched(job_in(tmp_path / "killed", rungs), None)
    resumed = searched(job_in(tmp_path / "killed", rungs), None)
    assert len(bench) == 12
    assert resumed.tried == straight.tried
    assert resumed.seconds == pytest.approx(straight.seconds, abs=0.5)
    assert resumed[0].recipe == straight[0].recipe


def test_where_all_diverge_the_recipes_own_settings_stay(tmp_path, monkeypatch):
    def diverge(*_):
        raise Diverged("diverged")

    monkeypatch.setattr(searching, "attempt", diverge)
    job, rows, _ = searched(job_in(tmp_path, Rungs((3,), (2,))), None)
    assert job.recipe == Recipe()
    assert all("diverged" in line for line in words_of(rows))


def test_what_no_settings_would_mend_ends_the_search(tmp_path, monkeypatch):
    def refuse(*_):
        raise CheckFailed("training: something that is frozen has moved")

    monkeypatch.setattr(searching, "attempt", refuse)
    with pytest.raises(CheckFailed, match="frozen has moved"):
        searched(job_in(tmp_path, Rungs((3,), (2,))), None)


def test_without_rungs_nothing_is_tried(tmp_path):
    job = job_in(tmp_path, Rungs())
    assert searched(job, None) == (job, (), 0.0)
    again = Plan.from_dict(dataclasses.replace(job.plan, search_trials=(9, 3)).to_dict())
    assert again.search_trials == (9, 3)


def test_a_probe_has_nothing_to_search():
    with pytest.raises(BadRequest, match="whose strength is searched anyway"):
        check_recipe(Recipe(strategy="probe", search_seconds=60), own_head=False)
