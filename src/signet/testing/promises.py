"""Promises, and what is said when one is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from signet.errors import CheckFailed, SignetError

Subject = TypeVar("Subject")
Check = Callable[[Subject], None]


def keep(checks: Sequence[Check[Subject]], subject: Subject, suite: str) -> None:
    """Make every check; the first broken promise ends it.

    Raises:
        CheckFailed: naming the suite, the check and what was found.
    """
    for check in checks:
        name = check.__name__.replace("_", " ").strip()
        try:
            check(subject)
        except CheckFailed as failed:
            raise CheckFailed(f"{suite}: {name}: {failed}") from failed
        except Exception as error:
            raise CheckFailed(f"{suite}: {name}: unexpected {type(error).__name__}: {error}") from error


def promise(kept: bool, otherwise: str) -> None:
    """Say what is wrong when something does not hold.

    Raises:
        CheckFailed: it does not.
    """
    if not kept:
        raise CheckFailed(otherwise)


@contextmanager
def refused(kind: type[SignetError], what: str, *words: str) -> Iterator[None]:
    """What is done inside must be refused with one kind of error, whose message holds these words.

    Raises:
        CheckFailed: it was accepted, refused with another error, or with a message that lacks a word.
    """
    try:
        yield
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        promise(not missing, f"{what} must be refused with a message that says {missing}; got: {error}")
    except Exception as error:
        raise CheckFailed(
            f"{what} must be refused with {kind.__name__}, got {type(error).__name__}: {error}"
        ) from error
    else:
        raise CheckFailed(f"{what} must be refused with {kind.__name__}, and was accepted")
