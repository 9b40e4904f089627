"""The folder of a run: resumed by the same run only, never by two at once, never half a file."""

from __future__ import annotations

import numpy as np
import pytest

from signet.errors import BadDataset, BadInput, BadRequest, CheckFailed, SignetError
from signet.finetuning.workplace import CHECKPOINTS, LEARNED, Workplace, was_sealing, workplace

IDENTITY = {"model": "abc", "recipe": {"epochs": 3, "strengths": (1.0, 0.1)}}


def opened(tmp_path, identity=IDENTITY, *, resume=False, overwrite=False):
    return workplace(tmp_path / "x.signet", identity, resume=resume, overwrite=overwrite)


def test_a_step_is_done_once_and_read_again(tmp_path):
    count = []

    def make():
        count.append(1)
        return {"weights": np.eye(3, dtype=np.float32), "steps": np.array(7)}

    with opened(tmp_path) as work:
        first = work.arrays("probe", make)
    with opened(tmp_path, resume=True) as work:
        second = work.arrays("probe", make)
    assert len(count) == 1
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        assert array.shape == second[name].shape


def test_values_come_back_as_plain_json_also_the_first_time(tmp_path):
    with opened(tmp_path) as work:
        first = work.values("plan", lambda: {"stages": ("a", "b"), "size": (3, 4)})
    with opened(tmp_path, resume=True) as work:
        assert work.values("plan", dict) == first == {"stages": ["a", "b"], "size": [3, 4]}


def test_a_broken_step_is_done_again(tmp_path):
    with opened(tmp_path) as work:
        work.arrays("probe", lambda: {"a": np.zeros(2)})
        (work.folder / "probe.safetensors").write_bytes(b"\x00" * 9)
        (work.folder / "plan.json").write_bytes(b"{")
    with opened(tmp_path, resume=True) as work:
        assert work.arrays("probe", lambda: {"a": np.ones(2)})["a"].tolist() == [1, 1]
        assert work.values("plan", lambda: {"b": 1}) == {"b": 1}


class Telling:
    """The first of two processes, and what it tells the other."""

    leads, size = True, 2

    def __init__(self):
        self.heard = []

    def told(self, value):
        self.heard.append(value)
        return value


def test_of_a_step_that_all_make_the_others_hear_what_was_readable(tmp_path):
    """A broken file must not be announced: the others would wait for its values while the first trains."""
    told = Telling()
    work = Workplace(tmp_path, told)
    (tmp_path / "search-0-0.json").write_bytes(b"{")
    assert work.values("search-0-0", lambda: {"accuracy": 0.5}, together=True) == {"accuracy": 0.5}
    assert told.heard == [None]
    assert work.values("search-0-0", dict, together=True) == {"accuracy": 0.5}
    assert told.heard == [None, {"accuracy": 0.5}]


def test_without_resume_one_begins_anew(tmp_path):
    with opened(tmp_path) as work:
        work.values("plan", lambda: {"old": True})
    with opened(tmp_path) as work:
        assert work.values("plan", lambda: {"old": False}) == {"old": False}


WORTH = [
    f"{CHECKPOINTS}/checkpoint-000001",
    f"fold-2/{CHECKPOINTS}/checkpoint-000001",
    "random/checkpoint-000001",
    "search-1-0/checkpoint-000001",
    "search-1-0.json",
]


@pytest.mark.parametrize("name", WORTH)
def test_hours_of_training_are_not_thrown_away_unasked(tmp_path, name):
    with opened(tmp_path) as work:
        (work.folder / name).mkdir(parents=True)
    with pytest.raises(BadRequest, match="--resume"), opened(tmp_path):
        pass
    with opened(tmp_path, overwrite=True) as work:
        assert not (work.folder / name).exists()


def test_a_folder_without_a_checkpoint_is_nothing_to_go_on_from(tmp_path):
    with opened(tmp_path) as work:
        work.training.mkdir()
    with opened(tmp_path) as work:
        assert not work.training.exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({**IDENTITY, "model": "abd"}, "model was 'abc', is 'abd'"),
        ({**IDENTITY, "recipe": {"epochs": 4, "strengths": (1.0, 0.1)}}, r"recipe \(epochs was 3, is 4\)"),
        ({**IDENTITY, "data": "new"}, "data was None, is 'new'"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, changed, words):
    with opened(tmp_path):
        pass
    with pytest.raises(BadRequest, match=words), opened(tmp_path, changed, resume=True):
        pass


def test_killed_before_the_record_was_written_it_begins(tmp_path):
    (tmp_path / ".x.signet.run").mkdir()
    with opened(tmp_path, resume=True) as work:
        assert (work.folder / "run.json").is_file()


def test_two_processes_do_not_share_one(tmp_path):
    with opened(tmp_path), pytest.raises(SignetError, match="in use by another process"), opened(tmp_path):
        pass


def test_it_is_hidden_beside_the_result_and_removed(tmp_path):
    with opened(tmp_path) as work:
        assert work.folder == tmp_path / ".x.signet.run"
        work.remove()
    assert not list(tmp_path.iterdir())


def failing(tmp_path, error, *, trained, resume=False):
    with opened(tmp_path, resume=resume) as work:
        work.values("plan", lambda: {"a": 1})
        if trained:
            (work.folder / trained).mkdir(parents=True)
        raise error


@pytest.mark.parametrize("trained", WORTH)
@pytest.mark.parametrize("kind", [ValueError, BadInput, KeyboardInterrupt])
def test_what_was_trained_stays_when_something_fails_and_the_error_says_how_to_go_on(tmp_path, kind, trained):
    with pytest.raises(kind) as caught:
        failing(tmp_path, kind("gone"), trained=trained)
    (note,) = caught.value.__notes__
    assert "--resume" in note
    assert "x.signet" in note
    with opened(tmp_path, resume=True) as work:
        assert work.values("plan", dict) == {"a": 1}


def test_without_training_an_error_leaves_nothing(tmp_path):
    with pytest.raises(BadDataset):
        failing(tmp_path, BadDataset("one class"), trained=None)
    assert not list(tmp_path.iterdir())


def test_a_check_that_said_no_is_not_worth_resuming(tmp_path):
    error = CheckFailed("the loss is no number")
    with pytest.raises(CheckFailed):
        failing(tmp_path, error, trained=WORTH[0])
    assert not list(tmp_path.iterdir())
    assert not getattr(error, "__notes__", [])


def test_weights_that_have_learned_outlive_a_check_of_their_graph(tmp_path):
    with opened(tmp_path) as work:
        (work.folder / LEARNED).write_bytes(b"weights")
    with pytest.raises(CheckFailed) as caught:
        failing(tmp_path, CheckFailed("the graph answers otherwise"), trained=WORTH[0], resume=True)
    assert "--resume" in caught.value.__notes__[0]
    with opened(tmp_path, resume=True) as work:
        assert (work.folder / LEARNED).read_bytes() == b"weights"


def test_a_refusal_to_begin_harms_nothing_of_an_interrupted_run(tmp_path):
    with opened(tmp_path) as work:
        (work.training / "checkpoint-000001").mkdir(parents=True)
    for values in ({}, {"identity": {"model": "other"}, "resume": True}):
        with pytest.raises(BadRequest), opened(tmp_path, **values):
            pass
    assert (tmp_path / ".x.signet.run" / CHECKPOINTS / "checkpoint-000001").is_dir()


def test_a_kill_while_sealing_is_told_from_an_error_while_sealing(tmp_path):
    target = tmp_path / "x.signet"
    with opened(tmp_path) as work:
        work.begin_sealing()
    assert was_sealing(target)
    with pytest.raises(OSError, match="full"):
        failing(tmp_path, OSError("the disk is full"), trained=WORTH[0], resume=True)
    assert not was_sealing(target)
