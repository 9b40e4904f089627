"""Every byte of a mirror again: what is missing, what is too much, what has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from signet.errors import BadInput, BadRequest, HubError
from signet.hub.folders import FOLDER_FILES, names_below, read_config
from signet.hub.names import place_of
from signet.hub.weights import SHA256
from signet.mirroring.manifest import MANIFEST, RECORD, STAGING, MirroredModel, read_manifest, read_record
from signet.naming import shown
from signet.progress import OnProgress, Progress, silent
from signet.storage import digest_of

HeldTo = Literal["manifest", "record", "config", "nothing"]
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """What verification found of one model.

    Attributes:
        name: of the model.
        faults: in words; empty when all is as it was.
        held_to: what says how it should be: the mirror's manifest, the folder's own record, the digest that
            its configuration states, or nothing at all.
    """

    name: str
    faults: tuple[str, ...]
    held_to: HeldTo

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {"name": self.name, "ok": self.ok, "faults": list(self.faults), "held_to": self.held_to}


@dataclass(frozen=True, slots=True)
class Checked:
    """What verification found of a mirror.

    Attributes:
        models: one after the other, by name.
        unlisted: names and files of which the manifest does not speak.
        manifest: sha256 hex of `mirror.json`, or None for a mirror without one.
    """

    models: tuple[CheckedModel, ...]
    unlisted: tuple[str, ...]
    manifest: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any model."""
        return all(model.ok for model in self.models)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "ok": self.ok,
            "models": [model.to_dict() for model in self.models],
            "unlisted": list(self.unlisted),
            "manifest": self.manifest,
        }


def verify(folder: str | Path, on_progress: OnProgress | None = None) -> Checked:
    """Hash every file of a mirror, and compare with what it should be.

    A model of which no manifest speaks is held to what its own folder states.

    Args:
        folder: the mirror.
        on_progress: told in bytes.

    Raises:
        BadRequest: there is no such folder.
        BadInput: the manifest is damaged or of a later major format.
    """
    root = require_mirror(folder)
    listed = read_manifest(root)
    names = sorted({*(listed or {}), *_names(root)})
    hashing = _Hashing(_size(root, names), on_progress or silent)
    models = tuple(_checked(root, name, (listed or {}).get(name), hashing) for name in names)
    strays = _strays(root, names)
    unlisted = (*(name for name in names if listed is not None and name not in listed), *strays)
    return Checked(models, unlisted, None if listed is None else digest_of(root / MANIFEST))


def require_mirror(folder: str | Path) -> Path:
    """The folder of a mirror.

    Raises:
        BadRequest: there is none.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise BadRequest(f"{shown(root)}: expected the folder of a mirror; there is none.")
    return root


def faults_of(
    folder: Path, model: MirroredModel, digest: Callable[[Path], str], others: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """In what a model's folder differs from what it should be, in words.

    Args:
        folder: of the model.
        model: what it should hold.
        digest: how a file is hashed.
        others: names of further models, whose folders may lie in this one.
    """
    found = []
    expected = {file.file: file for file in model.files}
    for name, file in expected.items():
        path = folder / name
        if path.is_symlink():
            found.append(f"{name}: is a link, which is not followed")
        elif not path.is_file():
            found.append(f"{name}: missing")
        elif path.stat().st_size != file.size:
            found.append(f"{name}: {path.stat().st_size} bytes, expected {file.size}")
        elif (measured := digest(path)) != file.sha256:
            found.append(f"{name}: has the sha256 {measured}, expected {file.sha256}")
    inner = {other.removeprefix(f"{model.name}/").partition("/")[0] for other in others}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in expected and not (path.name in inner and path.is_dir()):
            found.append(f"{shown(path.name)}: not listed")
    return tuple(found)


class _Hashing:
    """Hashes files, and tells how much of all is done."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def __call__(self, path: Path) -> str:
        """The sha256 of a file.

        Raises:
            BadInput: it cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    self._done += len(chunk)
                    self._on_progress(
                        Progress("verifying", self._done, self._total, "bytes", path.parent.name)
                    )
        except OSError as error:
            raise BadInput(f"{path.name}: cannot be read: {error.strerror or error}") from error
        return digest.hexdigest()


def _checked(root: Path, name: str, listed: MirroredModel | None, hashing: _Hashing) -> CheckedModel:
    """One model, held to whatever says how it should be."""
    held_to: HeldTo = "manifest"
    try:
        folder = place_of(name, root)
        model = listed
        if model is None:
            held_to, model = "record", read_record(folder, name)
        if model is None:
            return _held_to_config(folder, name, hashing)
        if not folder.is_dir():
            return CheckedModel(name, ("the folder is missing",), held_to)
        others = tuple(other for other in _names(root) if other.startswith(f"{name}/"))
        return CheckedModel(name, faults_of(folder, model, hashing, others), held_to)
    except (BadInput, HubError) as error:
        return CheckedModel(name, (str(error),), held_to)


def _held_to_config(folder: Path, name: str, hashing: _Hashing) -> CheckedModel:
    """A folder made by hand: as far as its configuration states a digest."""
    config = read_config(folder / "config.json") or {}
    stated = config.get("weights", {})
    digest = stated.get("sha256") if isinstance(stated, dict) else None
    if not isinstance(digest, str) or not SHA256.fullmatch(digest):
        return CheckedModel(name, (), "nothing")
    named = stated.get("file")
    files = (named,) if isinstance(named, str) else FOLDER_FILES
    weights = next((folder / file for file in files if (folder / file).is_file()), None)
    if weights is None:
        return CheckedModel(name, (f"{files[0]}: missing",), "config")
    if weights.is_symlink() and not weights.resolve().is_relative_to(folder.resolve()):
        return CheckedModel(name, (f"{weights.name}: is a link, which is not followed",), "config")
    measured = hashing(weights)
    if measured != digest:
        fault = f"{weights.name}: has the sha256 {measured}, expected {digest}"
        return CheckedModel(name, (fault,), "config")
    return CheckedModel(name, (), "config")


def _names(root: Path) -> tuple[str, ...]:
    """Every folder that means to be a model."""
    return names_below(root, _means_to_be_a_model)


def _means_to_be_a_model(folder: Path) -> bool:
    return any((folder / file).exists() for file in ("config.json", RECORD, *FOLDER_FILES))


def _files_below(root: Path) -> Iterator[Path]:
    """Every file, staged ones left out; links are not followed."""
    for place, folders, files in os.walk(root):
        if Path(place) == root:
            folders[:] = [name for name in folders if name != STAGING]
        yield from (Path(place) / name for name in sorted(files))


def _size(root: Path, names: list[str]) -> int:
    folders = {root.joinpath(*name.split("/")) for name in names}
    return sum(
        path.stat().st_size for path in _files_below(root) if path.parent in folders and path.is_file()
    )


def _strays(root: Path, names: list[str]) -> Iterator[str]:
    """Files that are in no model's folder."""
    folders = {root.joinpath(*name.split("/")) for name in names}
    for path in _files_below(root):
        if path != root / MANIFEST and not folders & set(path.parents):
            yield shown(path.relative_to(root).as_posix())
