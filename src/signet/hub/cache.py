"""What was downloaded once, with the digest that it is held to ever after.

`CACHE/models/NAME/` is laid out as a mirror is, plus `signet.json`: where the weights are from and the
sha256 that was measured when they came. That record is written last; without it there is nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet.cards import DigestTrust
from signet.errors import BadInput, DigestMismatch, HubError, SignetError
from signet.hub.digests import remembered_digest
from signet.hub.folders import names_below, read_config
from signet.hub.names import check_name, fault_of_part, place_of
from signet.hub.weights import SHA256, Remote, WeightFiles
from signet.storage import cache_folder, digest_of, move_into_place, read_json, write_json

RECEIPT = "signet.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the weights of one name are held to.

    Attributes:
        name: of the model; on a disk that takes "A" and "a" for the same, this does not.
        source: `Remote.source` that they are from.
        commit: of the repository, when they came.
        file: name of the weight file.
        sha256: of the weight file, measured.
        config_sha256: of `config.json`, measured, or None when there was none.
        trust: "pinned" or "locked".
        beside: of each further file that was asked for, its measured sha256, or None when there was none.
        format: of this record.
    """

    name: str
    source: str
    commit: str | None
    file: str
    sha256: str
    config_sha256: str | None
    trust: DigestTrust
    beside: dict[str, str | None] = field(default_factory=dict)
    format: int = _FORMAT


def cached_place(name: str) -> Path:
    """Where the weights of that name lie, or would lie, in the cache.

    Raises:
        BadRequest: not a name.
    """
    return place_of(name, cache_folder() / "models")


def in_cache(name: str, remote: Remote | None = None) -> WeightFiles | None:
    """The weights of that name in the cache, or None; every file is what it was when it came.

    Args:
        name: of the model.
        remote: where they should be from; weights from elsewhere, of another revision or with another
            pinned digest are not those that are asked for.

    Raises:
        BadRequest: not a name.
        DigestMismatch: a file has changed since it was downloaded.
        HubError: the cache is damaged.
    """
    check_name(name)
    try:
        folder = cached_place(name)
        receipt = receipt_of(name)
    except HubError:
        raise
    except SignetError:
        return None  # a cache that cannot be made holds nothing
    if receipt is None or (remote is not None and not _is_from(receipt, remote)):
        return None
    weights, config = folder / receipt.file, folder / "config.json"
    if not weights.is_file():
        return None
    try:
        _require_unchanged(weights, remembered_digest(weights), receipt.sha256)
        if receipt.config_sha256 is not None:
            _require_unchanged(config, digest_of(config), receipt.config_sha256)
        for file, digest in receipt.beside.items():
            if digest is not None:
                _require_unchanged(folder / file, digest_of(folder / file), digest)
    except (OSError, BadInput) as error:
        raise HubError(f"the cache is damaged: {error} {_remedy(folder)}") from error
    pinned = remote is not None and remote.sha256 == receipt.sha256
    return WeightFiles(
        config=None if receipt.config_sha256 is None else read_config(config),
        weights=weights,
        digest=receipt.sha256,
        trust="pinned" if pinned else receipt.trust,
        where="cache",
    )


def list_cache() -> tuple[str, ...]:
    """Names of the weights in the cache, sorted."""
    return names_below(cache_folder() / "models", lambda folder: (folder / RECEIPT).is_file())


def receipt_of(name: str) -> Receipt | None:
    """The record of that name, or None.

    Raises:
        BadRequest: not a name.
        HubError: the record is damaged.
    """
    path = cached_place(name) / RECEIPT
    if not path.is_file():
        return None
    try:
        receipt = _parsed(read_json(path, limit_bytes=65_536))
    except (BadInput, ValueError, TypeError) as error:
        raise HubError(f"{path} is damaged: {error} {_remedy(path.parent)}") from error
    return receipt if receipt.name == name else None


def keep(folder: Path, receipt: Receipt, weights: Path, small: Mapping[str, Path | None]) -> None:
    """Give finished files their names in `folder`; the caller holds its lock.

    The old record goes first and the new one comes last: whoever is killed in between leaves nothing that
    could be taken for whole.

    Args:
        folder: where they shall lie.
        receipt: the record.
        weights: the finished weight file.
        small: by name, the finished file that shall bear it, or None when there is none.

    Raises:
        SignetError: the disk refuses.
    """
    try:
        (folder / RECEIPT).unlink(missing_ok=True)
        for name, file in small.items():
            if file is None:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise SignetError(f"{folder} cannot be written: {error}. Expected a folder of this user.") from error
    for name, file in small.items():
        if file is not None:
            move_into_place(file, folder / name)
    move_into_place(weights, folder / receipt.file)
    write_json(folder / RECEIPT, dataclasses.asdict(receipt), overwrite=True)


def _is_from(receipt: Receipt, remote: Remote) -> bool:
    """Whether the weights that are here are the ones that a zoo speaks of, with all that shall lie beside."""
    if not set(remote.beside) <= set(receipt.beside):
        return False
    if remote.sha256 is not None and remote.sha256 != receipt.sha256:
        return False
    if receipt.source == remote.source:
        return True
    # The same commit, once asked for by a branch and now by its own number.
    return (
        remote.repository is not None
        and receipt.source.startswith(f"{remote.repository}@")
        and (receipt.commit is not None and receipt.commit == remote.revision)
    )


def _require_unchanged(path: Path, digest: str, expected: str) -> None:
    if digest != expected:
        raise DigestMismatch(
            f"{path} has the sha256 {digest}, but {expected} was measured when it was downloaded: the file "
            f"was changed or damaged since. {_remedy(path.parent)}"
        )


def _remedy(folder: Path) -> str:
    return f"Delete {folder} to download it again."


def _parsed(fields: dict[str, Any]) -> Receipt:
    if fields.get("format") != _FORMAT:
        raise ValueError(f"expected a record of format {_FORMAT}, got {fields.get('format')!r}.")
    receipt = Receipt(**fields)
    if not isinstance(receipt.beside, dict):
        raise TypeError(f"expected the files beside the weights by name, got {receipt.beside!r:.80}.")
    texts = (receipt.name, receipt.source, receipt.file, receipt.sha256, receipt.trust)
    names = (receipt.file, *receipt.beside)
    if not all(isinstance(text, str) for text in texts) or any(map(fault_of_part, names)):
        raise ValueError("expected the fields of a record, got others.")
    if not SHA256.fullmatch(receipt.sha256) or receipt.trust not in ("pinned", "locked"):
        raise ValueError(
            f"expected a sha256 and whether it is pinned, got {receipt.sha256!r}, {receipt.trust!r}."
        )
    return receipt
