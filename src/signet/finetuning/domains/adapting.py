"""From the candidate that was decided on to the one that is sealed, where a target is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from signet.answers import softmax
from signet.arrays import Floats
from signet.domain_shift import aligned, frechet, spread
from signet.finetuning.domains import evidence
from signet.finetuning.domains.methods import (
    Candidate,
    Method,
    with_coral,
    with_entropy,
    with_statistics,
)
from signet.finetuning.domains.networks import Buildable, Network
from signet.finetuning.domains.outcome import Answers, DomainAdaptation, Measured
from signet.finetuning.domains.target import Target, without
from signet.finetuning.jobs import Job
from signet.finetuning.partition import Part
from signet.finetuning.probes import features_of
from signet.records import Interval
from signet.statistics import Resampling, paired_difference, proportion

if TYPE_CHECKING:
    from signet.training.entropy_descent import Descended

_FEW = 200
_LEAST_HELD_OUT = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A network that may be sealed.

    Attributes:
        method: by which it was made.
        network: what it is.
        scores: float32 (M, C) of the target.
        built: as a module, where it is one.
        descent: how the entropy fell.
    """

    method: Method
    network: Network
    scores: Floats
    built: Buildable | None = None
    descent: Descended | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is known without labels before anything is adapted; `source` is new to the network."""

    source: Floats
    target: Floats
    area: Interval | None
    before: Floats
    held_out: int


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What is sealed, and why."""

    chosen: _Tried
    why: tuple[str, ...]
    gains: Mapping[Method, Interval] = field(default_factory=dict)


def adapted_to(
    candidate: Candidate, target: Target, test: tuple[Part, Floats] | None, seed: int
) -> tuple[Network | None, DomainAdaptation]:
    """Adapt a network to the images of a target, or say why it stays as it is.

    Nothing here sees a label of the target before all is decided.

    Args:
        candidate: the network; its `target` is replaced by those files that can be read.
        target: the images.
        test: those of the source that no decision used, and the network's logits of them.
        seed: of samples and intervals.

    Returns:
        The network to seal, None for the one that there was; and what was seen of both.

    Raises:
        BadDataset: fewer than 2 images of the target can be read.
    """
    job = candidate.job
    target = _readable(job, target)
    candidate = dataclasses.replace(candidate, target=target.paths)
    network = candidate.network
    held_out = candidate.held_out
    known_paths = held_out if len(held_out) >= _LEAST_HELD_OUT else job.parts.development.paths
    source, features = network.features(known_paths), network.features(target.paths)
    before = _scores(candidate, network)
    area = evidence.told_apart(source, features, seed) if known_paths is held_out else None
    seen = _Seen(source, features, area, before, len(held_out))
    choice = _chosen(candidate, seen, job.recipe.adaptation, seed)
    chosen = choice.chosen
    after = chosen.network.features(target.paths)
    known = aligned(source, features) if chosen.method == "coral" else source
    stayed = chosen.scores.argmax(axis=1) == before.argmax(axis=1)
    found = DomainAdaptation(
        asked=job.recipe.adaptation,
        method=chosen.method,
        why=choice.why,
        target=target.source,
        images=len(target.paths),
        told_apart=seen.area,
        distance=(frechet(source, features), frechet(known, after)),
        answers=(_answers(before), _answers(chosen.scores)),
        agreement=float(stayed.mean()),
        tried=choice.gains,
        measured=_on_target(job, target, network, chosen.network, seed),
        apart=target.apart,
        source=None if test is None else _measured(test[0], test[1], chosen.network, seed),
        descent=chosen.descent,
        changed=_changed(candidate, chosen.built),
        trained=candidate.tuned is not None,
        notes=(*target.notes, *_warnings(len(target.paths), len(held_out))),
    )
    return (None if chosen.method == "none" else chosen.network), found


def _readable(job: Job, target: Target) -> Target:
    _, _, failures = features_of(job.start, target.paths, job.recipe, job.on_progress, target.digests)
    return without(target, [place for place, _ in failures])


def _chosen(candidate: Candidate, seen: _Seen, asked: str, seed: int) -> _Choice:
    nothing = _Tried("none", candidate.network, seen.before)
    match asked:
        case "none":
            return _Choice(nothing, ("the recipe asks for the figures alone",))
        case "coral" | "adabn" | "tent":
            return _Choice(_by(candidate, seen, asked), (f"the recipe asks for {asked}",))
    return _automatic(candidate, seen, nothing, seed)


def _automatic(candidate: Candidate, seen: _Seen, nothing: _Tried, seed: int) -> _Choice:
    """What the unlabelled images speak for, by the rules that docs/finetuning.md states."""
    if seen.area is None:
        known = "of the source" if candidate.tuned is None else "held out from training"
        why = (
            f"{seen.held_out} images {known} and {len(seen.target)} of the target are too few to choose by; "
            f"expected {evidence.LEAST_IMAGES} of either kind"
        )
        return _Choice(nothing, (why,))
    area = f"area under the curve {seen.area.value:.2f}, 95 % interval {seen.area.low:.2f} to "
    area += f"{seen.area.high:.2f}"
    if seen.area.low < evidence.LEAST_AREA:
        return _Choice(nothing, (f"the target is not told from what was learned from ({area})",))
    tried = [_by(candidate, seen, method) for method in _possible(candidate)]
    gains = {one.method: evidence.gain(one.scores, nothing.scores, seed) for one in tried}
    best = max(tried, key=lambda one: gains[one.method].value, default=nothing)
    differs = f"the target is of another kind than what was learned from ({area})"
    if best.method == "none":
        return _Choice(nothing, (differs, "this network has no BatchNorm and no linear head to adapt"))
    gain = gains[best.method]
    said = (
        f"information of its answers about the images: {gain.value:+.3f} (95 % interval {gain.low:+.3f} to "
        f"{gain.high:+.3f})"
    )
    if gain.low < evidence.LEAST_GAIN:
        return _Choice(nothing, (differs, f"{best.method} adds too little to be kept; {said}"), gains)
    others = "" if len(tried) == 1 else ", the most of what was tried"
    return _Choice(best, (differs, f"{best.method} adds to what answers say{others}; {said}"), gains)


def _possible(candidate: Candidate) -> list[Method]:
    """What suits the network. TENT is none of it: what it minimises is a part of what would judge it."""
    from signet.finetuning.domains.refusals import has_batchnorm

    network, found = candidate.network, list[Method]()
    if network.build is not None and has_batchnorm(network.build().module):
        found.append("adabn")
    if network.with_head is not None:
        found.append("coral")
    return found


def _by(candidate: Candidate, seen: _Seen, method: Method) -> _Tried:
    built: Buildable | None = None
    descent = None
    match method:
        case "coral":
            network = with_coral(candidate, seen.source, seen.target)
        case "adabn":
            network, built = with_statistics(candidate)
        case _:
            network, built, descent = with_entropy(candidate)
    return _Tried(method, network, _scores(candidate, network), built, descent)


def _scores(candidate: Candidate, network: Network) -> Floats:
    return softmax(network.logits(candidate.target) / np.float32(candidate.temperature))


def _answers(scores: Floats) -> Answers:
    return Answers(float(scores.max(axis=1).mean()), evidence.information(scores), spread(scores))


def _on_target(job: Job, target: Target, before: Network, after: Network, seed: int) -> Measured | None:
    """On labelled images; only now are labels looked at."""
    part = target.measured(job.parts.labels)
    if part is None:
        return None
    _, readable, _ = features_of(job.start, part.paths, job.recipe, job.on_progress)
    if not len(readable):
        return None
    part = part.subset(readable)
    return _measured(part, before.logits(part.paths), after, seed)


def _measured(part: Part, before: Floats, after: Network, seed: int) -> Measured:
    one, two = (
        np.asarray(logits.argmax(axis=1) == part.targets) for logits in (before, after.logits(part.paths))
    )
    gap = paired_difference(two, one, Resampling(seed=seed))
    return Measured(len(part), _share(one, seed), _share(two, seed), gap)


def _share(right: Any, seed: int) -> Interval:
    """The share of right answers with its interval."""
    settings = Resampling(seed=seed)
    resampled = paired_difference(right, np.zeros(len(right), bool), settings)
    return proportion(int(right.sum()), len(right), resampled)


def _changed(candidate: Candidate, built: Buildable | None) -> tuple[str, ...]:
    """Names of the tensors of a module that are others than before."""
    if built is None or candidate.network.build is None:
        return ()
    before = candidate.network.build().module.state_dict()
    after = built.module.state_dict()
    return tuple(name for name, tensor in after.items() if not bool((tensor == before[name]).all()))


def _warnings(images: int, held_out: int) -> Iterator[str]:
    if images < _FEW:
        yield f"{images} images are few: statistics and covariances of a few hundred are steadier."
    if held_out < _LEAST_HELD_OUT:
        yield (
            "no image was held out from training: the distance between source and target is that to images "
            "which were learned from, and says little."
        )
