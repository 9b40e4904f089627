"""Weight files that hold none, or not all, or something else: refused in words, and nothing is run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from signet.errors import BadInput, MissingExtra
from signet.zoos import state_files

torch = pytest.importorskip("torch")


def saved(stated: Any, place: Path) -> Path:
    if place.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(stated, place)
    else:
        torch.save(stated, place)
    return place


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    return {"a.weight": torch.ones(30, 40), "a.bias": torch.ones(30)}


def test_a_pickled_model_gives_its_tensors_and_says_so(tmp_path: Path) -> None:
    place = tmp_path / "whole.pt"
    torch.save(torch.nn.Linear(2, 2), place)
    found = state_files.read(place)
    assert found.shapes == {"weight": (2, 2), "bias": (2,)}
    assert found.remarks == ("a pickled model: its tensors were taken, and nothing of it was run",)


def test_a_pickled_object_without_tensors_is_refused_with_the_way_out(tmp_path: Path) -> None:
    place = tmp_path / "whole.pt"
    torch.save(torch.nn.ReLU(), place)
    with pytest.raises(BadInput, match=r"is never run: .* save module\.state_dict\(\) instead"):
        state_files.read(place)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_refused(
    suffix: str, part: float, state: dict[str, Any], tmp_path: Path
) -> None:
    place = saved(state, tmp_path / f"mine{suffix}")
    data = place.read_bytes()
    place.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(BadInput, match="it cannot be read"):
        state_files.read(place)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ([1, 2], "got a list"),
        ({"epoch": 3}, "got an object with epoch"),
        ({"a.weight": torch.ones(2, dtype=torch.int8)}, "quantised network"),
        ({}, "expected tensors by name"),
    ],
)
def test_what_holds_no_weights_is_refused(stated: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words):
        state_files.read(saved(stated, tmp_path / "mine.pt"))


def test_without_torch_its_own_files_are_not_read_and_the_others_are(
    state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, safe = saved(state, tmp_path / "mine.pt"), saved(state, tmp_path / "mine.safetensors")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'signet\[train\]'"):
        state_files.read(own)
    assert state_files.read(safe).shapes == {"a.weight": (30, 40), "a.bias": (30,)}
