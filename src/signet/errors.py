"""Every error that Signet raises on purpose, in one tree.

    SignetError
    ├── BadRequest                asked wrongly: the caller can ask better
    │   ├── UnknownName           a name that nobody knows; carries near misses
    │   ├── WrongTask             this model or dataset does another task
    │   ├── MissingExtra          an optional part is not installed; carries the install line
    │   └── AlreadyExists         the output is there and --overwrite was not given
    ├── BadInput                  an image or a file that cannot be used as what it was given for
    │   ├── BadDataset            a dataset that cannot be read as one
    │   ├── BadCard               a card, program or recipe that breaks its schema
    │   └── BadGraph              a network graph that cannot be opened or cut
    ├── HubError                  weights that could not be had
    │   ├── OfflineMiss           not here, and looking further was forbidden
    │   └── DigestMismatch        the bytes are not the ones that were promised
    ├── SealError                 a sealed model that must not be trusted
    │   ├── Tampered              a file is missing, unlisted, or differs from its digest
    │   └── UnsupportedFormat     written in a later major format
    ├── EngineError               the engine could not compile or run the network
    ├── ProcessLost               another process of a training has ended; what is written can be resumed
    ├── CheckFailed               a check said no
    │   └── Diverged              what is learned is no longer a finite number
    ├── Refused                   a gate (licence, accuracy drop, trust) said no
    └── Interrupted               stopped half way; what is written can be resumed

A message says what is wrong, what was expected, what was received, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class SignetError(Exception):
    """Root of the tree: `except SignetError` catches all that Signet raises on purpose."""


class BadRequest(SignetError):
    """The call itself is wrong: an option, a combination, a value out of range."""


class UnknownName(BadRequest):
    """A model, label, option or key that nobody knows.

    Attributes:
        name: what was asked for.
        near: known names that look like it, best first.
        ambiguous: several are called so, and none was named.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], hint: str = "", *, ambiguous: bool = False
    ) -> None:
        self.name = name
        self.ambiguous = ambiguous
        self.near = near_misses(name, known)
        message = f"No {kind} named {name!r}."
        if self.near:
            message += f" Did you mean {' or '.join(repr(near) for near in self.near)}?"
        if hint:
            message += f" {hint}"
        super().__init__(message)


class WrongTask(BadRequest):
    """A model or dataset of one task was used for another."""


class MissingExtra(BadRequest):
    """An optional part of Signet is not installed."""

    def __init__(self, what: str, extra: str, package: str = "") -> None:
        self.extra = extra
        because = f" ({package} is not installed)" if package else ""
        super().__init__(
            f"{what} needs the extra {extra!r}{because}. Install it with: "
            f"python -m pip install 'signet[{extra}]'"
        )


class AlreadyExists(BadRequest):
    """The output exists; nothing is overwritten unless that is asked for."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} exists already and is not overwritten. Give another --out, or --overwrite to replace it."
        )


class BadInput(SignetError):
    """A file that cannot be used as what it was given for."""


class BadDataset(BadInput):
    """A folder or table that cannot be read as a dataset."""


class BadCard(BadInput):
    """A card, program or recipe that breaks its schema."""


class BadGraph(BadInput):
    """A network graph that cannot be opened, or not cut or joined where asked."""


class HubError(SignetError):
    """Weights that could not be had from package, cache, mirror or hub."""


class OfflineMiss(HubError):
    """The weights are not on this machine and the network may not be used."""


class DigestMismatch(HubError):
    """Bytes whose sha256 is not the one that was pinned or locked."""


class SealError(SignetError):
    """A sealed model that must not be used."""


class Tampered(SealError):
    """A file of the seal is missing, unlisted, or differs from its digest."""


class UnsupportedFormat(SealError):
    """A seal written in a major format that this version does not read."""


class EngineError(SignetError):
    """An engine could not compile or run a network."""


class ProcessLost(SignetError):
    """Of several processes that train together another one has ended."""


class CheckFailed(SignetError):
    """A check was made and said no."""


class Diverged(CheckFailed):
    """A loss, a gradient or a figure of a training is no longer a finite number; lower rates may help."""


class Refused(SignetError):
    """A gate (licence, accuracy drop, trust) said no."""


class Interrupted(SignetError):
    """Stopped half way; what is written is whole and can be resumed."""


def near_misses(name: str, known: Iterable[str], most: int = 3) -> Sequence[str]:
    """Known names that look like `name`, best first, at most `most`.

    A name is compared with the whole known name and with its part after the zoo, so that `resnet5`
    finds `timm/resnet50.a1_in1k`.
    """
    wanted = name.lower()
    scores: list[tuple[float, str]] = []
    for candidate in known:
        parts = {candidate.lower(), candidate.lower().rsplit("/", 1)[-1]}
        parts |= {part.split(".", 1)[0] for part in parts}
        ratio = max(difflib.SequenceMatcher(None, wanted, part).ratio() for part in parts)
        if ratio >= 0.7:
            scores.append((-ratio, candidate))
    return [candidate for _, candidate in sorted(scores)[:most]]
