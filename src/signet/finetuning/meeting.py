"""Several processes that train together: where they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signet.errors import MissingExtra

if TYPE_CHECKING:
    from signet.training import Ranks


def meeting(processes: int, device: str) -> Ranks | None:
    """This process among those that were started together; None where it is the only one.

    Raises:
        BadRequest: another number was started.
        MissingExtra: torch or accelerate is not installed.
    """
    if processes == 1:
        return None
    try:
        from signet.training import ranks_of
    except ImportError as error:
        raise MissingExtra("Training in several processes", "train", "torch") from error
    return ranks_of(processes, device)
