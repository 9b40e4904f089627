"""Racing over candidates: all see a few images, fewer and fewer see more, until it is settled who wins.

Images grow by half from one look to the next: looking is cheap, since probes take a part of a network's time,
and who is behind beyond chance is not run any further. Who would cost more than is allowed stops, the last
ones first; the one that published figures put first stays as long as it may be as good as the leader, so that
what is picked in its place has beaten it on the same images.

The cost is images times milliseconds of each network. Features that were cached are counted as if they were
not, so that the same seed gives the same race.

Source: K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
AISTATS 2016, algorithm 1; stopping by bounds as in O. Maron, A. Moore, "Hoeffding Races", NIPS 1993.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.choosing.evidence import Rows, measure
from signet.choosing.posterior import Beliefs, Prior, Seen, believe

STEP = 1.5
"""Images of a look, in those of the look before."""

HOPELESS = 0.025
"""Probability of being better than the leader, below which a candidate stops."""

SETTLED = 0.001
"""Expected regret of the leader, below which the race is over: a tenth of a point."""

RESERVE = 0.5
"""Part of what may still be spent that one look may take while more than two candidates are in."""

ENOUGH = 0.0005
"""Expected regret that is next to nothing: who is this close to the best is its equal."""

FINALISTS = 3
"""Candidates that the final probe is fitted for."""

Supply = Callable[[int, int], Floats | None]
"""For a candidate's position and a count, float32 (count, D) features of the first rows; None when the time
is over."""

Judge = Callable[[Floats, Rows], Array]
"""For features and rows, float64 (N,): which of them the final probe gets right without having seen them."""


class Entrant(NamedTuple):
    """One candidate of the race: what is published of it, and milliseconds of its network for one image."""

    prior: Prior
    milliseconds: float

    @classmethod
    def timed(cls, prior: Prior, milliseconds: float) -> Entrant:
        """With the time rounded to a power of two, so that a clock's noise does not change the race."""
        return cls(prior, 2.0 ** round(math.log2(max(milliseconds, 2.0**-10))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """How long the race may be.

    Attributes:
        images: that the full probe is fitted on: all.
        first: images that every candidate sees.
        allowed: milliseconds of all networks together; the first images may take more.
        seed: of the draws.
    """

    images: int
    first: int
    allowed: float
    seed: int = 0


@dataclass(slots=True)
class Raced:
    """What the race found.

    Attributes:
        seen: each candidate's evidence.
        beliefs: in the end.
        counts: how many images each candidate saw.
        stopped: by position, why a candidate was left behind.
        spent: milliseconds of networks.
        out_of_time: the time was over before the race was.
    """

    seen: list[Seen]
    beliefs: Beliefs
    counts: list[int]
    stopped: dict[int, str] = field(default_factory=dict)
    spent: float = 0.0
    out_of_time: bool = False

    def pick(self) -> int:
        """Of those that saw the most images, the one that loses least on average.

        One that stopped earlier may be expected to be as good, but on fewer images, and the luckiest of
        several such is seldom as good as it looks; what it may be better by is in the regret.
        """
        regrets = self.beliefs.regret()
        most = max(self.counts)
        return min(
            (k for k, count in enumerate(self.counts) if count == most), key=lambda k: float(regrets[k])
        )


def growing_order(targets: Integers, seed: int) -> Integers:
    """int64 (N,) positions, each beginning of which has each class about as often as the whole has.

    Args:
        targets: int (N,).
        seed: of the order inside each class.
    """
    generator = np.random.default_rng(seed)
    keys = np.empty(len(targets))
    for one in np.unique(targets).tolist():
        mine = np.flatnonzero(targets == one)
        keys[mine] = (generator.permutation(len(mine)) + generator.random(len(mine))) / len(mine)
    return np.argsort(keys, kind="stable").astype(np.int64)


def race(entrants: Sequence[Entrant], rows: Rows, supply: Supply, judge: Judge, track: Track) -> Raced:
    """Run it.

    Args:
        entrants: K candidates.
        rows: all images, in growing order.
        supply: gives features.
        judge: the final probe.
        track: how long.
    """
    priors = [entrant.prior for entrant in entrants]
    found = Raced(
        [Seen() for _ in entrants], believe(priors, [Seen()] * len(entrants), 1), [0] * len(entrants)
    )
    alive, count = list(range(len(entrants))), min(track.first, len(rows.targets))
    while count:
        _look(found, (entrants, rows, supply), alive, count)
        found.beliefs = believe(priors, found.seen, track.images, track.seed)
        if found.out_of_time:
            break
        alive = _without_hopeless(found, alive)
        if len(alive) == 1 or count == len(rows.targets) or _leading(found, alive)[1] < SETTLED:
            break
        alive, count = _next(found, entrants, alive, (count, len(rows.targets)), track.allowed)
    if not found.out_of_time:
        _finals(found, (rows, supply, judge), alive)
        found.beliefs = believe(priors, found.seen, track.images, track.seed)
    return found


def _look(
    found: Raced, course: tuple[Sequence[Entrant], Rows, Supply], alive: Sequence[int], count: int
) -> None:
    """Show so many images to those that are still in, the most promising first."""
    entrants, rows, supply = course
    expected = found.beliefs.expected
    for k in sorted(alive, key=lambda k: -float(expected[k])):
        features = supply(k, count)
        if features is None:
            found.out_of_time = True
            return
        found.spent += (count - found.counts[k]) * entrants[k].milliseconds
        found.counts[k] = count
        found.seen[k] = Seen(measure(features, rows.head(count)))


def _leading(found: Raced, alive: Sequence[int]) -> tuple[int, float]:
    """(the candidate that loses least on average, what it loses)."""
    regret = found.beliefs.regret(alive)
    place = int(regret.argmin())
    return alive[place], float(regret[place])


def _without_hopeless(found: Raced, alive: Sequence[int]) -> list[int]:
    leader, _ = _leading(found, alive)
    chance = found.beliefs.better(leader)
    for k in alive:
        if k != leader and chance[k] < HOPELESS:
            points = 100 * float(found.beliefs.expected[leader] - found.beliefs.expected[k])
            found.stopped[k] = (
                f"{points:.1f} points behind after {found.counts[k]:,} images, which is beyond chance"
            )
    return [k for k in alive if k not in found.stopped]


def _next(
    found: Raced,
    entrants: Sequence[Entrant],
    alive: Sequence[int],
    counts: tuple[int, int],
    allowed: float,
) -> tuple[list[int], int]:
    """(who goes on, to how many images): all that a good part of what is left allows, or the best two."""
    count, most = counts
    room = allowed - found.spent
    wanted = min(most, math.ceil(STEP * count))
    order = sorted(alive, key=lambda k: -float(found.beliefs.expected[k]))
    stated = max(alive, key=lambda k: entrants[k].prior.top1 or 0.0)
    while len(order) > 2 and (wanted - count) * _cost(entrants, order) > RESERVE * room:
        k = next(k for k in reversed(order) if k != stated)
        order.remove(k)
        found.stopped[k] = f"not among the best after {count:,} images, and more would cost too much"
    reached = min(wanted, count + int(max(room, 0) / max(_cost(entrants, order), 1e-9)))
    return order, reached if reached > count else 0


def _cost(entrants: Sequence[Entrant], some: Sequence[int]) -> float:
    """Milliseconds of one image with all of some."""
    return sum(entrants[k].milliseconds for k in some)


def _finals(found: Raced, course: tuple[Rows, Supply, Judge], alive: Sequence[int]) -> None:
    """Fit the final probe for the best few, on the images that they have seen."""
    rows, supply, judge = course
    order = sorted(alive, key=lambda k: -float(found.beliefs.expected[k]))[:FINALISTS]
    for k in order:
        features = supply(k, found.counts[k])
        if features is None:
            found.out_of_time = True
            return
        right = judge(features, rows.head(found.counts[k]))
        found.seen[k] = replace(found.seen[k], final=right)
