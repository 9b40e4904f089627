"""Random changes to the zip of a seal: bytes of its headers and of its files, and structure."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence

from tampering.folders import NAMES, Contents, Random, harmed, one_byte

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_FIELDS = {
    "crc": (16, "<I"),
    "packed size": (20, "<I"),
    "size": (24, "<I"),
    "offset": (42, "<I"),
    "method": (10, "<H"),
}
"""Name to place and format of fields of the central directory (APPNOTE 6.3.10, section 4.3.12)."""
_ODD = {"<I": (0, 1, 2**31, 2**32 - 2, 2**32 - 1), "<H": (1, 8, 9, 12, 14, 99, 2**16 - 1)}
_BOMB_BYTES = 24 * 2**20


def packed(entries: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with these entries, whatever they are called."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name, data in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            archive.writestr(entry, data, compresslevel=1)
    return out.getvalue()


def _directory(data: bytes) -> int:
    """Where the central directory begins."""
    return int(struct.unpack_from("<I", data, data.rindex(_END) + 16)[0])


def _byte(whole: bytes, files: Contents, random: Random) -> bytes:
    del files
    return one_byte(whole, random)


def _header_byte(whole: bytes, files: Contents, random: Random) -> bytes:
    """Half in the directory, half in the header before a file."""
    del files
    start = _directory(whole)
    if random.random() < 0.5:
        return whole[:start] + one_byte(whole[start:], random)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = archive.infolist()
    entry = entries[int(random.integers(len(entries)))]
    place, length = entry.header_offset, 30 + len(entry.filename)
    return whole[:place] + one_byte(whole[place : place + length], random) + whole[place + length :]


def _harm(whole: bytes, files: Contents, random: Random) -> bytes:
    del files
    return harmed(whole, random)


def _before(whole: bytes, files: Contents, random: Random) -> bytes:
    del files
    return random.bytes(int(random.integers(1, 4096))) + whole


def _field(whole: bytes, files: Contents, random: Random) -> bytes:
    """A field of the directory says something else: huge sizes, other places, other methods."""
    del files
    place = _directory(whole)
    for _ in range(int(random.integers(whole.count(_CENTRAL, place)))):
        place = whole.index(_CENTRAL, place + 4)
    offset, form = _FIELDS[str(random.choice(sorted(_FIELDS)))]
    changed = bytearray(whole)
    struct.pack_into(form, changed, place + offset, _ODD[form][int(random.integers(len(_ODD[form])))])
    return bytes(changed)


def _count(whole: bytes, files: Contents, random: Random) -> bytes:
    """The end of the directory states another count, size or place of it."""
    del files
    changed = bytearray(whole)
    offset, form = ((8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H"))[int(random.integers(5))]
    struct.pack_into(form, changed, whole.rindex(_END) + offset, int(random.integers(0, 2**16)))
    return bytes(changed)


def _twice(whole: bytes, files: Contents, random: Random) -> bytes:
    del whole
    name = str(random.choice(sorted(files)))
    again = name if random.random() < 0.5 else name.upper()
    data = files[name] if random.random() < 0.5 else random.bytes(64)
    return packed([*files.items(), (again, data)])


def _less(whole: bytes, files: Contents, random: Random) -> bytes:
    del whole
    gone = str(random.choice(sorted(files)))
    return packed([(name, data) for name, data in files.items() if name != gone])


def _more(whole: bytes, files: Contents, random: Random) -> bytes:
    del whole
    names = [name for name in NAMES if name not in ("", "\0")]
    return packed([*files.items(), (names[int(random.integers(len(names)))], b"more")])


def _swap(whole: bytes, files: Contents, random: Random) -> bytes:
    del whole
    one, other = (str(name) for name in random.choice(sorted(files), 2, replace=False))
    return packed(list((dict(files) | {one: files[other], other: files[one]}).items()))


def _bomb(whole: bytes, files: Contents, random: Random) -> bytes:
    """A small file that would be a large one; sometimes in the place of a file that is sealed."""
    del whole
    name = str(random.choice([*sorted(files), "more"]))
    small = {name: data for name, data in files.items() if len(data) < 2**16}
    return packed(list((small | {name: bytes(_BOMB_BYTES)}).items()), zipfile.ZIP_DEFLATED)


def _again(whole: bytes, files: Contents, random: Random) -> bytes:
    """The same files in another order, deflated: another zip of the same seal."""
    del whole
    rows = list(files.items())
    method = zipfile.ZIP_DEFLATED if random.random() < 0.1 else zipfile.ZIP_STORED
    return packed([rows[place] for place in random.permutation(len(rows))], method)


CHANGES: Mapping[str, Callable[[bytes, Contents, Random], bytes]] = {
    "zip: one byte": _byte,
    "zip: one byte of a header": _header_byte,
    "zip: cut, longer, turned or with more inside": _harm,
    "zip: more before it": _before,
    "zip: another size, place or method of a file": _field,
    "zip: another end": _count,
    "zip: a file twice": _twice,
    "zip: a file less": _less,
    "zip: a file more": _more,
    "zip: two files for each other": _swap,
    "zip: a bomb": _bomb,
    "zip: packed again": _again,
}
"""Kind to change: the zip and what it holds, to another zip."""
