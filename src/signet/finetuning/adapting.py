"""Fine-tuning on labelled pixels or objects: a network is made for them, learns, is measured and sealed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from signet import tracing
from signet.cards import Card, Licence
from signet.catalogue.configs import digest_with
from signet.datasets import Dataset
from signet.engines.contract import EngineSettings, usable_processors
from signet.errors import CheckFailed
from signet.evaluation import evaluate
from signet.evidence import expected_from, variant_of
from signet.finetuning import closing, detectors, segmenters
from signet.finetuning.adaptations import SCRATCH, Adaptation, frozen_stages, strategy_of
from signet.finetuning.adapted import NOTHING_FOUND, Adapted
from signet.finetuning.dealing import Dealt, deal
from signet.finetuning.jobs import RunSettings
from signet.finetuning.joining import traced_inputs, write_state
from signet.finetuning.looking_over import with_findings
from signet.finetuning.meeting import meeting
from signet.finetuning.optimising import optimisation_of, reasons, tried
from signet.finetuning.plans import Plan
from signet.finetuning.probes import opened
from signet.finetuning.proofs import FrozenProof
from signet.finetuning.trained import settings_of
from signet.finetuning.workplace import LEARNED, Workplace, workplace
from signet.graphs.opening import open_graph
from signet.models import default_cache
from signet.networks import GraphFile, Pretrained
from signet.recipes import Recipe
from signet.records import Report
from signet.seals import GoldenImage, SealContents, golden_images, write_seal

CLOSING_SECONDS = 20.0
"""About what tracing, measuring and sealing take; for the plan."""

ALIKE = 0.005
"""How far a figure of 0 to 1 may lie from the one of the training: rounding decides between near ties."""

_TRAINED = {"head": "{} alone", "scratch": "the whole network, from random weights"}


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One run, under way."""

    found: Pretrained
    rows: Dataset[Any]
    recipe: Recipe
    ways: RunSettings
    parts: Dealt
    adaptation: Adaptation
    work: Workplace


def adapt(
    found: Pretrained, dataset: Dataset[Any], target: Path, recipe: Recipe, ways: RunSettings, overwrite: bool
) -> Adapted:
    """Teach a network the labels of pixels, or objects, and seal the result; see `finetune`.

    Args:
        found: what to begin with.
        dataset: labelled pixels, boxes, or objects with masks.
        target: the seal to write.
        recipe: every setting.
        ways: resuming and progress.
        overwrite: replace what is there.

    Raises:
        BadRequest: the model, the recipe's head and the dataset do not go together; a probe was asked for.
        BadDataset: too few images, or none with an object.
        CheckFailed: the exported graph answers otherwise than the network that learned.
        MissingExtra: torch, or the library of the head, is not installed.
    """
    maker = segmenters if dataset.task == "segment" else detectors
    rows = dataset.as_task(maker.task_for(found, dataset, recipe))
    identity = closing.identity_of(found, rows, recipe, strategy_of(recipe))
    ranks = meeting(ways.processes, recipe.device)
    with workplace(target, identity, resume=ways.resume, overwrite=overwrite, ranks=ranks) as work:
        parts = deal(rows, recipe, ways.on_progress)
        run = _Run(found, rows, recipe, ways, parts, maker.adaptation(found, parts, recipe), work)
        plan = Plan.from_dict(
            work.values("plan", lambda: with_findings(_plan(run), dataset, recipe, ways).to_dict())
        )
        if ways.on_plan is not None:
            ways.on_plan(plan)
        done = _finished(run, plan, target, overwrite)
        work.remove()
    return done


def accompany(
    found: Pretrained, dataset: Dataset[Any], recipe: Recipe, ways: RunSettings, work: Workplace
) -> None:
    """Train together with the process that has begun `adapt` with the same arguments."""
    from signet.training import train

    maker = segmenters if dataset.task == "segment" else detectors
    rows = dataset.as_task(maker.task_for(found, dataset, recipe))
    parts = deal(rows, recipe, ways.on_progress)
    run = _Run(found, rows, recipe, ways, parts, maker.adaptation(found, parts, recipe), work)
    plan = Plan.from_dict(work.values("plan", dict))
    made = run.adaptation
    train(made.module, made.data(), _settings(run, plan), folder=work.training, resume=False)


def rehearsed(
    found: Pretrained, dataset: Dataset[Any], recipe: Recipe, ways: RunSettings, work: Workplace
) -> tuple[Any, Any, Any]:
    """(module, data, settings) with which `adapt` of the same arguments begins to train."""
    maker = segmenters if dataset.task == "segment" else detectors
    rows = dataset.as_task(maker.task_for(found, dataset, recipe))
    parts = deal(rows, recipe, ways.on_progress)
    run = _Run(found, rows, recipe, ways, parts, maker.adaptation(found, parts, recipe), work)
    return run.adaptation.module, run.adaptation.data(), _settings(run, _plan(run))


def _plan(run: _Run) -> Plan:
    recipe, parts, made = run.recipe, run.parts, run.adaptation
    strategy = strategy_of(recipe)
    stages = frozen_stages(made.module, made.body, recipe)
    words = _TRAINED.get(strategy, "{}, and the other stages below it")
    draft = Plan(
        model=run.found.card.name,
        dataset=run.rows.source,
        labels=len(run.rows.labels),
        strategy=strategy,
        images=parts.counts,
        trained=words.format(made.head_words),
        frozen=f"{', '.join(_short(stages, made.body))} (BatchNorm in evaluation mode)"
        if stages
        else "nothing",
        why=(*made.why, *reasons(recipe)),
        shows=made.shows,
        probe_size=None,
        input_size=made.size,
        stages=stages,
        epochs=1,
        threads=recipe.threads or max(1, usable_processors() - 1),
        measured_on=parts.measured_on,
        golden=tuple(image.words() for image in _golden(run)),
        notes=(*parts.notes, *made.notes),
    )
    count = len(parts.training)
    epochs = recipe.epochs or made.pace.epochs(count)
    found = tried(made.module, _settings(run, draft), made.size, recipe, images=count, example=made.example)
    draft = dataclasses.replace(draft, batch=found.batch, bf16=found.bf16, why=(*draft.why, *found.why))
    each = (count + len(parts.validation) / 2) * found.seconds_per_image
    if recipe.budget_seconds and each * epochs > recipe.budget_seconds and recipe.epochs is None:
        epochs = max(1, int(recipe.budget_seconds / each))
        reason = f"{epochs} epochs, so that training ends within {recipe.budget_seconds:.0f} seconds"
        draft = dataclasses.replace(draft, why=(*draft.why, reason))
    seconds = {"training": each * epochs, "closing": CLOSING_SECONDS}
    return dataclasses.replace(draft, epochs=epochs, seconds=seconds)


def _finished(run: _Run, plan: Plan, target: Path, overwrite: bool) -> Adapted:
    """Train, measure and seal."""
    from signet.training import TIMED, train

    made, work = run.adaptation, run.work
    done = train(
        made.module,
        made.data(),
        _settings(run, plan),
        folder=work.training,
        resume=run.ways.resume,
        on_progress=run.ways.on_progress,
    )
    state = {name: np.array(tensor.cpu().numpy()) for name, tensor in done.best.items()}
    weights = write_state(state, work.folder / LEARNED)
    tracing.export(made.source(weights), work.folder / "tuned.onnx")
    graph = open_graph(work.folder / "tuned.onnx")
    card = _card(run, plan, target)
    best = done.history[done.best_epoch]
    validation = {name: float(best[f"validation_{name}"]) for name in made.figures}
    _hold_to_training(run, card, graph, validation[made.figures[0]])
    report = _measured(run, card, graph)
    report = dataclasses.replace(report, notes=(*done.notes, *report.notes))
    if not validation[made.figures[0]]:
        # Sealed all the same: hours of learning are not thrown away, but nobody is to take it for a model.
        report = dataclasses.replace(report, notes=(NOTHING_FOUND, *report.notes))
        card = dataclasses.replace(card, good_for="learning further: it answers nothing right yet")
    proof = FrozenProof.of(done)
    history = tuple(
        {key: float(value) for key, value in row.items() if key not in TIMED} for row in done.history
    )
    record = {
        "chosen": "fine-tuned",
        "validation": validation,
        "measured_on": plan.measured_on,
        "metrics": closing.plain(report.metrics),
        "history": list(history),
        "frozen": proof.to_dict(),
    }
    work.begin_sealing()
    contents = _contents(run, plan, card, graph, weights, record)
    return Adapted(
        seal=write_seal(contents, target, overwrite),
        plan=plan,
        report=report,
        validation=validation,
        history=history,
        kept_epoch=done.best_epoch,
        frozen=proof,
    )


def _contents(
    run: _Run, plan: Plan, card: Card, graph: GraphFile, weights: Path, record: dict[str, Any]
) -> SealContents:
    """What is sealed; `record` is of training and measurement."""
    parts, recipe = run.parts, run.recipe
    settings = EngineSettings(cache=default_cache(), threads=recipe.threads)
    golden = _golden(run)
    return SealContents(
        card=card,
        graph=graph,
        golden=golden,
        expected=expected_from(card, graph, golden, settings),
        weights=weights,
        module=run.adaptation.spec,
        training={
            # Its name and not its path, which would tell of folders and their owner.
            "dataset": PurePath(plan.dataset).name,
            "images": dict(plan.images),
            "data_fingerprint": closing.fingerprint(parts.digests, parts.training.names),
            "split_fingerprint": closing.fingerprint(parts.training.names, parts.validation.names),
            "strategy": plan.strategy,
            "recipe": recipe.to_dict(),
            # What the recipe left open.
            "decided": {
                "epochs": plan.epochs,
                "input_size": list(run.adaptation.size),
                "frozen": list(plan.stages),
                "head_rate": _settings(run, plan).head_rate,
                **run.adaptation.pace.settings,
                "batch": plan.batch,
            },
            **record,
        },
        variants=variant_of(card, graph, golden, parts.validation.paths, settings),
    )


def _hold_to_training(run: _Run, card: Card, graph: GraphFile, measured: float) -> None:
    """The graph answers the validation images as the network did while it learned, or nothing is sealed.

    Raises:
        CheckFailed: the figures differ: the network was exported as another one.
    """
    name = run.adaptation.figures[0]
    key = f"mask_{name}" if card.task == "instances" else name
    exact = run.recipe.changed(precision="fp32")
    found = _asked(run, exact, card, graph, run.parts.validation).metrics.get(key)
    value = 0.0 if found is None or math.isnan(found.value) else found.value
    if abs(value - measured) > ALIKE:
        raise CheckFailed(
            f"{card.name}: expected the exported graph to answer the validation images as the network did "
            f"while it learned ({name} {measured:.4f}), got {value:.4f}. Nothing was sealed. Report it, with "
            "the versions of torch and of the engine."
        )


def _asked(run: _Run, recipe: Recipe, card: Card, graph: GraphFile, images: Dataset[Any]) -> Report:
    """What the graph that will be sealed answers."""
    asked = Pretrained(card, (graph,), digest_with(graph.digest, card), "traced")
    with opened(asked, recipe) as model:
        return evaluate(model, images, seed=recipe.seed, on_progress=run.ways.on_progress)


def _measured(run: _Run, card: Card, graph: GraphFile) -> Report:
    """Open the test images, now that all is decided."""
    report = _asked(run, run.recipe, card, graph, run.parts.test)
    return dataclasses.replace(report, notes=(*run.parts.notes, *run.adaptation.notes, *report.notes))


def _card(run: _Run, plan: Plan, target: Path) -> Card:
    made = run.adaptation
    values = _from_scratch(run) if plan.strategy == SCRATCH else _from_parent(run, plan)
    return dataclasses.replace(
        run.found.card,
        name=target.name.removesuffix(".signet"),
        task=made.task,
        program=made.program,
        inputs=traced_inputs(made.size),
        output=made.output,
        labels=run.rows.labels,
        architecture=made.spec.architecture,
        family=made.family,
        claims=(),
        weights_digest=None,
        digest_trust="unknown",
        parameters=sum(parameter.numel() for parameter in made.module.parameters()),
        gmacs=None,
        depth=None,
        good_for=made.good_for,
        **values,
    )


def _from_parent(run: _Run, plan: Plan) -> dict[str, Any]:
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
        "origin": f"{parent.card.name}, trained further by {plan.strategy}"
        if run.adaptation.kept
        else f"{parent.card.name} with {run.adaptation.head_words}, trained by {plan.strategy}",
    }


def _from_scratch(run: _Run) -> dict[str, Any]:
    """Likewise where nothing is pretrained: no weights' licence or training data is inherited."""
    parent = run.found.card
    return {
        "lineage": {"trained_from": "random weights, nothing pretrained", "architecture_of": parent.name},
        "origin": f"trained from random weights: the architecture of {parent.name} under a "
        f"{run.adaptation.family} head",
        "licence": Licence(code=parent.licence.code),
        "domain": "",
    }


def _golden(run: _Run) -> tuple[GoldenImage, ...]:
    """A few of the images that were learned from or decided, evenly."""
    paths = run.parts.development
    step = max(1, len(paths) // closing.GOLDEN_CANDIDATES)
    chosen = paths[::step][: closing.GOLDEN_CANDIDATES]
    return tuple(golden_images(chosen, run.recipe.golden, run.adaptation.size))


def _settings(run: _Run, plan: Plan) -> Any:
    made, recipe = run.adaptation, run.recipe
    settings = settings_of(plan, recipe, made.head, made.task)
    if made.kept:
        # What has learned already goes on at the rate of what has; a rate of 0 is for all but the head.
        settings = dataclasses.replace(settings, head_rate=recipe.backbone_rate or recipe.head_rate)
    changed = {
        **made.pace.settings,
        "optimisation": optimisation_of(recipe, made.body),
        "processes": run.work.processes,
    }
    if plan.batch:
        changed["batch"] = plan.batch
    return dataclasses.replace(settings, **changed)


def _short(stages: tuple[str, ...], body: str) -> list[str]:
    """The stages' names inside the backbone."""
    return [stage.removeprefix(f"{body}.") for stage in stages]
