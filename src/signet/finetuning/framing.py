"""At which size and by which program whole pictures are shown to a network that answers where things are."""

from __future__ import annotations

from signet.geometry import Size
from signet.programs import Program
from signet.steps import GEOMETRIC, Pad, Read, Resize

MULTIPLE = 32
"""Of which sides are whole multiples: the coarsest stride of backbones and pyramids."""
MOST_SHORT = 512
"""The short side where the recipe states none and the pictures are larger."""
_GREY = 128


def size_for(short: int | None, typical: Size, most_short: int = MOST_SHORT) -> Size:
    """(height, width) to train and predict at: the pictures' own proportions, whole multiples of 32.

    Args:
        short: the short side; None for the pictures' own.
        typical: (height, width) that the pictures have.
        most_short: of the short side, where `short` is None.
    """
    factor = (short or min(*typical, most_short)) / min(typical)
    height, width = (max(MULTIPLE, round(side * factor / MULTIPLE) * MULTIPLE) for side in typical)
    return height, width


def program_for(program: Program, size: Size) -> Program:
    """The network's own numbers on the whole picture: fitted into the size, with grey beside it.

    The grey is the network's own where its program has one.
    """
    first = program.steps[0]
    reading = first if isinstance(first, Read) else Read()
    numbers = (step for step in program.steps if not isinstance(step, GEOMETRIC))
    greys = [step.value for step in program.steps if isinstance(step, Pad)]
    fitted = Resize(size=size, fit="pad", rounding="round")
    return Program((reading, fitted, Pad(to=size, value=greys[0] if greys else _GREY), *numbers))
