"""Programs that use an exported file without Signet: what its platform has, and the card beside the file.

in_python ── numpy, Pillow and the file's runtime
in_javascript ── ONNX Runtime Web under Node, or in a browser
in_cpp ── ONNX Runtime and stb_image.h
in_kotlin ── Android: ONNX Runtime or LiteRT; never run here
in_swift ── Apple's systems: Core ML or ONNX Runtime; never run here
calls ── the steps of a program, as all but Python write them
"""

from __future__ import annotations

from typing import NamedTuple

from signet.cards import Card
from signet.errors import BadRequest
from signet.exporting.snippets import in_cpp, in_javascript, in_kotlin, in_python, in_swift
from signet.exporting.snippets.words import CannotSay

ENDINGS = {"python": ".py", "javascript": ".mjs", "cpp": ".cpp", "kotlin": ".kt", "swift": ".swift"}
"""Language to the ending of its programs."""


class Snippet(NamedTuple):
    """A program, or why there is none.

    Attributes:
        text: of the program; None where there is none.
        reason: why there is none.
    """

    text: str | None
    reason: str = ""


def check_language(language: str | None) -> None:
    """Refuse a language that no snippet is written in.

    Raises:
        BadRequest: naming those that there are.
    """
    if language is not None and language not in ENDINGS:
        raise BadRequest(f"snippet: expected one of {', '.join(ENDINGS)}, or none; got {language!r}.")


def snippet_of(card: Card, to: str, language: str, file: str) -> Snippet:
    """A program that reads an image, prepares it as the card says, runs the file, and prints what it saw.

    Args:
        card: of the exported file.
        to: its format.
        language: one of `ENDINGS`.
        file: its name.
    """
    try:
        match language:
            case "javascript":
                return Snippet(in_javascript.written(card, to, file))
            case "cpp":
                return Snippet(in_cpp.written(card, to, file))
            case "kotlin":
                return Snippet(in_kotlin.written(card, to, file))
            case "swift":
                return Snippet(in_swift.written(card, to, file))
            case _:
                return Snippet(in_python.written(card, to, file))
    except CannotSay as reason:
        return Snippet(None, str(reason))
