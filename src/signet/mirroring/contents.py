"""What a mirror holds, for people who choose from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.cards import DigestTrust, Licence
from signet.errors import SignetError
from signet.hub.folders import in_folder, names_below
from signet.hub.names import place_of
from signet.mirroring.manifest import read_manifest
from signet.mirroring.verifying import require_mirror
from signet.resolving import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One model of a mirror.

    Attributes:
        name: what every command takes as MODEL.
        size_bytes: of all its files.
        licence: of the weights, or None where the folder could not be read.
        task: "classify" ...; empty where the folder could not be read.
        parameters: trainable values, or None.
        trust: how its digest is known.
        fault: why it cannot be used; empty when nothing is known against it.
    """

    name: str
    size_bytes: int
    licence: Licence | None = None
    task: str = ""
    parameters: int | None = None
    trust: DigestTrust = "unknown"
    fault: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        licence = self.licence
        stated = (
            None
            if licence is None
            else {"weights": licence.weights, "stated": licence.stated, "verdict": licence.verdict}
        )
        plain = {
            "name": self.name,
            "size_bytes": self.size_bytes,
            "licence": stated,
            "task": self.task,
            "parameters": self.parameters,
            "trust": self.trust,
        }
        return {**plain, "fault": self.fault} if self.fault else plain


def contents(folder: str | Path) -> tuple[Held, ...]:
    """The models of a mirror by name: those of its manifest, and those that lie there besides.

    Nothing that the manifest lists is hashed; `verify` does that.

    Raises:
        BadRequest: there is no such folder.
        BadInput: the manifest is damaged or of a later major format.
    """
    root = require_mirror(folder)
    listed = read_manifest(root) or {}
    found = {*listed, *names_below(root, lambda place: (place / "config.json").is_file())}
    rows = []
    for name in sorted(found):
        model = listed.get(name)
        if model is None:
            rows.append(_unlisted(root, name))
            continue
        rows.append(
            Held(
                name=name,
                size_bytes=model.size_bytes,
                licence=model.licence,
                task=model.task,
                parameters=model.parameters,
                trust=model.trust,
                fault="" if (root / name).is_dir() else "its folder is missing",
            )
        )
    return tuple(rows)


def _unlisted(root: Path, name: str) -> Held:
    """A folder made by hand, as far as it can be read."""
    try:
        place = place_of(name, root)
        weights = in_folder(place)
        card = resolve(place).card
    except SignetError as error:
        return Held(name=name, size_bytes=0, fault=str(error))
    return Held(
        name=name,
        size_bytes=0 if weights is None else weights.weights.stat().st_size,
        licence=card.licence,
        task=card.task,
        parameters=card.parameters,
        trust=card.digest_trust,
    )
