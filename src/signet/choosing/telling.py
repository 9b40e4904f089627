"""What a choice says in words: why a candidate stands where it does, and what the next one costs or saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from signet.choices import Contender
from signet.choosing.posterior import Seen
from signet.choosing.priors import Stated
from signet.choosing.race import Raced


def why(stated: Stated, seen: Seen, stopped: str) -> str:
    """What a candidate is ranked by."""
    parts = []
    right = seen.right
    if right is None:
        parts.append("not measured: ranked by what is published")
    else:
        probe = "probe" if seen.final is not None else "quick probe"
        parts.append(f"{probe}: {100 * right.mean():.1f} % of {len(right):,} images")
    if stated.prior.top1 is None:
        parts.append("no ImageNet figure")
    else:
        parts.append(f"ImageNet {100 * stated.prior.top1:.1f} %, {stated.words}")
    if stopped:
        parts.append(f"stopped: {stopped}")
    return "; ".join(parts)


def runner_up(ranking: Sequence[Contender], pick: Contender) -> str:
    """What the next one loses, and what it costs or saves; "" where there is none."""
    other = next((row for row in ranking if row.name != pick.name), None)
    if other is None:
        return ""
    points = 100 * (pick.expected - other.expected)
    parts = [f"{abs(points):.1f} points {'less' if points >= 0 else 'more'} expected"]
    ratio = other.milliseconds / max(pick.milliseconds, 1e-9)
    pace = "as fast" if 0.95 < ratio < 1.05 else f"{ratio:.2f} times the time"
    parts.append(f"{pace} ({other.milliseconds:.1f} ms instead of {pick.milliseconds:.1f})")
    if other.size_bytes and pick.size_bytes:
        parts.append(f"{other.size_bytes / 1e6:.1f} MB instead of {pick.size_bytes / 1e6:.1f}")
    return f"{other.name}: {', '.join(parts)}"


def far(share: float) -> str:
    """That the domain is far from what the networks know."""
    taken = f"only {100 * share:.0f} %" if share > 0 else "none"
    return (
        f"Far domain: the best network's features take away {taken} of the mistakes that a probe on bare "
        "thumbnails makes. Published accuracies say little here; consider fine-tuning whole networks, or "
        "training from scratch."
    )


def beyond_a_probe(ranking: Sequence[Contender], pick: Contender) -> str:
    """That the pick can only be probed, and which one could be trained further; "" where there is none."""
    other = next((row for row in ranking if row.trainable), None)
    if pick.trainable or other is None:
        return ""
    points = 100 * (pick.expected - other.expected)
    return (
        f"{pick.name} is a graph: a probe is all that it can come to. {other.name} can be trained further; "
        f"its probe is expected {abs(points):.1f} points {'behind' if points >= 0 else 'ahead'}, which a "
        "training may make up for. --trainable chooses among such networks alone."
    )


def remarks(raced: Raced, ranking: Sequence[Contender], pick: Contender, downloadable: int) -> Iterator[str]:
    """What a person should know of the race."""
    if words := beyond_a_probe(ranking, pick):
        yield words
    if raced.out_of_time:
        seen = sum(count > 0 for count in raced.counts)
        yield (
            f"The budget ended before the race was over: {seen} of {len(raced.counts)} candidates were "
            "measured, and what is known so far decides. Run it again: features are kept."
        )
    if len(ranking) == 1:
        yield "There was one candidate: nothing was compared."
    if downloadable:
        yield (
            f"{downloadable:,} more classifiers within the limits could be downloaded: name those that you "
            "want with --candidates (`signet find --status downloadable`)."
        )
