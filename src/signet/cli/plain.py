"""The plainest command line, `signet predict MODEL IMAGE...`, without the reader of all command lines.

That reader and the checks of types behind it are a third of the start-up of a prediction. What is not plain
is left to it, errors and help too, so that both answer alike: a test holds their requests to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signet.cli.predict_images import Request

_FLAGS = frozenset(("--quiet", "-q", "--json", "--offline", "--strict"))


def request(words: Sequence[str]) -> Request | None:
    """What these words ask for, or None where they are not plain.

    Args:
        words: of the command line, without the program's name. Plain are `predict`, a model, one input or
            more, and among them flags that take no value.
    """
    if not words or words[0] != "predict":
        return None
    flags = {word for word in words[1:] if word.startswith("-")}
    model, *inputs = [word for word in words[1:] if word not in flags] or [""]
    if not model or not inputs or not flags <= _FLAGS:
        return None
    from signet.cli.opening import RunOptions
    from signet.cli.predict_images import Request

    return Request(
        model=model,
        inputs=inputs,
        options=RunOptions(offline="--offline" in flags),
        strict="--strict" in flags,
        as_json="--json" in flags,
        quiet=bool({"--quiet", "-q"} & flags),
    )
