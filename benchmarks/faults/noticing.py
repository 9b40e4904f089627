"""Who notices a mistake, when, and in which words; no Signet here, so that any Python can take its part."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

When = Literal["before use", "at use", "not", "impossible", "does not apply"]
"""Before the first answer is used; while it is used; not at all; the documented way leaves no room for the
mistake; or the library does nothing of the kind."""

UNMEANT = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ResourceWarning)
"""Warnings that are about the library itself."""

OF_SOUND = ("TracerWarning", "Constant folding")
"""Warnings that programs with nothing wrong give as well: Keras's export, by torch's tracing."""

LONGEST = 300
"""Characters of a message that are kept."""


@dataclass(frozen=True)
class Noticed:
    """What one system says of one mistake.

    Attributes:
        fault: its name.
        system: "signet", "timm" ...
        when: it was noticed.
        by: the command or call that noticed it; for "impossible" and "does not apply", why.
        message: its words, "" where there are none.
    """

    fault: str
    system: str
    when: When
    by: str
    message: str = ""


class Watch:
    """Where a program is: a program calls `using` when what it prepared is first used."""

    def __init__(self) -> None:
        self.used = False
        self.by = ""

    def using(self, by: str) -> None:
        """From here on answers are asked for."""
        self.used, self.by = True, by


Faulty = Callable[[Watch], object]
"""A program with a mistake in it. It raises what its library raises."""


def watched(fault: str, system: str, program: Faulty) -> Noticed:
    """Run a program with a mistake; an error, a warning or a logged warning of its library is a notice."""
    watch = Watch()
    heard: list[tuple[bool, str]] = []
    with _listening(watch, heard):
        try:
            program(watch)
        except Exception as error:  # noqa: BLE001  (whatever it raises is what it says)
            heard.append((watch.used, f"{type(error).__name__}: {error}"))
    if not heard:
        return Noticed(fault, system, "not", watch.by)
    used, message = heard[0]
    return Noticed(fault, system, "at use" if used else "before use", watch.by, shortened(message))


def shortened(message: str) -> str:
    """One line of at most `LONGEST` characters."""
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


@contextlib.contextmanager
def _listening(watch: Watch, heard: list[tuple[bool, str]]) -> Iterator[None]:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append((watch.used, f"{record.levelname.lower()}: {record.getMessage()}"))

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        words = f"{category.__name__}: {message}"
        if not issubclass(category, UNMEANT) and not any(known in words for known in OF_SOUND):
            heard.append((watch.used, words))

    handler, before = Handler(logging.WARNING), warnings.showwarning
    loggers = [logging.getLogger(), logging.getLogger("transformers")]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment]
        for logger in loggers:
            logger.addHandler(handler)
        try:
            yield
        finally:
            warnings.showwarning = before
            for logger in loggers:
                logger.removeHandler(handler)


class Record:
    """Finished rows, one JSON line each, so that a run can be stopped and called again.

    Args:
        file: the lines; made when the first row is added.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """All that is finished; of two answers to one question the later one."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        rows = [json.loads(line) for line in lines]
        return list({(row["fault"], row["system"]): row for row in rows}.values())

    def has(self, fault: str, system: str) -> bool:
        """Whether a system's part of a fault is finished."""
        return any(row["fault"] == fault and row["system"] == system for row in self.rows())

    def add(self, row: Noticed) -> None:
        """One more."""
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(row)) + "\n")
        print(f"{row.system:12} {row.when:15} {row.fault}: {row.message or row.by}", flush=True)
