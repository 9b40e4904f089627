"""What a run over a video found: frames, counts, and what a person should know of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet.naming import shown


@dataclass(slots=True)
class Film:
    """How far one video is."""

    source: str
    totals: Any
    lines: int = 0
    failed: int = 0
    lost: int = 0
    drawn: Path | None = None
    codec: str = ""
    followed: dict[str, int] | None = None
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        totals = self.totals.to_dict()
        if self.followed is not None:
            for label, tally in totals.items():
                tally["followed"] = self.followed.get(label, 0)
        return {
            "source": self.source,
            "frames": self.lines,
            "failed": self.failed,
            "passed_over": self.lost,
            "drawn": None if self.drawn is None else str(self.drawn),
            "codec": self.codec or None,
            "totals": totals,
        }

    def add(self, watched: Any) -> None:
        """Count one more frame."""
        self.lines += 1
        self.failed += watched.answered.error is not None
        self.lost = watched.frame.number + 1 - self.lines
        if watched.counts is not None:
            self.totals = self.totals.and_then(watched.counts)
        if self.followed is not None:
            for label, number in (watched.new or {}).items():
                self.followed[label] = self.followed.get(label, 0) + number

    def end(self, facts: Any) -> None:
        """Note what a person should know of a video that was read to its end."""
        name = shown(self.source)
        came = self.lines + self.lost
        missing = 0 if facts.frames is None else facts.frames - came
        if missing > (0 if facts.exact else max(2, facts.frames // 50)):
            about = "" if facts.exact else "about "
            self.remarks.append(
                f"{name}: {about}{facts.frames:,} frames were expected, {came:,} came: it is cut off "
                "or damaged"
            )
        if facts.audio and self.drawn is not None:
            self.remarks.append(f"{name}: its sound is not in {shown(self.drawn)}")

    def report(self, score: float | None) -> Iterator[str]:
        """What was counted, what was drawn, and what is wrong with the file, line by line."""
        name = shown(self.source)
        failed = f", {self.failed:,} of them without an answer" if self.failed else ""
        lost = f"; {self.lost:,} more came while there was no time for them" if self.lost else ""
        if self.lines == self.failed == 1:
            return  # it could not be opened, and was said
        yield f"{name}: {_frames(self.lines)}{failed}{lost}"
        for label, tally in self.totals.to_dict().items():
            number = (self.followed or {}).get(label, 0)
            different = "" if self.followed is None else f", {number:,} different ones"
            yield (
                f"{name}: {shown(label)}: {tally['objects']:,} in {_frames(tally['pictures'])}, at most "
                f"{tally['most']:,} at once{different} (score {score or 0:.2f} and more)"
            )
        if self.codec and self.drawn is not None:
            yield f"{name}: drawn in {shown(self.drawn)} ({self.codec})"
        yield from self.remarks


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count:,} frames"
