"""A sealed folder as one zip, the same bytes each time."""

from __future__ import annotations

import zipfile
from pathlib import Path

from signet.errors import BadRequest
from signet.naming import shown
from signet.seals.names import DIGEST, MANIFEST, ZIP_SUFFIX
from signet.seals.reading import Seal, open_seal
from signet.storage import cache_folder, new_file

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip can state."""
_UNIX = 3
_MODE = 0o100644
_BLOCK = 1 << 20
_ZIP64_FROM = 2**31 - 2**20


def pack(seal: Seal | str | Path, out: str | Path | None = None, *, overwrite: bool = False) -> Path:
    """Write a seal as a zip: stored, sorted by name, with fixed dates and modes.

    Args:
        seal: an opened seal, or its path; it is checked (again) first.
        out: the zip; `NAME.signet.zip` beside the folder by default.
        overwrite: replace what is there.

    Returns:
        The path of the zip, which is accepted wherever a seal is.

    Raises:
        Tampered: the folder is not what was sealed.
        AlreadyExists: `out` is there and `overwrite` was not given.
        BadRequest: `out` does not end in .zip or lies inside the seal; or the seal is a zip, and no `out`
            was given.
    """
    place = seal.path if isinstance(seal, Seal) else Path(seal)
    opened = open_seal(place)
    if out is None and cache_folder().resolve() in opened.path.resolve().parents:
        raise BadRequest(f"{shown(place)} is packed already: name the zip that is to be written.")
    target = Path(out) if out is not None else opened.path.with_name(opened.path.name + ZIP_SUFFIX)
    if target.suffix.lower() != ZIP_SUFFIX:
        raise BadRequest(f"{shown(target)}: expected a name that ends in {ZIP_SUFFIX}.")
    if opened.path.resolve() in target.resolve().parents:
        # It would be a file that was not sealed, and the seal would be refused from then on.
        raise BadRequest(f"{shown(target)}: expected a place outside the seal {shown(place)}.")
    with (
        new_file(target, overwrite=overwrite) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        signed = () if opened.signature is None else (opened.signature.name,)
        for name in sorted((*opened.manifest.files, MANIFEST, DIGEST, *signed)):
            _add(archive, opened.path / name, name)
    return target


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system = _UNIX
    entry.external_attr = _MODE << 16
    size = path.stat().st_size
    entry.file_size = size
    with path.open("rb") as stream, archive.open(entry, "w", force_zip64=size >= _ZIP64_FROM) as out:
        while block := stream.read(_BLOCK):
            out.write(block)
