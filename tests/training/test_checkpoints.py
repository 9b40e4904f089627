"""Checkpoints on disk: two generations, whole or not there, nothing pickled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from signet.errors import BadInput, BadRequest
from signet.training.checkpoints import FORMAT, Checkpoint, clear_leftovers, forget, newest, present, save

MARK = {"data": "a", "settings": "b"}


def some(value: float) -> Checkpoint:
    return Checkpoint({"x": torch.full((3,), value)}, {"value": value, "third": 1 / 3})


def test_the_newest_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    assert newest(folder, MARK) is None
    assert not present(folder)
    for value in (1.0, 2.0, 3.0):
        save(folder, some(value), MARK)
    found = newest(folder, MARK)
    assert found is not None
    assert torch.equal(found.tensors["x"], torch.full((3,), 3.0))
    assert found.facts == {"value": 3.0, "third": 1 / 3}
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-000002", "checkpoint-000003"]
    names = sorted(path.name for path in (folder / "checkpoint-000003").iterdir())
    assert names == ["state.json", "tensors.safetensors"]


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damage_to_the_newest_falls_back_on_the_one_before(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, some(1.0), MARK)
    save(tmp_path, some(2.0), MARK)
    path = tmp_path / "checkpoint-000002" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    match damage:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "flip":
            path.write_bytes(data)
        case _:
            path.unlink()
    found = newest(tmp_path, MARK)
    assert found is not None
    assert found.facts["value"] == 1.0
    save(tmp_path, some(3.0), MARK)  # never under the number of the damaged one
    again = newest(tmp_path, MARK)
    assert again is not None
    assert again.facts["value"] == 3.0


def test_nothing_readable_says_what_to_do(tmp_path: Path) -> None:
    save(tmp_path, some(1.0), MARK)
    (tmp_path / "checkpoint-000001" / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match=r"damaged ones \(checkpoint-000001: .*Start again without resuming"):
        newest(tmp_path, MARK)


def test_another_run_and_another_format_are_refused(tmp_path: Path) -> None:
    save(tmp_path, some(1.0), MARK)
    with pytest.raises(BadRequest, match="one with other data and settings"):
        newest(tmp_path, {"data": "x", "settings": "y"})
    path = tmp_path / "checkpoint-000001" / "state.json"
    path.write_text(path.read_text().replace(f'"format": {FORMAT}', '"format": 9'))
    with pytest.raises(BadRequest, match=f"expected a checkpoint of format {FORMAT}, got 9"):
        newest(tmp_path, MARK)


def test_what_a_killed_run_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 3.0):
        save(tmp_path, some(value), MARK)
    half_deleted = tmp_path / "checkpoint-000001"
    half_deleted.mkdir()
    (half_deleted / "tensors.safetensors").write_bytes(b"x")
    half_written = tmp_path / ".checkpoint-000004.0123abcd.part"
    half_written.mkdir()
    others = [tmp_path / "checkpoint-notes", tmp_path / ".mine.part", tmp_path / "data"]
    for other in others:
        other.mkdir()
    clear_leftovers(tmp_path)
    assert not half_deleted.exists()
    assert not half_written.exists()
    assert len([path for path in tmp_path.iterdir() if path not in others]) == 2
    forget(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)
