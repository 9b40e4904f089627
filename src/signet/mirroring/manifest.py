"""What a mirror holds: `mirror.json` at its top, and the same of each model in its own `model.json`.

    {"format": {"major": 1, "minor": 0},
     "models": {NAME: {"files": [{"file", "size", "sha256"}], "weights": FILE, "licence": {...}, ...}}}

A model's folder says what it is also when it is copied alone; the manifest holds all of them, and each
`model.json` itself, to digests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from signet.cards import DigestTrust, Licence
from signet.errors import BadInput, BadRequest
from signet.hub.names import check_name, fault_of_part
from signet.hub.weights import SHA256
from signet.storage import locked, read_json, write_json
from signet.version import __version__

MANIFEST = "mirror.json"
RECORD = "model.json"
STAGING = ".pull"
"""Folder of a mirror in which models are made ready; it may be deleted when nobody pulls."""
FORMAT = {"major": 1, "minor": 0}


@dataclass(frozen=True, slots=True)
class MirroredFile:
    """One file of a model.

    Attributes:
        file: its name in the model's folder.
        size: in bytes.
        sha256: 64 hex digits.
    """

    file: str
    size: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"file": self.file, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredModel:
    """One model of a mirror.

    Attributes:
        name: what every command takes as MODEL.
        files: all of its folder, the weights first.
        weights: name of the weight file.
        licence: of the weights.
        task: "classify" ...
        parameters: trainable values, or None.
        trust: whether the digest was stated beforehand or taken at the download.
        source: the repository with its revision, or the address.
        commit: of the repository, or None.
        date: of the pull, ISO 8601 in UTC.
    """

    name: str
    files: tuple[MirroredFile, ...]
    weights: str
    licence: Licence
    task: str
    parameters: int | None
    trust: DigestTrust
    source: str
    commit: str | None
    date: str

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; its name is the key that it stands under."""
        plain = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        licence = {key: value for key, value in dataclasses.asdict(self.licence).items() if value is not None}
        del plain["name"]
        return {**plain, "files": [file.to_dict() for file in self.files], "licence": licence}

    @classmethod
    def from_dict(cls, name: str, fields: Mapping[str, Any]) -> MirroredModel:
        """The model of a manifest; keys that are not known are passed over.

        Raises:
            BadInput: a name that leads elsewhere, a key that is missing, or a value of another kind.
        """
        try:
            check_name(name)
            files = tuple(_file(row) for row in fields["files"])
            licence = {spec.name: fields["licence"].get(spec.name) for spec in dataclasses.fields(Licence)}
            model = cls(
                name=name,
                files=files,
                weights=str(fields["weights"]),
                licence=Licence(**{key: value for key, value in licence.items() if value is not None}),
                task=str(fields["task"]),
                parameters=_whole_number(fields["parameters"]),
                trust=fields["trust"],
                source=str(fields["source"]),
                commit=None if fields["commit"] is None else str(fields["commit"]),
                date=str(fields["date"]),
            )
        except (BadRequest, KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadInput(
                f"the entry of {name!r:.200} is not what a mirror states: {error!s:.200}"
            ) from error
        names = [file.file for file in files]
        if len(set(names)) != len(names) or model.weights not in names:
            raise BadInput(f"the entry of {name!r} names a file twice, or weights that it does not list.")
        if model.trust not in get_args(DigestTrust):
            raise BadInput(f"the entry of {name!r}: trust is one of {', '.join(get_args(DigestTrust))}.")
        return model


def read_manifest(root: Path) -> dict[str, MirroredModel] | None:
    """The models that a mirror's manifest lists, by name; None for a mirror without one.

    Raises:
        BadInput: it is damaged, or of a later major format.
    """
    if not (root / MANIFEST).is_file():
        return None
    return _models(root / MANIFEST, _raw(root / MANIFEST))


def read_record(folder: Path, name: str) -> MirroredModel | None:
    """What a model's folder says of itself, with the record among the files; None where it says nothing.

    Raises:
        BadInput: the record is damaged, or of a later major format.
    """
    path = folder / RECORD
    if path.is_symlink() or not path.is_file():
        return None
    model = _models(path, _raw(path)).get(name)
    return None if model is None else dataclasses.replace(model, files=(*model.files, file_of(path)))


def write_record(folder: Path, model: MirroredModel) -> MirroredModel:
    """Write what a model's folder says of itself; returns the model with that file among its own.

    Raises:
        SignetError: the disk refuses.
    """
    _write(folder / RECORD, {"models": {model.name: model.to_dict()}})
    return dataclasses.replace(model, files=(*model.files, file_of(folder / RECORD)))


def add(root: Path, model: MirroredModel, on_wait: Callable[[], None] | None = None) -> None:
    """Put one model into the manifest; what it says of others, also in keys not known here, stays.

    Raises:
        BadInput: the manifest is damaged.
        SignetError: the disk refuses.
    """
    path = root / MANIFEST
    with locked(root / STAGING / MANIFEST, on_wait=on_wait):
        raw = _raw(path) if path.exists() else {"models": {}}
        models = {**raw.get("models", {}), model.name: model.to_dict()}
        _write(path, {**raw, "models": dict(sorted(models.items()))})


def file_of(path: Path, sha256: str | None = None) -> MirroredFile:
    """A file as it is; hashed, unless its digest is known.

    Raises:
        BadInput: it cannot be read.
    """
    from signet.storage import digest_of

    return MirroredFile(path.name, path.stat().st_size, sha256 or digest_of(path))


def _write(path: Path, value: Mapping[str, Any]) -> None:
    stated = {"format": FORMAT, "made_by": f"signet {__version__}"}
    # A higher minor format that was read is kept as what it is.
    write_json(path, {**stated, **value}, overwrite=True)


def _raw(path: Path) -> dict[str, Any]:
    raw = read_json(path)
    stated = raw.get("format")
    major = stated.get("major") if isinstance(stated, Mapping) else None
    if not isinstance(major, int) or not isinstance(raw.get("models"), Mapping):
        raise BadInput(f"{path}: expected 'format' and 'models' of a mirror; one of them is missing.")
    if major > FORMAT["major"]:
        raise BadInput(
            f"{path} is of format {major}; this version reads format {FORMAT['major']}. "
            "Use the version of Signet that made the mirror, or a later one."
        )
    return raw


def _models(path: Path, raw: Mapping[str, Any]) -> dict[str, MirroredModel]:
    try:
        return {name: MirroredModel.from_dict(name, fields) for name, fields in raw["models"].items()}
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def _file(row: Mapping[str, Any]) -> MirroredFile:
    file, size, digest = row["file"], _whole_number(row["size"]), row["sha256"]
    if not isinstance(file, str) or fault_of_part(file):
        raise ValueError(f"{file!r:.80} is no name of a file beside others.")
    if size is None or not isinstance(digest, str) or not SHA256.fullmatch(digest):
        raise ValueError(f"{file!r}: expected its size and 64 hex digits of its sha256.")
    return MirroredFile(file, size, digest)


def _whole_number(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError(f"expected a whole number from 0, got {value!r:.80}.")
    return value
