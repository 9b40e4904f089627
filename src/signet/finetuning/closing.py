"""The chosen candidate as a sealed model: graph, weights, evidence, and the record of how it came about."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from signet.arrays import Floats, Integers
from signet.datasets import Dataset
from signet.engines.contract import EngineSettings
from signet.evidence import expected_from, variant_of
from signet.finetuning.adaptations import SCRATCH
from signet.finetuning.jobs import HeadFactory, Job
from signet.finetuning.joining import (
    Head,
    Rebuilt,
    base_graph,
    card_of,
    joined,
    rebuilt,
    traced_inputs,
    write_state,
)
from signet.finetuning.partition import Parts
from signet.finetuning.plans import Plan
from signet.finetuning.trained import TrainedNetwork
from signet.finetuning.workplace import Workplace
from signet.models import default_cache
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.probing import Probe
from signet.recipes import Recipe
from signet.records import Interval
from signet.seals import FeatureStatistics, Seal, SealContents, golden_images, write_seal

GOLDEN_CANDIDATES = 200
"""Development images among which golden ones are looked for."""

_NOT_DECIDING = ("threads", "workers", "checkpoint_seconds", "golden")

COMPARED_IMAGES = 250
"""Images on which bf16 is compared with fp32, so that the seal itself can prove it (200 are needed)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sealable:
    """A candidate that can be sealed.

    Attributes:
        parent: the model that it was made from, at its input size.
        graph: outputs `logits` and `features`.
        rebuilt: the same as a module, or None.
        features: of the development images, for the statistics.
        adapter: low-rank adapters alone, which the weights have merged; or None.
        unseen: float32 (N, C), for each development image the logits of a head that did not learn from it, or
            NaN; None where the head has learned from none that bf16 is compared on.
    """

    parent: Pretrained
    graph: GraphFile
    rebuilt: Rebuilt | None
    features: Floats
    adapter: Path | None = None
    unseen: Floats | None = None


def sealable_probe(pretrained: Pretrained, head: Head, features: Floats, work: Workplace) -> Sealable:
    """The frozen network with the probe as its head."""
    graph = joined(base_graph(pretrained, default_cache()), head, work.folder)
    card = pretrained.card
    if any(isinstance(network, ModuleSource) for network in pretrained.networks) and not any(
        isinstance(network, GraphFile) for network in pretrained.networks
    ):
        card = dataclasses.replace(card, inputs=traced_inputs(card.input_size or (224, 224)))
    parent = dataclasses.replace(pretrained, card=card)
    return Sealable(parent, graph, rebuilt(pretrained, head), features)


def sealable_tuned(tuned: TrainedNetwork, features: Floats) -> Sealable:
    """The network as it was trained."""
    size = tuned.sized.card.input_size or (224, 224)
    card = dataclasses.replace(tuned.sized.card, inputs=traced_inputs(size))
    parent = dataclasses.replace(tuned.sized, card=card)
    return Sealable(parent, tuned.graph, tuned.rebuilt, features, tuned.adapter)


def close(
    job: Job,
    candidate: Sealable,
    record: Mapping[str, Any],
    target: Path,
    *,
    temperature: float,
    overwrite: bool,
) -> Seal:
    """Write the seal.

    Args:
        job: whose labels, golden images, plan and recipe it has.
        candidate: what is sealed.
        record: metrics and history.
        target: the folder to write.
        temperature: of the calibration.
        overwrite: replace what is there.
    """
    parts, plan, recipe = job.parts, job.plan, job.recipe
    compared = compared_places(parts)
    card = card_of(
        candidate.parent.card,
        parts.labels,
        exclusive=parts.exclusive,
        name=target.name.removesuffix(".signet"),
        **_descent(candidate.parent, plan.strategy, _taught_by(job, record)),
        good_for=f"telling {len(parts.labels)} classes of images like those that it learned from apart",
    )
    card = dataclasses.replace(card, output=dataclasses.replace(card.output, temperature=temperature))
    golden = golden_images(_golden_candidates(parts), recipe.golden, card.input_size)
    settings = EngineSettings(cache=default_cache(), threads=recipe.threads)
    weights = None
    if candidate.rebuilt is not None:
        weights = write_state(candidate.rebuilt.state, job.work.folder / "sealed.safetensors")
    contents = SealContents(
        card=card,
        graph=candidate.graph,
        golden=golden,
        expected=expected_from(card, candidate.graph, golden, settings),
        weights=weights,
        module=None if candidate.rebuilt is None else candidate.rebuilt.spec,
        beside=() if candidate.adapter is None else (candidate.adapter,),
        training={
            # Its name and not its path, which would tell of folders and their owner.
            "dataset": PurePath(plan.dataset).name,
            "images": dict(plan.images),
            "data_fingerprint": fingerprint(parts.digests, parts.development.targets.tolist()),
            "split_fingerprint": fingerprint(parts.digests, parts.validation.tolist(), parts.folds.tolist()),
            "strategy": plan.strategy,
            "recipe": recorded(recipe),
            **({} if plan.strategy == "probe" else {"decided": _decided(plan)}),
            **record,
        },
        calibration={"method": "temperature scaling", "temperature": temperature},
        feature_statistics=FeatureStatistics.of(candidate.features),
        variants=variant_of(
            card,
            candidate.graph,
            golden,
            parts.development.subset(compared).paths,
            settings,
            None if candidate.unseen is None else candidate.unseen[compared],
        ),
    )
    return write_seal(contents, target, overwrite)


def _descent(parent: Pretrained, strategy: str, taught: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of what the model was made from; from scratch that is the parent's own words."""
    card = parent.card
    if strategy == SCRATCH:
        return {"lineage": {**card.lineage, **taught}, "origin": card.origin}
    return {
        "lineage": {
            "finetuned_from": {
                "name": card.name,
                "digest": parent.digest,
                "weights_digest": card.weights_digest,
            },
            **taught,
            **({"parent": dict(card.lineage)} if card.lineage else {}),
        },
        "origin": f"fine-tuned from {card.name} by {strategy}",
    }


def golden_words(parts: Parts, plan_size: tuple[int, int] | None, recipe: Recipe) -> tuple[str, ...]:
    """For the plan: which images become evidence inside the seal."""
    chosen = golden_images(_golden_candidates(parts), recipe.golden, plan_size)
    return tuple(image.words() for image in chosen)


def identity_of(
    found: Pretrained,
    dataset: Dataset[Any],
    recipe: Recipe,
    strategy: str,
    teacher: Pretrained | None = None,
    head: HeadFactory | None = None,
) -> dict[str, Any]:
    """What decides the result of a run: plain JSON, by which a resume knows its own."""
    settings = {key: value for key, value in recipe.to_dict().items() if key not in _NOT_DECIDING}
    return {
        "model": found.digest,
        "data": dataset.fingerprint,
        "strategy": strategy,
        "recipe": settings,
        **({"teacher": teacher.digest} if teacher else {}),
        # Code cannot be compared; its name can.
        **({} if head is None else {"head": f"{head.__module__}.{getattr(head, '__qualname__', head)}"}),
    }


def recorded(recipe: Recipe) -> dict[str, Any]:
    """The recipe for the record; of a teacher or target that is a file its name, which tells of no folder."""
    values = recipe.to_dict()
    for name in ("teacher", "target"):
        if values[name] is not None and Path(values[name]).expanduser().exists():
            values[name] = PurePath(values[name]).name
    return values


def _decided(plan: Plan) -> dict[str, Any]:
    """For the record: what the recipe left open."""
    return {
        "epochs": plan.epochs,
        "input_size": None if plan.input_size is None else list(plan.input_size),
        "frozen": list(plan.stages),
        "batch": plan.batch,
        "bf16": plan.bf16,
    }


def _taught_by(job: Job, record: Mapping[str, Any]) -> dict[str, Any]:
    """For the lineage, where a teacher had its part in what is sealed."""
    teacher = job.teacher
    if teacher is None or record["chosen"] == "probe":
        return {}
    return {"taught_by": {"name": teacher.card.name, "digest": teacher.digest}}


def plain(figures: Mapping[str, Interval]) -> dict[str, Any]:
    """Figures for the record."""
    return {name: figure.to_dict() for name, figure in figures.items()}


def fingerprint(*values: Sequence[Any]) -> str:
    """sha256 hex of lists of plain values."""
    return hashlib.sha256(json.dumps([list(value) for value in values]).encode()).hexdigest()


def compared_places(parts: Parts) -> Integers:
    """Up to 250 development images, evenly, for the evidence on bf16: of the validation, if there is one.

    Answers to images that were learned from are surer than others, and so are less easily changed by a
    coarser precision. A probe that is sealed has learned from all of them: see `unseen_by`.
    """
    places = parts.validation if len(parts.validation) else np.arange(len(parts.development))
    count = min(COMPARED_IMAGES, len(places))
    return np.asarray(places[np.arange(count) * len(places) // count], np.int64)


def unseen_by(probe: Probe, known: Integers, parts: Parts, deciding: Floats) -> Floats | None:
    """What heads that did not learn from them say of the images that the sealed probe has learned from.

    Args:
        probe: as it was fitted to some of the development images.
        known: int64 (K,), which.
        parts: with validation images, where it was compared with a training: these it had not seen.
        deciding: float32 (V, C), its logits of them, in order.

    Returns:
        `Sealable.unseen`; None where labels do not exclude each other.
    """
    if not parts.exclusive:
        return None
    found = np.full((len(parts.development), probe.out_of_fold.shape[1]), np.nan, np.float32)
    found[known[probe.judged]] = probe.out_of_fold[probe.judged]
    if len(known) < len(parts.development):
        found[parts.validation] = deciding
    return found


def _golden_candidates(parts: Parts) -> tuple[Path, ...]:
    """Evenly over the development images, the same ones each time."""
    paths = parts.development.paths
    step = max(1, len(paths) // GOLDEN_CANDIDATES)
    return paths[::step][:GOLDEN_CANDIDATES]
