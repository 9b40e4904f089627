"""What the snippets of all languages have in common: what they can say, and remarks for their readers."""

from __future__ import annotations

from signet.cards import Card
from signet.naming import shown
from signet.programs import Program
from signet.steps import GEOMETRIC, Pad, Resize


class CannotSay(Exception):
    """Why there is no snippet for a model."""


def check(card: Card) -> None:
    """Refuse what a short program cannot do.

    Raises:
        CannotSay: the task needs a decoder of boxes or maps, or a step has no short form.
    """
    if card.output.head not in ("softmax", "sigmoid", "embedding"):
        raise CannotSay(
            f"the outputs of the head {card.output.head!r} take more than a short program to read; "
            "docs/seal-format.md, section 6.1, says how"
        )
    geometric, numeric = _parts(card.program)
    if any(isinstance(step, GEOMETRIC) for step in numeric):
        raise CannotSay("the program resizes or crops after it computes with numbers")
    for step in geometric:
        if isinstance(step, Resize) and not step.antialias and step.filter != "nearest":
            raise CannotSay(f"platforms differ in what they do to {step.words()!r}")
        if isinstance(step, Resize) and (step.lengths or step.multiple or step.longest):
            raise CannotSay(f"the lengths of {step.words()!r} have no short form")
        if isinstance(step, Pad) and step.multiple:
            raise CannotSay(f"{step.words()!r} has no short form")


def _parts(program: Program) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """The steps before the first numeric one, and the rest."""
    first = next(
        (place for place, step in enumerate(program.steps) if not isinstance(step, GEOMETRIC)),
        len(program.steps),
    )
    return program.steps[:first], program.steps[first:]


def safe(text: str) -> str:
    """A hostile name, as part of a comment or a literal in any of the languages."""
    kept = shown(text).replace("\\", "/").replace('"', "'").replace("*/", "*")
    return "".join(letter if letter.isprintable() and ord(letter) < 0x2028 else "?" for letter in kept)
