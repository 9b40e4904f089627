"""The folder of a run beside its result: what it is a run of, and what each step has come to so far."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signet import storage
from signet.arrays import Array
from signet.errors import BadInput, BadRequest, CheckFailed, SignetError
from signet.naming import shown

if TYPE_CHECKING:
    from signet.training import Ranks

_RECORD, _SEALING = "run.json", "sealing.json"
_FORMAT = 2
CHECKPOINTS = "training"
LEARNED = "tuned.safetensors"
"""The weights once they have learned, before their graph is checked."""
SEARCH = "search-"
"""How the names begin of a trial's folder of checkpoints, and of its result."""
_WORTH_KEEPING = ("**/checkpoint-*", f"{SEARCH}*.json")


class Workplace:
    """The hidden folder `.NAME.run` beside the seal to write. It is removed when the seal is written.

    Where several processes train together the first one alone reads, makes and writes; the others are told
    what a step has come to, and each of them asks for the same steps in the same order.
    """

    def __init__(self, folder: Path, ranks: Ranks | None = None) -> None:
        self.folder, self._ranks = folder, ranks

    @property
    def processes(self) -> int:
        """How many train together."""
        return 1 if self._ranks is None else self._ranks.size

    def inner(self, name: str) -> Workplace:
        """A workplace within this one, of a part of the run."""
        return Workplace(self.folder / name, self._ranks)

    @property
    def training(self) -> Path:
        """Where training keeps its checkpoints."""
        return self.folder / CHECKPOINTS

    def arrays(self, name: str, make: Callable[[], Mapping[str, Array]]) -> dict[str, Array]:
        """The arrays of a step: read where the step was done before, else made and written, whole."""
        if self._ranks is None:
            return self._arrays(name, make)
        return self._ranks.told_arrays(self._arrays(name, make) if self._ranks.leads else {})

    def values(
        self, name: str, make: Callable[[], Mapping[str, Any]], *, together: bool = False
    ) -> dict[str, Any]:
        """The plain JSON of a step, likewise.

        Args:
            name: of the step.
            make: the step.
            together: all processes make it, since it trains.
        """
        if self._ranks is None:
            return self._values(name, make)
        leads = self._ranks.leads
        if not together:
            return dict(self._ranks.told(self._values(name, make) if leads else None))
        # What is there is read before the others hear of it: a broken file is made again by all of them.
        found = self._ranks.told(self._read(name) if leads else None)
        if found is not None:
            return dict(found)
        return self._written(name, make()) if leads else dict(make())

    def _arrays(self, name: str, make: Callable[[], Mapping[str, Array]]) -> dict[str, Array]:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file, save

        path = self.folder / f"{name}.safetensors"
        if path.is_file():
            try:
                return dict(load_file(path))
            except (SafetensorError, OSError, ValueError):
                path.unlink()  # a disk's failure: the step is done again
        made = {key: np.asarray(value, order="C") for key, value in make().items()}
        storage.write_bytes(path, save(made), overwrite=True)
        return made

    def _values(self, name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        found = self._read(name)
        return self._written(name, make()) if found is None else found

    def _read(self, name: str) -> dict[str, Any] | None:
        """The values of a step that was done before; None where it was not, or its file is broken."""
        path = self.folder / f"{name}.json"
        if path.is_file():
            try:
                return storage.read_json(path)
            except BadInput:
                path.unlink()
        return None

    def _written(self, name: str, made: Mapping[str, Any]) -> dict[str, Any]:
        values = json.loads(json.dumps(made, allow_nan=False))
        storage.write_json(self.folder / f"{name}.json", values, overwrite=True)
        return dict(values)

    def begin_sealing(self) -> None:
        """Note that the seal is about to be written: see `was_sealing`."""
        storage.write_json(self.folder / _SEALING, {}, overwrite=True)

    def remove(self) -> None:
        """Nothing is left to resume."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def workplace(
    target: Path,
    identity: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    ranks: Ranks | None = None,
) -> Iterator[Workplace]:
    """The workplace of a run, held against other processes.

    When the body fails, what was trained stays for a resume and the error has a note that says so; without
    training, or when a check said no, nothing stays.

    Args:
        target: the seal to write.
        identity: what decides the result (model, data, recipe): plain JSON.
        resume: go on with a run of the same identity, where there is one.
        overwrite: throw away what an interrupted run has left.
        ranks: this process as the first of several that train together.

    Raises:
        BadRequest: `resume`, and what lies there is a run of something else; or neither, and an interrupted
            training lies there.
        SignetError: another process works on it.
    """
    folder = _folder_for(target)
    held = False
    try:
        with storage.locked(folder, seconds=0.0):
            held = True
            if folder.is_dir():
                _check(folder, target, identity, resume=resume, overwrite=overwrite)
            if not (folder / _RECORD).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                storage.write_json(folder / _RECORD, {"format": _FORMAT, **identity}, overwrite=True)
            work = Workplace(folder, ranks)
            try:
                yield work
            except BaseException as error:
                _leave(work, target, error)
                raise
    finally:
        if held and not folder.exists():
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


@contextmanager
def beside(ranks: Ranks) -> Iterator[Workplace]:
    """The workplace of a process that trains together with the first one: it keeps nothing."""
    with tempfile.TemporaryDirectory(prefix="signet-") as folder:
        yield Workplace(Path(folder), ranks)


def was_sealing(target: Path) -> bool:
    """Whether a run was killed after it began to write this very seal: what lies there is then its own."""
    return (_folder_for(target) / _SEALING).is_file()


def _folder_for(target: Path) -> Path:
    return target.with_name(f".{target.name}.run")


def _leave(work: Workplace, target: Path, error: BaseException) -> None:
    """After an error: keep what is worth going on from, and say so; else leave nothing behind.

    Features are in the cache and a probe takes seconds, so only training is worth it. A check that said no
    while it learned would say so again: the same run does the same. One that said no of the graph of weights
    that have learned may say yes with other versions of the exporter and the engine, and hours were spent.
    """
    (work.folder / _SEALING).unlink(missing_ok=True)
    pointless = isinstance(error, CheckFailed) and not any(work.folder.glob(f"**/{LEARNED}"))
    if pointless or not _worth_keeping(work.folder):
        work.remove()
        return
    error.add_note(
        f"What was trained so far is kept beside {shown(target.name)}: "
        "continue with --resume (resume=True), or begin anew with --overwrite."
    )


def _worth_keeping(folder: Path) -> bool:
    """Whether something was trained there; folds, trials and the random baseline have their own folders."""
    return any(True for pattern in _WORTH_KEEPING for _ in folder.glob(pattern))


def _check(folder: Path, target: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Keep what lies there when it is to be resumed; remove it when it may be."""
    if not resume:
        if _worth_keeping(folder) and not overwrite:
            raise BadRequest(
                f"{shown(target.name)}: an interrupted training lies beside it. "
                "Continue it with --resume, or begin anew with --overwrite."
            )
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        before = storage.read_json(folder / _RECORD)
    except SignetError:
        return  # killed before anything was written
    wanted = json.loads(json.dumps({"format": _FORMAT, **identity}))
    different = sorted(key for key in {*before, *wanted} if before.get(key) != wanted.get(key))
    if different:
        details = "; ".join(_difference(key, before.get(key), wanted.get(key)) for key in different)
        raise BadRequest(
            f"{shown(target.name)}: what was interrupted is another run: {details}. Resume with the same "
            "model, data and recipe, or begin anew with --overwrite and without --resume."
        )


def _difference(key: str, before: Any, now: Any) -> str:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        inner = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        words = ", ".join(f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in inner)
        return f"{key} ({words})"
    return f"{key} was {before!r}, is {now!r}"
