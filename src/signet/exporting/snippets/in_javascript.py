"""A JavaScript program for an exported ONNX file: ONNX Runtime Web, and readers of JPEG and PNG from npm.

A canvas resizes otherwise on each browser, so the program brings its own resampling, Pillow's.
"""

from __future__ import annotations

import json

from signet.cards import Card
from signet.exporting.snippets import calls, words

_LANGUAGE = calls.Language(template="javascript.txt", literal=json.dumps, dtypes=('"float32"', '"uint8"'))


def written(card: Card, to: str, file: str) -> str:
    """The program.

    Raises:
        CannotSay: there is none for this model, or for this format.
    """
    if to != "onnx":
        raise words.CannotSay("JavaScript programs are for ONNX files")
    place = card.output.tensor
    output = json.dumps(place) if isinstance(place, str) else f"SESSION.outputNames[{place}]"
    return calls.written(card, file, _LANGUAGE, {"OUTPUT": output})
