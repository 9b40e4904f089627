"""Where a training run stands, on disk: tensors as safetensors, all else as JSON, and nothing pickled.

A checkpoint is a folder `checkpoint-000012` that appears whole or not at all. The newest two are kept, so
that a kill at any moment, or damage to the newest, leaves one to go on from.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from signet.errors import BadInput, BadRequest
from signet.storage import digest_of, new_folder, read_json, write_json

FORMAT = 2
GENERATIONS = 2
_NAME = re.compile(r"checkpoint-(\d{6,})")
_LEFTOVER = re.compile(r"\.checkpoint-\d+\.[0-9a-f]+\.part")


class Checkpoint(NamedTuple):
    """What is written and read.

    Attributes:
        tensors: by name, contiguous, on the CPU.
        facts: plain JSON.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save(folder: Path, checkpoint: Checkpoint, fingerprint: Mapping[str, str]) -> None:
    """Write one more checkpoint, then delete those before the newest two.

    Raises:
        SignetError: the disk refuses.
    """
    earlier = _numbered(folder)
    serial = earlier[-1][0] + 1 if earlier else 1
    with new_folder(folder / f"checkpoint-{serial:06d}") as making:
        save_file(dict(checkpoint.tensors), making / "tensors.safetensors")
        facts = {
            "format": FORMAT,
            "fingerprint": dict(fingerprint),
            "tensors": digest_of(making / "tensors.safetensors"),
            "facts": dict(checkpoint.facts),
        }
        write_json(making / "state.json", facts)
    _prune(folder)


def newest(folder: Path, fingerprint: Mapping[str, str]) -> Checkpoint | None:
    """The newest whole checkpoint of this run, or None when there is none.

    Raises:
        BadRequest: it is of a run with other data, settings or network.
        BadInput: there are checkpoints, but none can be read.
    """
    broken: list[str] = []
    for _, path in reversed(_present(folder)):
        try:
            facts = read_json(path / "state.json")
            _check_same(path, facts, fingerprint)
            return Checkpoint(_tensors(path / "tensors.safetensors", facts.get("tensors")), facts["facts"])
        except (BadInput, SafetensorError, KeyError) as error:
            broken.append(f"{path.name}: {error}")
    if broken:
        raise BadInput(
            f"{folder}: expected a checkpoint that can be read, got damaged ones ({'; '.join(broken)}). "
            "Start again without resuming, in another folder or after deleting this one."
        )
    return None


def present(folder: Path) -> bool:
    """Whether a folder holds a checkpoint of any run."""
    return bool(_present(folder))


def forget(folder: Path) -> None:
    """Delete the checkpoints in a folder, and what killed runs left of unfinished ones; nothing else."""
    for _, path in _numbered(folder):
        shutil.rmtree(path, ignore_errors=True)
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Delete what a killed run left: of a checkpoint that it was writing, or of one that it was deleting."""
    for path in folder.glob(".checkpoint-*.part") if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    _prune(folder)


def _prune(folder: Path) -> None:
    """Delete all checkpoints, whole or not, that are older than the newest whole ones."""
    whole = _present(folder)[-GENERATIONS:]
    for serial, path in _numbered(folder):
        if whole and serial < whole[0][0]:
            shutil.rmtree(path, ignore_errors=True)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """(serial number, folder) of what is named as a checkpoint, oldest first."""
    found = []
    for path in folder.glob("checkpoint-*") if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and path.is_dir() and not path.is_symlink():
            found.append((int(match[1]), path))
    return sorted(found)


def _present(folder: Path) -> list[tuple[int, Path]]:
    """(serial number, folder) of the whole checkpoints, oldest first."""
    return [(serial, path) for serial, path in _numbered(folder) if (path / "state.json").is_file()]


def _tensors(path: Path, digest: object) -> Mapping[str, Tensor]:
    if digest_of(path) != digest:
        raise BadInput("its tensors are not those that were written")
    tensors: Mapping[str, Tensor] = load_file(path)
    return tensors


def _check_same(path: Path, facts: Mapping[str, Any], fingerprint: Mapping[str, str]) -> None:
    if facts.get("format") != FORMAT:
        raise BadRequest(
            f"{path}: expected a checkpoint of format {FORMAT}, got {facts.get('format')!r}. Another version "
            "of Signet wrote it: resume with that one, or start again without resuming."
        )
    written = facts.get("fingerprint")
    known = written if isinstance(written, dict) else {}
    other = [name for name, value in fingerprint.items() if known.get(name) != value]
    if other:
        raise BadRequest(
            f"{path}: expected a checkpoint of this very run, got one with other {' and '.join(other)}. "
            "Resume with what the run was started with, or start again without resuming, in another folder."
        )
