"""A bounded reader of protobuf messages that needs no protobuf library and copies no data.

Source: Protocol Buffers, Encoding (tag = field number << 3 | wire type).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; groups (3 and 4) are older than all the formats that are read here."""

MOST_BYTES = 2**31 - 1
"""Protocol Buffers refuse larger messages."""
MOST_NAME_BYTES = 4096


class FieldReader:
    """Reads the fields of messages inside one file, with a budget of fields for the whole file.

    Args:
        data: the file.
        most_fields: more are made to keep the reader busy.
    """

    def __init__(self, data: mmap.mmap | bytes, most_fields: int) -> None:
        self._data = data
        self._most = self._budget = most_fields

    def messages(self, position: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Each length-delimited field of one message: its number, and where its bytes start and end.

        Raises:
            ValueError: cut short, not protobuf, or over the budget.
        """
        for number, wire, first, last in self.fields(position, end):
            if wire == BYTES:
                yield number, first, last

    def fields(self, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Each field of one message: number, wire type, and where its bytes start and end.

        A number (VARINT) stands in the place of the start, and 0 in that of the end.

        Raises:
            ValueError: cut short, not protobuf, or over the budget.
        """
        data = self._data
        while position < end:
            self._budget -= 1
            if self._budget < 0:
                raise ValueError(f"more than {self._most} fields")
            tag, position = self._varint(position, end)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 2**29:
                raise ValueError(f"field number {number} at byte {position}")
            if wire == BYTES:
                length, position = (
                    (data[position], position + 1)
                    if position < end and data[position] < 0x80
                    else self._varint(position, end)
                )
                if length > end - position:
                    raise ValueError(
                        f"cut short: {length} bytes stated at byte {position}, {end - position} there"
                    )
                yield number, wire, position, position + length
                position += length
            elif wire == VARINT:
                value, position = self._varint(position, end)
                yield number, wire, value, 0
            elif wire in (FIXED64, FIXED32):
                length = 8 if wire == FIXED64 else 4
                yield number, wire, position, position + length
                position += length
            else:
                raise ValueError(f"wire type {wire} at byte {position}")
        if position != end:
            raise ValueError("cut short within a number")

    def text(self, start: int, end: int) -> str:
        """A name.

        Raises:
            ValueError: too long for one, or not UTF-8.
        """
        if end - start > MOST_NAME_BYTES:
            raise ValueError(f"a name is longer than {MOST_NAME_BYTES} bytes")
        return self._data[start:end].decode("utf-8")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """A number of up to 10 bytes, 7 bits each, lowest first; and the position after it."""
        value = shift = 0
        while shift < 70:
            if position >= end:
                raise ValueError("cut short within a number")
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        raise ValueError(f"a number of more than 10 bytes at byte {position}")
