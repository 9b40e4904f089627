"""Weights that lie in a folder: in the package, in the mirror, or where the user says.

All have one layout: `NAME/config.json` and `NAME/model.safetensors`. What `config.json` states under
`weights` (`file`, `sha256`) is held to be pinned by whoever made the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from signet.errors import BadInput, BadRequest, DigestMismatch, HubError
from signet.hub.digests import remembered_digest
from signet.hub.names import check_name, fault_of_part, place_of, require_inside
from signet.hub.weights import SHA256, STANDARD_FILES, WeightFiles, Where
from signet.storage import read_json

MIRROR_VARIABLE = "SIGNET_MIRROR"
CONFIG_LIMIT_BYTES = 4 * 1024 * 1024
FOLDER_FILES = (*STANDARD_FILES, "model.weights.h5")
"""Names of weight files that are looked for in a folder whose configuration names none; the last: Keras's."""
_DEPTH = 4


def package_folder() -> Path:
    """Where the weights that come with Signet lie."""
    return Path(__file__).resolve().parent.parent / "catalogue"


def mirror_folder() -> Path | None:
    """The folder that `SIGNET_MIRROR` names, or None; read at each call.

    Raises:
        BadRequest: it is set to something that is not a folder.
    """
    stated = os.environ.get(MIRROR_VARIABLE, "")
    if not stated:
        return None
    folder = Path(stated).expanduser()
    if not folder.is_dir():
        raise BadRequest(
            f"{MIRROR_VARIABLE} is {stated!r}, which is not a folder. Expected a folder with "
            "NAME/config.json and NAME/model.safetensors. Correct it, or unset it."
        )
    return folder


def in_package(name: str) -> WeightFiles | None:
    """The weights of that name that come with Signet, or None.

    Raises:
        BadRequest: not a name.
        HubError: they are there but cannot be used (DigestMismatch: changed).
    """
    return _below(package_folder(), name, "package")


def in_mirror(name: str) -> WeightFiles | None:
    """The weights of that name in the mirror, or None.

    Raises:
        BadRequest: not a name, or the mirror is not a folder.
        HubError: they are there but cannot be used (DigestMismatch: changed).
    """
    mirror = mirror_folder()
    check_name(name)
    return None if mirror is None else _below(mirror, name, "mirror")


def in_folder(folder: str | Path) -> WeightFiles | None:
    """The weights in a folder that the user names, or None when there are none.

    Raises:
        HubError: they are there but cannot be used (DigestMismatch: changed).
    """
    return _read(Path(folder), None, "folder")


def list_package() -> tuple[str, ...]:
    """Names of the weights that come with Signet, sorted."""
    return names_below(package_folder(), _holds_weights)


def list_mirror() -> tuple[str, ...]:
    """Names of the weights in the mirror, sorted; none without a mirror.

    Raises:
        BadRequest: the mirror is not a folder.
    """
    mirror = mirror_folder()
    return () if mirror is None else names_below(mirror, _holds_weights)


def names_below(root: Path, holds: Callable[[Path], bool]) -> tuple[str, ...]:
    """Names of the folders below `root` for which `holds` says yes, sorted; links are not followed."""
    return tuple(sorted(_walk(root, "", holds, _DEPTH)))


def read_config(path: Path) -> Mapping[str, Any] | None:
    """A `config.json`, or None when there is none.

    Raises:
        HubError: not a JSON object, or too large to be one that says how a model is made.
    """
    if not path.exists():
        return None
    try:
        return read_json(path, limit_bytes=CONFIG_LIMIT_BYTES)
    except BadInput as error:
        raise HubError(f"the configuration of these weights cannot be used: {error}") from error


def _below(root: Path, name: str, where: Where) -> WeightFiles | None:
    return _read(place_of(name, root), root, where)


def _read(folder: Path, root: Path | None, where: Where) -> WeightFiles | None:
    """The weights in `folder`; links may not leave `root`, where one is given."""
    try:
        return _examined(folder, root, where)
    except (OSError, BadInput) as error:
        raise HubError(f"the weights in {folder} cannot be used: {error}") from error


def _examined(folder: Path, root: Path | None, where: Where) -> WeightFiles | None:
    config = read_config(folder / "config.json")
    stated_file, stated_digest = _statement(config, folder / "config.json")
    for file in FOLDER_FILES if stated_file is None else (stated_file,):
        weights = folder / file
        if weights.is_file():
            break
    else:
        if stated_file is None:
            return None
        raise HubError(
            f"{folder / 'config.json'} states the weight file {stated_file!r}, which is not there."
        )
    if root is not None:
        require_inside(weights, root)
    digest = remembered_digest(weights)
    if stated_digest not in (None, digest):
        raise DigestMismatch(
            f"{weights} has the sha256 {digest}, but {folder / 'config.json'} states {stated_digest}: these "
            "are not the bytes that were promised. Get the file again; if the change is meant, state the new "
            "digest there."
        )
    return WeightFiles(config, weights, digest, "unknown" if stated_digest is None else "pinned", where)


def _statement(config: Mapping[str, Any] | None, path: Path) -> tuple[str | None, str | None]:
    """File name and digest that a configuration states under `weights`."""
    stated = {} if config is None else config.get("weights", {})
    if not isinstance(stated, dict):
        raise HubError(f"{path}: 'weights' must be an object with 'file' and 'sha256', got {stated!r:.80}.")
    file, digest = stated.get("file"), stated.get("sha256")
    if file is not None and (not isinstance(file, str) or fault_of_part(file)):
        raise HubError(f"{path}: 'weights.file' must be the name of a file beside it, got {file!r:.80}.")
    if digest is not None and (not isinstance(digest, str) or not SHA256.fullmatch(digest)):
        raise HubError(f"{path}: 'weights.sha256' must be 64 lower-case hex digits, got {digest!r:.80}.")
    return file, digest


def _holds_weights(folder: Path) -> bool:
    if any((folder / file).is_file() for file in FOLDER_FILES):
        return True
    try:
        file, _ = _statement(read_config(folder / "config.json"), folder / "config.json")
    except HubError:
        return True  # broken, but a model: looking it up will say what is wrong
    return file is not None and (folder / file).is_file()


def _walk(folder: Path, name: str, holds: Callable[[Path], bool], depth: int) -> Iterator[str]:
    try:
        if name and holds(folder):
            yield name
        below = (
            [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)] if depth else []
        )
    except OSError:
        return  # a folder that may not be read holds nothing that could be loaded
    for entry in below:
        if not fault_of_part(entry.name):
            yield from _walk(
                Path(entry.path), f"{name}/{entry.name}" if name else entry.name, holds, depth - 1
            )
