"""Which images an input names: files, folders, patterns and lists, in natural order, as a stream.

Nothing here is fatal: what is missing or forbidden comes out as a path all the same, and reading it
then says what is wrong with it.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from signet.errors import BadInput
from signet.naming import natural_key, path_key, shown

__all__ = [
    "IMAGE_EXTENSIONS",
    "images_in_folder",
    "is_folder",
    "list_images",
    "natural_key",
    "path_key",
    "read_list",
]

IMAGE_EXTENSIONS = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    )
)  # fmt: skip
"""What counts as an image inside a folder, in lower case; a file that is named itself is always taken."""

_LIST_BLOCK = 1 << 16
# No path is longer (PATH_MAX), so a list whose names end with NUL shows one within its first bytes.
_LONGEST_PATH = 4096


def list_images(inputs: Iterable[str | Path]) -> Iterator[Path]:
    """The images that the inputs name, one after the other; each input in natural order.

    - a file: taken, whatever its extension;
    - a folder: its images by extension, with its sub-folders (see `images_in_folder`);
    - a pattern (`*`, `?`, `[...]`, `**`) that is not itself a path: its matches; folders among them are
      walked (with `**` their files match already), and where the last part of the pattern holds no dot
      only files with an image's extension are taken;
    - anything else, also a pattern without a match: comes out as it is, and reading it says what is wrong.

    Nothing is removed when two inputs name one file.

    Args:
        inputs: paths or patterns; relative ones start at the working directory.

    Yields:
        Paths; a folder's names are read when its turn comes, so memory holds one folder's names at most.

    Example:
        >>> list(list_images(["missing.jpg"]))
        [PosixPath('missing.jpg')]
    """
    for given in inputs:
        path = Path(given)
        if is_folder(path):
            yield from images_in_folder(path)
        elif glob.has_magic(str(given)) and not os.path.lexists(path):
            yield from _matches(str(given))
        else:
            yield path


def images_in_folder(folder: str | Path) -> Iterator[Path]:
    """The images of a folder and its sub-folders, in natural order folder by folder.

    An image is what has one of `IMAGE_EXTENSIONS`, in any case. Names that begin with a dot are skipped.
    Links are followed; a folder that was walked already (a loop, a second link) is not walked again.
    A folder that may not be listed comes out as a path itself.
    """
    yield from _walk(Path(folder), set())


def read_list(source: str | Path | BinaryIO) -> Iterator[Path]:
    r"""The paths that a list file holds, one a line, as a stream.

    Names end with a line end (LF or CRLF), or all with NUL (`find ... -print0`), which is recognised and
    lets names hold line ends. Empty lines are skipped; nothing else is interpreted: no comment signs, no
    quotes, no patterns. Relative paths start at the working directory.

    Args:
        source: the list file, "-" for standard input, or an open binary stream.

    Raises:
        BadInput: the list file itself cannot be read.
    """
    if isinstance(source, str | Path):
        if str(source) == "-":
            return _records(sys.stdin.buffer, "standard input")
        try:
            return _records(Path(source).open("rb"), shown(source), close=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(
                f"{shown(source)}: expected a list file with one path a line, got: {reason}. "
                'Check the path, or give "-" to read the list from standard input.'
            ) from error
    return _records(source, shown(getattr(source, "name", "the list")))


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; a name that no disk takes is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS  # noqa: PTH122 - hot, and names are str


def _walk(folder: Path, walked: set[tuple[int, int]]) -> Iterator[Path]:
    # A stack of iterators, not recursion: a deep tree must not exhaust Python's own stack.
    stack = [iter([folder])]
    while stack:
        path = next(stack[-1], None)
        if path is None:
            stack.pop()
        elif not is_folder(path):
            yield path
        else:
            try:
                status = path.stat()
                identity = (status.st_dev, status.st_ino)
                if identity in walked:
                    continue
                walked.add(identity)
                names = [
                    entry.name
                    for entry in os.scandir(path)
                    if not entry.name.startswith(".")
                    and (_is_image_name(entry.name) or is_folder(path / entry.name))
                ]
            except OSError:
                yield path
                continue
            names.sort(key=natural_key)
            stack.append(iter([path / name for name in names]))


def _matches(pattern: str) -> Iterator[Path]:
    recursive = "**" in pattern
    any_extension = "." in os.path.basename(pattern)  # noqa: PTH119 - a pattern is not a path
    found = False
    for name in sorted(glob.iglob(pattern, recursive=True), key=path_key):  # noqa: PTH207 - may be absolute
        path = Path(name)
        if is_folder(path):
            if not recursive:
                for image in images_in_folder(path):
                    found = True
                    yield image
        elif any_extension or _is_image_name(name):
            found = True
            yield path
    if not found:
        yield Path(pattern)


def _records(stream: BinaryIO, name: str, *, close: bool = False) -> Iterator[Path]:
    read = getattr(stream, "read1", stream.read)
    try:
        buffer = b""
        ended = False
        while not ended and b"\0" not in buffer and len(buffer) <= _LONGEST_PATH:
            block = read(_LIST_BLOCK)
            ended = not block
            buffer += block
        end = b"\0" if b"\0" in buffer else b"\n"
        buffer = buffer.removeprefix(b"\xef\xbb\xbf")
        while True:
            *whole, buffer = buffer.split(end)
            yield from (path for record in whole if (path := _path_of(record, end)))
            if ended:
                break
            block = read(_LIST_BLOCK)
            ended = not block
            buffer += block
        if last := _path_of(buffer, end):
            yield last
    except OSError as error:
        raise BadInput(
            f"{name}: the list could not be read to its end: {error.strerror or error}."
        ) from error
    finally:
        if close:
            stream.close()


def _path_of(record: bytes, end: bytes) -> Path | None:
    if end == b"\n":
        record = record.removesuffix(b"\r")
    return Path(os.fsdecode(record)) if record else None
