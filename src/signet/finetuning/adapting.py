"""Fine-tuning on labelled pixels: a classifier's backbone takes a head, learns, is measured and sealed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from signet import tracing
from signet.cards import Card, Licence
from signet.catalogue.configs import digest_with
from signet.datasets import Dataset
from signet.engines.contract import EngineSettings, usable_processors
from signet.errors import BadRequest, MissingExtra
from signet.evaluation import evaluate
from signet.evidence import expected_from, variant_of
from signet.finetuning import closing
from signet.finetuning.adapted import Adapted
from signet.finetuning.jobs import RunSettings
from signet.finetuning.joining import write_state
from signet.finetuning.pixel_parts import PixelParts, deal
from signet.finetuning.plans import Plan
from signet.finetuning.probes import opened
from signet.finetuning.segmenters import (
    FROZEN_STAGES,
    HEAD_PARTS,
    HEADS,
    Segmenter,
    built,
    card_of,
    frozen_stages,
    segmenter_for,
    source_of,
)
from signet.finetuning.trained import settings_of
from signet.finetuning.workplace import Workplace, workplace
from signet.graphs.opening import open_graph
from signet.models import default_cache
from signet.networks import GraphFile, Pretrained
from signet.recipes import Recipe
from signet.records import Report
from signet.seals import GoldenImage, SealContents, golden_images, write_seal

BATCH = 4
IMAGES_IN_ALL = 6_000
LEAST_EPOCHS, MOST_EPOCHS = 10, 100
_TRAINED = {"head": "a new {} head", "scratch": "the whole network, with a {} head"}


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One run, under way."""

    found: Pretrained
    dataset: Dataset[Any]
    recipe: Recipe
    ways: RunSettings
    parts: PixelParts
    segmenter: Segmenter
    module: Any
    work: Workplace


def adapt(
    found: Pretrained, dataset: Dataset[Any], target: Path, recipe: Recipe, ways: RunSettings, overwrite: bool
) -> Adapted:
    """Teach a backbone the labels of pixels, and seal the result; see `finetune`.

    Args:
        found: a model of timm.
        dataset: a label for each pixel.
        target: the seal to write.
        recipe: every setting.
        ways: resuming and progress.
        overwrite: replace what is there.

    Raises:
        BadRequest: no backbone that takes a head; a probe was asked for.
        BadDataset: too few images.
        MissingExtra: torch or segmentation-models-pytorch is not installed.
    """
    identity = closing.identity_of(found, dataset, recipe, strategy_of(recipe))
    with workplace(target, identity, resume=ways.resume, overwrite=overwrite) as work:
        parts = deal(dataset, recipe, ways.on_progress)
        segmenter = segmenter_for(found, recipe, len(dataset.labels), parts.typical)
        module = built(found, segmenter, recipe)
        run = _Run(found, dataset, recipe, ways, parts, segmenter, module, work)
        plan = Plan.from_dict(work.values("plan", lambda: _plan(run).to_dict()))
        if ways.on_plan is not None:
            ways.on_plan(plan)
        done = _finished(run, plan, target, overwrite)
        work.remove()
    return done


def strategy_of(recipe: Recipe) -> str:
    """What is trained.

    Raises:
        BadRequest: a probe, which a head for pixels has none of.
    """
    if recipe.strategy == "probe":
        raise BadRequest(
            "--strategy probe: a probe gives one label for an image, and the dataset states one for each "
            "pixel. Use head, partial, full or scratch."
        )
    return "partial" if recipe.strategy == "auto" else recipe.strategy


def _plan(run: _Run) -> Plan:
    recipe, parts, segmenter = run.recipe, run.parts, run.segmenter
    strategy = strategy_of(recipe)
    stages = frozen_stages(run.module, strategy, recipe)
    head = HEADS[segmenter.spec.architecture]
    height, width = segmenter.size
    count = len(parts.training)
    why = [
        f"the dataset states a label for each pixel, so the backbone gets a {head} head with random weights",
        f"{height}x{width} pixels, whole pictures in their own proportions, in multiples of 32",
        *_beginning(run, strategy),
    ]
    if strategy == "partial" and recipe.frozen_stages is None:
        why.append(f"the first {FROZEN_STAGES} stages stay: edges and colours are those of any pictures")
    draft = Plan(
        model=run.found.card.name,
        dataset=run.dataset.source,
        labels=len(run.dataset.labels),
        strategy=strategy,
        images={"training": count, "validation": len(parts.validation), "test": len(parts.test)},
        trained=_TRAINED.get(strategy, "a new {} head, and the backbone's other stages").format(head),
        frozen=f"{', '.join(_short(stages))} (BatchNorm in evaluation mode)" if stages else "nothing",
        why=tuple(why),
        probe_size=None,
        input_size=segmenter.size,
        stages=stages,
        epochs=1,
        threads=recipe.threads or max(1, usable_processors() - 1),
        measured_on=_measured_on(parts),
        golden=tuple(image.words() for image in _golden(run)),
        notes=parts.notes,
    )
    epochs = recipe.epochs or int(np.clip(round(IMAGES_IN_ALL / count), LEAST_EPOCHS, MOST_EPOCHS))
    each = (count + len(parts.validation) / 2) * _seconds_per_image(run, draft)
    if recipe.budget_seconds and each * epochs > recipe.budget_seconds and recipe.epochs is None:
        epochs = max(1, int(recipe.budget_seconds / each))
        reason = f"{epochs} epochs, so that training ends within {recipe.budget_seconds:.0f} seconds"
        draft = dataclasses.replace(draft, why=(*draft.why, reason))
    seconds = {"training": each * epochs, "closing": 20.0}
    return dataclasses.replace(draft, epochs=epochs, seconds=seconds)


def _beginning(run: _Run, strategy: str) -> tuple[str, ...]:
    """What is known before anything is learned, and what becomes of the statistics."""
    if strategy == "scratch":
        return (
            f"nothing is pretrained: of {run.found.card.name} only architecture and preprocessing are taken, "
            "every weight begins at random",
            "everything learns at the head's rate, and every BatchNorm gathers its own statistics",
        )
    if not run.recipe.freeze_batchnorm:
        return ("every BatchNorm that is not frozen gathers its own statistics",)
    return ("BatchNorm of the backbone keeps its statistics, that of the new head gathers its own",)


def _finished(run: _Run, plan: Plan, target: Path, overwrite: bool) -> Adapted:
    """Train, measure and seal."""
    from signet.training import PixelData, median_frequency_weights, train

    parts, recipe, work = run.parts, run.recipe, run.work
    weighted = recipe.class_weights == "median"
    data = PixelData(
        parts.training,
        parts.validation,
        run.segmenter.program,
        weights=median_frequency_weights(parts.training) if weighted else None,
        digest=",".join(parts.digests),
    )
    done = train(
        run.module,
        data,
        settings_of(plan, recipe, HEAD_PARTS, recipe.batch or BATCH),
        folder=work.training,
        resume=run.ways.resume,
        on_progress=run.ways.on_progress,
    )
    state = {name: np.array(tensor.cpu().numpy()) for name, tensor in done.best.items()}
    weights = write_state(state, work.folder / "tuned.safetensors")
    tracing.export(source_of(run.segmenter, weights), work.folder / "tuned.onnx")
    graph = open_graph(work.folder / "tuned.onnx")
    card = _card(run, plan, target)
    report = _measured(run, card, graph)
    history = tuple(
        {key: float(value) for key, value in row.items() if key != "seconds"} for row in done.history
    )
    validation = {"miou": float(done.history[done.best_epoch]["validation_miou"])}
    record = {
        "chosen": "fine-tuned",
        "validation": validation,
        "measured_on": plan.measured_on,
        "metrics": closing.plain(report.metrics),
        "history": list(history),
    }
    work.begin_sealing()
    settings = EngineSettings(cache=default_cache(), threads=recipe.threads)
    golden = _golden(run)
    contents = SealContents(
        card=card,
        graph=graph,
        golden=golden,
        expected=expected_from(card, graph, golden, settings),
        weights=weights,
        module=run.segmenter.spec,
        training={
            # Its name and not its path, which would tell of folders and their owner.
            "dataset": PurePath(plan.dataset).name,
            "images": dict(plan.images),
            "data_fingerprint": closing.fingerprint(parts.digests, parts.training.names),
            "split_fingerprint": closing.fingerprint(parts.training.names, parts.validation.names),
            "strategy": plan.strategy,
            "recipe": recipe.to_dict(),
            **record,
        },
        variants=variant_of(card, graph, golden, parts.validation.paths, settings),
    )
    seal = write_seal(contents, target, overwrite)
    return Adapted(
        seal=seal,
        plan=plan,
        report=report,
        validation=validation,
        history=history,
        kept_epoch=done.best_epoch,
    )


def _measured(run: _Run, card: Card, graph: GraphFile) -> Report:
    """Open the test images, now that all is decided, and ask the graph that will be sealed."""
    asked = Pretrained(card, (graph,), digest_with(graph.digest, card), "traced")
    with opened(asked, run.recipe) as model:
        report = evaluate(model, run.parts.test, seed=run.recipe.seed, on_progress=run.ways.on_progress)
    return dataclasses.replace(report, notes=(*run.parts.notes, *report.notes))


def _card(run: _Run, plan: Plan, target: Path) -> Card:
    parent, head = run.found, HEADS[run.segmenter.spec.architecture]
    truth = run.parts.training[0].truth
    values = _from_scratch(run, head) if plan.strategy == "scratch" else _from_parent(run, plan, head)
    return card_of(
        parent.card,
        run.segmenter,
        run.dataset.labels,
        None if truth is None else truth.background,
        name=target.name.removesuffix(".signet"),
        good_for=f"labelling the pixels of images like those that it learned from with {plan.labels} labels",
        **values,
    )


def _from_parent(run: _Run, plan: Plan, head: str) -> dict[str, Any]:
    """What the card says of the weights that it began with."""
    parent = run.found
    return {
        "lineage": {
            "finetuned_from": {
                "name": parent.card.name,
                "digest": parent.digest,
                "weights_digest": parent.card.weights_digest,
            },
            **({"parent": dict(parent.card.lineage)} if parent.card.lineage else {}),
        },
        "origin": f"the backbone of {parent.card.name} under a new {head} head, trained by {plan.strategy}",
    }


def _from_scratch(run: _Run, head: str) -> dict[str, Any]:
    """Likewise where nothing is pretrained: no weights' licence or training data is inherited."""
    parent = run.found.card
    return {
        "lineage": {"trained_from": "random weights, nothing pretrained", "architecture_of": parent.name},
        "origin": f"trained from random weights: the architecture of {parent.name} under a {head} head",
        "licence": Licence(code=parent.licence.code),
        "domain": "",
    }


def _golden(run: _Run) -> tuple[GoldenImage, ...]:
    """A few of the images that were learned from or decided, evenly."""
    paths = run.parts.development
    step = max(1, len(paths) // closing.GOLDEN_CANDIDATES)
    chosen = paths[::step][: closing.GOLDEN_CANDIDATES]
    return tuple(golden_images(chosen, run.recipe.golden, run.segmenter.size))


def _seconds_per_image(run: _Run, plan: Plan) -> float:
    try:
        from signet.training import images_per_second
    except ImportError as error:
        raise MissingExtra("Training a head for pixels", "segmentation", "torch") from error
    settings = settings_of(plan, run.recipe, HEAD_PARTS, run.recipe.batch or BATCH)
    return 1 / images_per_second(run.module, settings, run.segmenter.size)


def _short(stages: tuple[str, ...]) -> list[str]:
    """The stages' names inside the backbone."""
    return [stage.removeprefix("network.encoder.model.") for stage in stages]


def _measured_on(parts: PixelParts) -> str:
    if parts.held_out:
        return f"{len(parts.test)} images that were held out before anything else"
    return f"the dataset's own test split, {len(parts.test)} images, opened only at the end"
