"""What an audit of a dataset found: findings with their evidence, frozen, and plain JSON with `to_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from signet.errors import BadInput
from signet.notebooks import table

Severity = Literal["severe", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note")
"""From the worst on. Severe: what is learned or measured would be wrong, or files cannot be used at all.
Warning: probably a mistake, or it costs accuracy. Note: good to know."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Images that show a finding together: the copies of one picture, or one image by itself.

    Attributes:
        sources: their files.
        captions: a few words for each: its label, its split.
        note: what is to be seen.
    """

    sources: tuple[str, ...]
    captions: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.captions):
            raise BadInput(
                f"exhibit: expected a caption for each of {len(self.sources)} images, "
                f"got {len(self.captions)}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"sources": list(self.sources), "captions": list(self.captions), "note": self.note}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, over all the images that have it.

    Attributes:
        kind: a name of the table of kinds, the same in every version.
        severity: by the rule of its kind.
        message: what was found, in one or two sentences.
        sources: the files that it concerns, each once; none where it concerns the dataset as a whole.
        fix: what to do about it: a sentence or a command.
        together: files that are one picture, or of one group, where the finding is about such.
        exhibits: the evidence that can be looked at, the worst first.
        details: figures, plain JSON.
    """

    kind: str
    severity: Severity
    message: str
    sources: tuple[str, ...] = ()
    fix: str = ""
    together: tuple[tuple[str, ...], ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "sources": list(self.sources),
            "message": self.message,
            "fix": self.fix,
            "together": [list(group) for group in self.together],
            "exhibits": [exhibit.to_dict() for exhibit in self.exhibits],
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        dataset: what was audited, as it was named.
        images: how many rows it has.
        findings: the worst first.
        checks: what was looked for, in words.
        skipped: what was not looked for, and why, in sentences.
        seconds: wall time.
        provenance: fingerprint of the dataset, model, versions, date.
    """

    dataset: str
    images: int
    findings: tuple[Finding, ...]
    checks: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity."""
        return {name: sum(finding.severity == name for finding in self.findings) for name in SEVERITIES}

    @property
    def ok(self) -> bool:
        """Nothing severe was found."""
        return not self.counts["severe"]

    def of(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "dataset": self.dataset,
            "images": self.images,
            "findings": [finding.to_dict() for finding in self.findings],
            "counts": dict(self.counts),
            "checks": list(self.checks),
            "skipped": list(self.skipped),
            "seconds": round(self.seconds, 3),
            "provenance": dict(self.provenance),
        }

    def _repr_html_(self) -> str:
        rows = [
            (finding.severity, finding.kind, str(len(finding.sources) or ""), finding.message, finding.fix)
            for finding in self.findings
        ]
        caption = f"{self.dataset}: {self.images:,} images, " + ", ".join(
            f"{count} {name}" for name, count in self.counts.items()
        )
        return table(("severity", "kind", "files", "found", "what to do"), rows, caption=caption, right=(2,))
