"""Several processes that train together: the same weights as one, and an end in words when one dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from signet.errors import BadRequest
from signet.training import train
from signet.training.ranks import ALONE, Ranks, ranks_of
from signet.training.settings import TIMED

PROGRAM = Path(__file__).with_name("several.py")
CASES = ("batchnorm", "groupnorm", "layernorm", "mixed", "one-image")
MORE = ("adapted", "frozen-stem", "thawing", "in-parts", "weighted", "watched")


def launched(images: Path, folder: Path, processes: int, names: Sequence[str]) -> list[int]:
    """Run the program in so many processes; their exit codes."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    usual = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    count = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    started = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(images), str(folder), *names],
            env={**usual, **count, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(processes)
    ]
    try:
        return [process.wait(timeout=280) for process in started]
    finally:
        for process in started:
            process.kill()


def answer(folder: Path, name: str, rank: int = 0) -> dict[str, Any]:
    """What a process wrote of a case."""
    found: dict[str, Any] = json.loads((folder / f"{name}.{rank}.json").read_text())
    return found


def apart(one: Path, other: Path, name: str) -> float:
    """The greatest difference between the last weights of two runs, and between their histories."""
    last = [
        load_file(max((folder / name).glob("checkpoint-*")) / "tensors.safetensors")
        for folder in (one, other)
    ]
    weights = [key for key in last[0] if key.startswith(("module/", "best/"))]
    assert weights
    rows = [answer(folder, name)["history"] for folder in (one, other)]
    assert [row.keys() for row in rows[0]] == [row.keys() for row in rows[1]]
    figures = [[row[key] for row in found for key in row if key not in TIMED] for found in rows]
    tensors = max(float(np.abs(last[0][key].astype(float) - last[1][key]).max()) for key in weights)
    return max(tensors, float(np.abs(np.subtract(*figures)).max()))


def moved(folder: Path, name: str) -> float:
    """How far training went from where it began: the fall of the training loss."""
    losses = [row["train_loss"] for row in answer(folder, name)["history"][1:]]
    return abs(losses[0] - losses[-1])


@pytest.fixture(scope="module")
def both(images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the cases in one process, and in two."""
    folder = tmp_path_factory.mktemp("ranks")
    for processes in (1, 2):
        assert launched(images, folder / f"{processes}", processes, CASES) == [0] * processes
    return folder / "1", folder / "2"


@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_does(both: tuple[Path, Path], name: str) -> None:
    assert apart(*both, name) < 1e-6
    if name != "one-image":  # a single epoch
        assert moved(both[0], name) > 1e-4
    first, second = (answer(both[1], name, rank) for rank in (0, 1))
    aside = [
        [{key: row[key] for key in row if key not in TIMED} for row in one["history"]]
        for one in (first, second)
    ]
    assert aside[0] == aside[1]
    assert first["logits"] == second["logits"]
    assert (both[1] / name).is_dir()


@pytest.mark.large
@pytest.mark.parametrize("processes", [2, 3])
def test_so_they_do_with_every_way_of_learning(images: Path, tmp_path: Path, processes: int) -> None:
    names = (*CASES, *MORE)
    assert launched(images, tmp_path / "one", 1, names) == [0]
    assert launched(images, tmp_path / "more", processes, names) == [0] * processes
    assert {name: apart(tmp_path / "one", tmp_path / "more", name) for name in names} == pytest.approx(
        dict.fromkeys(names, 0.0), abs=1e-6
    )


@pytest.mark.large
def test_so_they_do_with_networks_of_keras(images: Path, tmp_path: Path) -> None:
    if find_spec("keras") is None:  # importing it here would choose its backend
        pytest.skip("keras is not installed")
    names = ("keras-mobilenet", "keras-mobilenetv2")  # each BatchNorm keeps its statistics
    for processes in (1, 2):
        assert launched(images, tmp_path / f"{processes}", processes, names) == [0] * processes
    for name in names:
        assert apart(tmp_path / "1", tmp_path / "2", name) < min(1e-4, moved(tmp_path / "1", name))


def test_when_one_dies_the_other_says_so_and_a_resume_goes_on(
    both: tuple[Path, Path], images: Path, tmp_path: Path
) -> None:
    name = "batchnorm-dies-1-9"
    codes = launched(images, tmp_path, 2, [name])
    assert codes == [0, 9]
    told = answer(tmp_path, name)
    assert told["error"] == "ProcessLost"
    assert "another process that trains with this one has ended" in told["message"]
    left = sorted(path.name for path in (tmp_path / name).iterdir())
    assert left
    assert all(path.startswith("checkpoint-") for path in left)
    # With another number of processes: it is the same run.
    assert launched(images, tmp_path, 1, [name]) == [0]
    for ending in ("", ".0.json"):
        (tmp_path / f"{name}{ending}").rename(tmp_path / f"batchnorm{ending}")
    assert apart(both[0], tmp_path, "batchnorm") < 1e-6


@pytest.mark.large
def test_when_the_first_dies_the_others_end_too(images: Path, tmp_path: Path) -> None:
    name = "batchnorm-dies-0-7"
    assert launched(images, tmp_path, 2, [name]) == [9, 0]
    assert answer(tmp_path, name, 1)["error"] == "ProcessLost"
    assert launched(images, tmp_path, 2, [name]) == [0, 0]  # resumed; what is left has fewer steps than that
    assert len(answer(tmp_path, name)["history"]) == 4


def test_statistics_of_batches_are_refused_in_several_processes() -> None:
    from signet.training.freezing import refuse_shared

    refuse_shared({"stem.1": "frozen", "body.1": "adapt"}, 2)
    words = r"with 2 processes, got 'stem\.1' and 1 more with 'batch'.*Keep them .*or train in one process"
    with pytest.raises(BadRequest, match=words):
        refuse_shared({"stem.1": "batch", "body.1": "re-estimated"}, 2)


def test_processes_that_nobody_started_are_refused(
    tiny: ModuleType, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    settings = tiny.settings(processes=2, batchnorm="frozen")
    with pytest.raises(BadRequest, match=r"expected 2 that were started together, got 1\. Start them with"):
        train(tiny.network(), tiny.data_in(images), settings, folder=tmp_path, resume=False)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(BadRequest, match="expected 2 that were started together, got 3"):
        ranks_of(2, "cpu")
    with pytest.raises(BadRequest, match="processes"):
        tiny.settings(processes=0)
    assert ranks_of(1, "cpu") is ALONE


@pytest.mark.parametrize("count", [0, 1, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_all_of_a_step_in_order(count: int, size: int) -> None:
    indices = np.arange(count) + 10
    shares = [Ranks(rank, size).share(indices) for rank in range(size)]
    assert np.concatenate([part for part, _ in shares]).tolist() == indices.tolist()
    assert max(own for _, own in shares) - min(own for _, own in shares) <= 1


def test_a_share_takes_in_what_its_last_image_is_mixed_with() -> None:
    indices = np.array([4, 7, 1, 9, 3])
    assert [Ranks(rank, 2).share(indices, 1)[0].tolist() for rank in (0, 1)] == [[4, 7, 1, 9], [9, 3, 4]]
    assert [Ranks(rank, 2).share(indices, 1)[1] for rank in (0, 1)] == [3, 2]
    assert Ranks().share(indices, 1)[0].tolist() == indices.tolist()


def test_what_processes_of_a_machine_share_is_dealt_among_them(tiny: ModuleType) -> None:
    settings = tiny.settings(threads=5, memory_bytes=900, processes=2)
    own = Ranks(1, 2, 2, torch.device("cpu")).own(settings)
    assert (own.threads, own.memory_bytes, own.batch) == (2, 450, settings.batch)
    assert Ranks(1, 2, 4).own(tiny.settings(threads=1)).threads == 1
    # Neither their number nor what each has is another run.
    assert settings.deciding() == tiny.settings(threads=5, memory_bytes=900).deciding()


def test_alone_everything_is_as_it_was_given() -> None:
    assert ALONE.summed([1.5, 2]) == [1.5, 2]
    assert ALONE.told({"a": None}) == {"a": None}
    assert ALONE.gathered([{"x": np.ones(2)}], 1)[0]["x"].tolist() == [1, 1]
    layer = torch.nn.Linear(2, 1)
    ALONE.add_gradients(list(layer.parameters()))
    assert layer.weight.grad is None
