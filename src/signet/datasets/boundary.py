"""What comes from outside, taken with suspicion: names of files, JSON, YAML and XML.

Nothing here trusts a size, a depth, a type or a path.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from signet.datasets.findings import Findings
from signet.errors import BadDataset, BadInput, MissingExtra
from signet.naming import natural_key, shown
from signet.sources import IMAGE_EXTENSIONS
from signet.storage import read_json

MOST_JSON_BYTES = 1 << 30
"""COCO's own training file has 450 MB."""

_MOST_YAML_BYTES = 4 << 20
_MOST_XML_BYTES = 8 << 20
_MOST_LABEL_BYTES = 16 << 20
_MOST_YAML_DEPTH = 12


class Folder:
    """A dataset's folder, out of which no name leads.

    Attributes:
        path: the folder as it was named.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = os.path.realpath(path)
        self._inside: dict[str, bool] = {}

    def holds(self, path: Path) -> bool:
        """Whether a path lies in the folder also after its links are followed."""
        folder = str(path.parent)
        if folder not in self._inside:
            self._inside[folder] = self._is_inside(os.path.realpath(folder))
        if not self._inside[folder]:
            return False
        return not path.is_symlink() or self._is_inside(os.path.realpath(path))

    def find(self, name: str, places: Iterable[Path], findings: Findings) -> Path | None:
        """The file that a name means, relative to the first of several places that has it.

        A name that is absolute, has `..` in it, or leads out of the folder is counted as "leaving"; one
        that is in none of the places as "missing"; the result is then None.
        """
        clean = name.replace("\\", "/")
        parts = PurePosixPath(clean).parts
        if not is_relative(name):
            findings.add("leaving", name)
            return None
        for place in places:
            file = place.joinpath(*parts)
            try:
                if not file.is_file():
                    continue
            except (OSError, ValueError):
                continue
            if self.holds(file):
                return file
            findings.add("leaving", name)
            return None
        findings.add("missing", name)
        return None

    def images(self, folder: Path, findings: Findings) -> list[Path]:
        """The images in a folder and its sub-folders, in natural order; links that lead out are counted."""
        from signet.sources import images_in_folder

        found = []
        for path in images_in_folder(folder):
            if path.suffix.lower() not in IMAGE_EXTENSIONS:
                continue
            if self.holds(path):
                found.append(path)
            else:
                findings.add("leaving", path.name)
        return found

    def _is_inside(self, real: str) -> bool:
        return real == self._real or real.startswith(self._real.rstrip(os.sep) + os.sep)


def is_relative(name: str) -> bool:
    """Whether a name from a file is a plain relative path: not absolute anywhere, without `..` or NUL."""
    clean = name.replace("\\", "/")
    parts = PurePosixPath(clean).parts
    return bool(parts) and not (
        ".." in parts or clean.startswith("/") or PureWindowsPath(name).drive or "\0" in name
    )


def read_document(file: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        BadDataset: it cannot be read, is larger than `MOST_JSON_BYTES`, is not JSON, too deep, or no object.
    """
    try:
        return read_json(file, limit_bytes=MOST_JSON_BYTES)
    except BadInput as error:
        raise BadDataset(f"{shown(file)}: expected {what}; {shown(error)}") from error


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Only plain data: no tags that make objects, and no aliases, by which a few
    bytes can stand for gigabytes.

    Raises:
        BadDataset: it cannot be read, is too large or too deep, breaks YAML's rules, or is no mapping.
    """  # noqa: D205
    import yaml

    def check_shape(text: str) -> None:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.events.AliasEvent):
                raise BadDataset(f"{shown(file)}: expected YAML without aliases (*name), got one.")
            depth += isinstance(event, yaml.events.CollectionStartEvent)
            depth -= isinstance(event, yaml.events.CollectionEndEvent)
            if depth > _MOST_YAML_DEPTH:
                raise BadDataset(f"{shown(file)}: expected at most {_MOST_YAML_DEPTH} levels, got more.")

    text = _read_bytes(file, _MOST_YAML_BYTES).decode("utf-8-sig", errors="replace")
    try:
        check_shape(text)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadDataset(f"{shown(file)}: the YAML cannot be read: {shown(error)}.") from error
    if not isinstance(value, dict):
        raise BadDataset(f"{shown(file)}: expected keys with values, got a {type(value).__name__}.")
    return value


def read_xml(file: Path) -> Element:
    """The root of an XML file, without entities, document types or anything fetched.

    Raises:
        BadDataset: it cannot be read, is too large, is no XML, or has what an annotation never has.
        MissingExtra: defusedxml is not installed (extra `fit`).
    """
    try:
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    except ImportError as error:
        raise MissingExtra("Reading Pascal VOC annotations", "fit", "defusedxml") from error
    data = _read_bytes(file, _MOST_XML_BYTES)
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadDataset(f"{shown(file)}: expected plain XML, got a document type or an entity.") from error
    except (ParseError, ValueError, RecursionError, LookupError) as error:
        raise BadDataset(f"{shown(file)}: the XML cannot be read: {shown(error)}.") from error
    return root


def read_lines(file: Path) -> list[str]:
    """The lines of one image's file of labels; bytes that are no UTF-8 become a sign that is no number.

    Raises:
        BadDataset: it cannot be read, or is larger than any image's labels.
    """
    return _read_bytes(file, _MOST_LABEL_BYTES).decode("utf-8-sig", errors="replace").splitlines()


def number_of(value: object) -> float | None:
    """A finite number from JSON, or None for anything else; true and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def parsed_number(text: str | None) -> float | None:
    """A finite number from text, or None."""
    try:
        number = float(text) if text and len(text) < 100 else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """(height, width) as a file states them, or None where it states none."""
    sides = number_of(height), number_of(width)
    if sides[0] is None or sides[1] is None or min(sides[0], sides[1]) < 1:
        return None
    return int(sides[0]), int(sides[1])


def names_of(stated: object, where: object) -> dict[int, str]:
    """Label names by index, from a list or from a mapping of index to name.

    Raises:
        BadDataset: it is neither.
    """
    rows = dict(enumerate(stated)) if isinstance(stated, list) else stated
    if isinstance(rows, Mapping) and rows:
        try:
            return {int(index): str(name) for index, name in rows.items()}
        except (TypeError, ValueError, OverflowError):
            pass
    raise BadDataset(
        f"{shown(where)}: expected label names as a list, or as numbers with names, got {shown(stated)[:80]}."
    )


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, in natural order, without hidden names.

    Raises:
        BadDataset: the folder cannot be listed.
    """
    try:
        children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    except OSError as error:
        raise BadDataset(f"{shown(folder)}: the folder cannot be listed: {error.strerror}.") from error
    return sorted(children, key=lambda child: natural_key(child.name))


def _read_bytes(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise BadDataset(f"{shown(file)}: the file cannot be read: {error.strerror}.") from error
    if len(data) > most:
        raise BadDataset(f"{shown(file)}: expected at most {most:,} bytes, got more. It is not read.")
    return data
