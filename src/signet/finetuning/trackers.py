"""The figures of a training, as they come, for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signet.errors import MissingExtra


class TensorBoard:
    """Event files in a folder: each figure of an epoch is a curve of its name.

    Nothing is written before there is something to write. The first history replaces the event files that an
    earlier process has left in the folder: it has all epochs, theirs too.
    """

    def __init__(self, folder: Path) -> None:
        """See above.

        Args:
            folder: made when missing.

        Raises:
            MissingExtra: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra("--tracker tensorboard", "tensorboard", "tensorboard") from error
        self._folder, self._make = folder, SummaryWriter
        self._writer: Any = None
        self._written = 0

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Add the epochs that are new.

        Args:
            history: a row of figures for each epoch so far.
        """
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for earlier in self._folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            self._writer = self._make(str(self._folder))
        for place, row in enumerate(history):
            if place >= self._written:
                for name, value in row.items():
                    if name != "epoch":
                        self._writer.add_scalar(name, value, int(row.get("epoch", place)))
        self._written = max(self._written, len(history))
        self._writer.flush()

    def close(self) -> None:
        """Let go of the files."""
        if self._writer is not None:
            self._writer.close()
