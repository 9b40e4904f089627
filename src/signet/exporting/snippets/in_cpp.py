"""A C++17 program for an exported ONNX file: ONNX Runtime's C++ interface, and stb_image.h for reading."""

from __future__ import annotations

from signet.cards import Card
from signet.exporting.snippets import calls, words


def _literal(text: str) -> str:
    """A text as UTF-8 in a literal; all but plain ASCII in octal, which ends after three digits by itself."""
    plain = {'"': '\\"', "\\": "\\\\", "?": "\\?"}
    letters = (
        plain.get(chr(byte), chr(byte)) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "replace")
    )
    return f'"{"".join(letters)}"'


_LANGUAGE = calls.Language(template="cpp.txt", literal=_literal, dtypes=("float", "std::uint8_t"))


def written(card: Card, to: str, file: str) -> str:
    """The program.

    Raises:
        CannotSay: there is none for this model, or for this format.
    """
    if to != "onnx":
        raise words.CannotSay("C++ programs are for ONNX files")
    place = card.output.tensor
    output = (
        _literal(place)
        if isinstance(place, str)
        else f"session.GetOutputNameAllocated({place}, allocator).get()"
    )
    labels = "\n".join(f"    {_literal(label)}," for label in card.labels or ())
    return calls.written(card, file, _LANGUAGE, {"OUTPUT": output, "LABELS": labels})
