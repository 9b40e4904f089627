"""Random changes to the folder of a seal: single bytes, and structure."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST, DIGEST, EXPECTED = "seal.json", "seal.sha256", "golden/expected.safetensors"
SIZES = (0, 1, -1, 2**31, 2**63, 2**64 - 1, 2**64, 10**400, 1.5, 1e308, True, None, "1", [], {})
NAMES = (
    "../outside",
    "/etc/hostname",
    "golden",
    "GRAPH.ONNX",
    "con",
    "a\\b",
    "a:b",
    "x" * 300,
    "",
    ".",
    "a/",
    "\0",
)
VALUES = (*SIZES, *NAMES, "\ud800", "<b>", [[]] * 3, {"a": {"a": {}}}, -0.0, "é" * 1000)
DEEP = 100_000

Random = np.random.Generator
Contents = Mapping[str, bytes]


@dataclass
class Folder:
    """A copy of a seal that is changed and made whole again.

    Attributes:
        place: of the copy.
        whole: name to bytes of the seal that it is a copy of.
        touched: names that are not as they were.
    """

    place: Path
    whole: Contents
    touched: set[str] = field(default_factory=set)

    def write(self, name: str, data: bytes) -> None:
        """A file with other bytes, or a new one."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.touched.add(name)

    def remove(self, name: str) -> None:
        """A file less."""
        (self.place / name).unlink()
        self.touched.add(name)

    def link(self, name: str, to: str) -> None:
        """A symbolic link in the place of a file."""
        self.remove(name)
        (self.place / name).symlink_to(to)

    def folder(self, name: str) -> None:
        """An empty folder."""
        (self.place / name).mkdir()
        self.touched.add(name)

    def mend(self) -> None:
        """As it was."""
        for name in self.touched:
            path = self.place / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            for parent in path.parents[: name.count("/")]:
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
        for name in self.touched & self.whole.keys():
            (self.place / name).parent.mkdir(parents=True, exist_ok=True)
            (self.place / name).write_bytes(self.whole[name])
        self.touched.clear()


def contents(folder: Path) -> dict[str, bytes]:
    """Name to bytes of all files; a signature is no part of what is sealed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "seal.sig"
    }


def one_byte(data: bytes, random: Random, below: int | None = None) -> bytes:
    """The same but for one byte; of the first `below` ones, if said."""
    changed = bytearray(data)
    changed[int(random.integers(min(len(data), below or len(data))))] ^= int(random.integers(1, 256))
    return bytes(changed)


def harmed(data: bytes, random: Random) -> bytes:
    """Cut, longer, or with two stretches changed for each other."""
    place = int(random.integers(len(data)))
    match int(random.integers(4)):
        case 0:
            return data[:place]
        case 1:
            return data + random.bytes(int(random.integers(1, 65)))
        case 2:
            return data[place:] + data[:place] + b"\0"
        case _:
            return data[:place] + random.bytes(int(random.integers(1, 65))) + data[place:]


def _any(folder: Folder, random: Random) -> str:
    return str(random.choice(sorted(folder.whole)))


def _byte(folder: Folder, random: Random) -> None:
    name = _any(folder, random)
    folder.write(name, one_byte(folder.whole[name], random))


def _harm(folder: Folder, random: Random) -> None:
    name = _any(folder, random)
    folder.write(name, harmed(folder.whole[name], random))


def _swap(folder: Folder, random: Random) -> None:
    one, other = (str(name) for name in random.choice(sorted(folder.whole), 2, replace=False))
    folder.write(one, folder.whole[other])
    folder.write(other, folder.whole[one])


def _less(folder: Folder, random: Random) -> None:
    folder.remove(_any(folder, random))


def _more(folder: Folder, random: Random) -> None:
    names = (
        "notes.txt",
        ".hidden",
        "golden/9.jpg",
        "graph.onnx.data",
        "SEAL.JSON",
        "seal.sig",
        "a/b/c/d/e/f/g",
    )
    folder.write(str(random.choice(names)), random.bytes(16))


def _link(folder: Folder, random: Random) -> None:
    name = _any(folder, random)
    folder.link(name, str(random.choice(["/etc/hostname", "nowhere", Path(name).name, "/dev/zero"])))


def _empty(folder: Folder, random: Random) -> None:
    folder.folder(str(random.choice(["more", "golden/more", ".more"])))


def _renamed(folder: Folder, random: Random) -> None:
    name = _any(folder, random)
    folder.write(
        str(random.choice([name.upper() + "X", name + " ", name.replace(".", "_")])), folder.whole[name]
    )
    folder.remove(name)


def fitted(folder: Folder, manifest: bytes) -> None:
    """Another manifest, and the digest that fits it: what a forger does."""
    folder.write(MANIFEST, manifest)
    folder.write(DIGEST, f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode())


def _forged_byte(folder: Folder, random: Random) -> None:
    fitted(folder, one_byte(folder.whole[MANIFEST], random))


def _forged_text(folder: Folder, random: Random) -> None:
    fitted(folder, harmed(folder.whole[MANIFEST], random))


def _forged_value(folder: Folder, random: Random) -> None:
    """A value anywhere in the manifest is another, is left out, or is there under another key."""
    document = json.loads(folder.whole[MANIFEST])
    spot: Any = document
    while True:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        key = keys[int(random.integers(len(keys)))]
        inner = spot[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.15:
            break
        spot = inner
    match int(random.integers(4)):
        case 0:
            del spot[key]
        case 1 if isinstance(spot, dict):
            spot[str(random.choice(NAMES[:-1]))] = spot.pop(key)
        case _:
            spot[key] = VALUES[int(random.integers(len(VALUES)))]
    fitted(folder, json.dumps(document).encode())


def _forged_shape(folder: Folder, random: Random) -> None:
    """JSON that parsers choke on: depth, a key twice, numbers without end, other encodings."""
    text = folder.whole[MANIFEST]
    match int(random.integers(6)):
        case 0:
            data = text.replace(b"{", b'{"format": {"major": 1, "minor": 0},', 1)
        case 1:
            data = b'{"card":' + b"[" * DEEP + b"]" * DEEP + b"}"
        case 2:
            data = text.replace(b'"size": ', b'"size": ' + b"9" * DEEP, 1)
        case 3:
            data = text.decode().encode("utf-16")
        case 4:
            data = b'{"a":' * DEEP + b"1" + b"}" * DEEP
        case _:
            data = text.replace(b'"size": ', b'"size": 1e999, "was": ', 1)
    fitted(folder, data)


def _refiled(folder: Folder, name: str, data: bytes) -> None:
    """Another file, and a manifest and a digest that fit it."""
    document = json.loads(folder.whole[MANIFEST])
    document["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    folder.write(name, data)
    fitted(folder, json.dumps(document, ensure_ascii=False).encode())


def _forged_evidence(folder: Folder, random: Random) -> None:
    data = folder.whole[EXPECTED]
    header = 8 + int.from_bytes(data[:8], "little")
    changed = one_byte(data, random, header) if random.random() < 0.8 else harmed(data, random)
    _refiled(folder, EXPECTED, changed)


def _forged_file(folder: Folder, random: Random) -> None:
    names = [name for name in sorted(folder.whole) if name not in (MANIFEST, DIGEST, EXPECTED)]
    name = str(random.choice(names))
    _refiled(folder, name, one_byte(folder.whole[name], random))


CHANGES: Mapping[str, Callable[[Folder, Random], None]] = {
    "one byte": _byte,
    "cut, longer, turned or with more inside": _harm,
    "two files for each other": _swap,
    "a file less": _less,
    "a file more": _more,
    "a link for a file": _link,
    "an empty folder": _empty,
    "a file renamed": _renamed,
    "forged: one byte of the manifest": _forged_byte,
    "forged: the manifest cut or longer": _forged_text,
    "forged: another value in the manifest": _forged_value,
    "forged: a manifest to choke on": _forged_shape,
    "forged: the evidence": _forged_evidence,
    "forged: another file": _forged_file,
}
"""Kind to change. Of a forged one all digests fit: readers must bear it, and `--digest` refuses it."""
