"""`finetune`: features, probe, further training, choice, measurement, seal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Floats
from signet.datasets import Dataset
from signet.errors import AlreadyExists, BadDataset, BadRequest, WrongTask
from signet.finetuning import adapting, answering, closing, domains, folding, label_sets, scoring
from signet.finetuning.adaptations import SCRATCH
from signet.finetuning.adapted import Adapted
from signet.finetuning.baseline import Baseline, from_random_weights
from signet.finetuning.deciding import better, spared, told_spared
from signet.finetuning.jobs import Beside, Job, RunSettings
from signet.finetuning.looking_over import with_findings
from signet.finetuning.meeting import meeting
from signet.finetuning.origins import copies_among, provenance_of
from signet.finetuning.outcome import Candidate, Finetuned, by_key
from signet.finetuning.partition import Part
from signet.finetuning.planning import make_plan
from signet.finetuning.plans import Plan
from signet.finetuning.presets import applied, counted
from signet.finetuning.probes import (
    all_readable,
    featured,
    features_of,
    fitted,
    probe_settings,
)
from signet.finetuning.refusals import refuse_unfit
from signet.finetuning.searching import searched
from signet.finetuning.starting import starting_point, with_random_weights
from signet.finetuning.strategies import Strategy, check_recipe, dealt, strategy_for
from signet.finetuning.teachers import teacher_of
from signet.finetuning.trained import TrainedNetwork, train_further
from signet.finetuning.workplace import was_sealing, workplace
from signet.fingerprints import read_fingerprints
from signet.networks import Pretrained
from signet.probing import Probe
from signet.recipes import Recipe
from signet.records import Mistake
from signet.seals import check_out


def finetune(
    model: str | Path | Pretrained,
    dataset: Dataset[Any],
    *,
    out: str | Path,
    recipe: Recipe | None = None,
    overwrite: bool = False,
    run: RunSettings | None = None,
) -> Finetuned | Adapted:
    """Teach a pretrained model the labels of a dataset, and seal the result.

    A linear probe on the frozen features comes first; where torch is installed and the recipe allows it, the
    probe's weights start a further training; the better of the two on the validation images is calibrated
    and sealed. Figures are from images that no decision used: the test split where there is one, a part held
    out before anything else, or (for a probe alone) nested cross-validation. Without torch, any model that
    has a graph can be taken this far by its probe.

    A dataset with a label for each pixel makes a segmenter, one of boxes or masks a detector: the backbone of
    a classifier of timm takes a head (`recipe.head`), or a detector gets other class layers, and the epoch
    with the best mIoU or average precision on the validation images is sealed.

    Args:
        model: a catalogue name, a path, or what `resolve` found.
        dataset: one label an image or several, one for each pixel, boxes, or objects with masks.
        out: the seal to write, `NAME.signet`.
        recipe: every setting; the defaults when None.
        overwrite: replace what is there, and throw away an interrupted run.
        run: resuming and progress.

    Raises:
        AlreadyExists: `out` is there and `overwrite` was not given.
        WrongTask: the model neither classifies nor embeds; or the dataset states something else.
        BadDataset: the images cannot be learned from: too few, or one class.
        BadRequest: the recipe asks for what this model cannot do.
        MissingExtra: the recipe asks for training, and torch is not installed.

    Example:
        >>> finetune("starter", open_dataset("birds/"), out="birds.signet").metrics["top1"]  # doctest: +SKIP
        Interval(value=0.94, low=0.91, high=0.96)
    """
    begin = time.monotonic()
    chosen, ways = recipe or Recipe(), run or RunSettings()
    target = check_out(out)
    overwrite = overwrite or (ways.resume and was_sealing(target))
    if target.exists() and not overwrite:
        raise AlreadyExists(target)
    found = (
        model
        if isinstance(model, Pretrained)
        else starting_point(model, chosen, on_progress=ways.on_progress)
    )
    refuse_unfit(chosen, dataset)
    if dataset.task != "classify":
        if ways.head is not None:
            raise BadRequest(
                f"head: expected labels of images, for which a head of one's own may be given, got "
                f"{dataset.source} (task {dataset.task!r})."
            )
        adapted = adapting.adapt(found, dataset, target, chosen, ways, overwrite)
        return dataclasses.replace(adapted, seconds=time.monotonic() - begin)
    if found.card.output.head not in ("softmax", "sigmoid", "embedding"):
        raise WrongTask(
            f"{found.card.name} (task {found.card.task!r}) and {dataset.source} (one label an image): "
            "expected a classifier or a model that gives vectors, since a dataset of classes makes a "
            "classifier."
        )
    given, (chosen, preset_words) = chosen, applied(chosen, dataset, found.card)
    check_recipe(chosen, own_head=ways.head is not None)
    domain = domains.fit_target(found, dataset, chosen, ways.head)
    teacher = teacher_of(chosen, dataset, offline=ways.offline, on_progress=ways.on_progress)
    strategy = strategy_for(found, dataset, chosen, own_head=ways.head is not None)
    strategy = Strategy(strategy.name, (*preset_words, *strategy.why))
    identity = closing.identity_of(found, dataset, chosen, strategy.name, teacher, ways.head)
    identity |= {} if domain is None else {"target": domain.identity}
    ranks = meeting(ways.processes, chosen.device)
    with workplace(target, identity, resume=ways.resume, overwrite=overwrite, ranks=ranks) as work:
        scratch = strategy.name == SCRATCH
        start = with_random_weights(found, chosen, work.folder) if scratch else featured(found)
        parts, strategy = dealt(dataset, chosen, strategy, ways.on_progress)
        chosen, more, steps = counted(given, chosen, folding.learned_from(parts, chosen))
        strategy = Strategy(strategy.name, (*more, *strategy.why))

        def planned() -> dict[str, Any]:
            plan = make_plan(start, dataset, parts, chosen, strategy, Beside(teacher, ways.head, steps))
            plan = domains.with_target(plan, domain, chosen)
            return with_findings(plan, dataset, chosen, ways).to_dict()

        plan = Plan.from_dict(work.values("plan", planned))
        if ways.on_plan is not None:
            ways.on_plan(plan)
        job = Job(start, parts, plan, chosen, work, ways.resume, ways.on_progress, teacher, ways.head, domain)
        done = _sealed(job, dataset, target, overwrite)
        work.remove()
    return dataclasses.replace(done, seconds=time.monotonic() - begin)


@dataclass(frozen=True, slots=True, eq=False)
class _Decided:
    """Both candidates, and what the validation images said of them."""

    kept: Candidate
    validation: Mapping[str, float]
    temperature: float
    probe: Probe
    tuned: TrainedNetwork | None
    rows: Floats
    tried: tuple[Mapping[str, Any], ...]
    baseline: Baseline | None
    before: Mapping[str, float]
    unseen: Floats | None

    @property
    def seconds(self) -> dict[str, float]:
        """What each candidate took, for those that there are."""
        found = dict(self.before)
        if self.tuned is not None:
            found["finetuned"] = self.tuned.seconds
        if self.baseline is not None:
            found["random"] = self.baseline.seconds
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Tested:
    """The images that figures are from, and the candidates' logits on them."""

    part: Part
    probe: Floats
    tuned: Floats | None
    random: Floats | None
    unreadable: tuple[Mistake, ...]
    notes: tuple[str, ...]
    seconds: float
    shift: _Shift | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Shift:
    """What became of a target: the network to seal, None for that decided on; logits of the test images."""

    network: domains.Network | None
    logits: Floats
    found: domains.DomainAdaptation


def _sealed(job: Job, dataset: Dataset[Any], target: Path, overwrite: bool) -> Finetuned:
    begin = time.monotonic()
    parts, recipe = job.parts, job.recipe
    classes = len(parts.labels)
    rows, readable, failures = features_of(
        job.start, parts.development.paths, recipe, job.on_progress, parts.digests
    )
    all_readable(readable, len(parts.development), failures)
    training = job.plan.strategy != "probe"
    known = parts.training if training else np.arange(len(parts.development))
    targets = parts.development.targets
    probe = fitted(rows[known], targets[known], classes, parts.folds[known], recipe, job.on_progress)
    probe_seconds = time.monotonic() - begin
    tuned: TrainedNetwork | None = None
    tried: tuple[Mapping[str, Any], ...] = ()
    search_seconds = 0.0
    deciding = probe.out_of_fold[probe.judged], targets[known][probe.judged]
    if training and recipe.kfold:
        deciding = probe.out_of_fold, targets
        tuned = folding.train_folds(job, probe)
    elif training:
        deciding = probe.logits(rows[parts.validation]), targets[parts.validation]
        reason = told_spared(job.work, lambda: spared(probe, targets[known], len(parts.validation), recipe))
        if reason is None:
            job, tried, search_seconds = searched(job, probe)
            tuned = train_further(job, probe)
        else:
            job = job.noting(reason)
    others = None if tuned is None else tuned.validation_logits
    kept, validation = better(deciding, others, careful=recipe.strategy == "auto")
    logits = tuned.validation_logits if kept == "fine-tuned" and tuned is not None else deciding[0]
    temperature = label_sets.temperature_of(logits, deciding[1]) if len(logits) else 1.0
    unseen = closing.unseen_by(probe, known, parts, deciding[0])
    if training:
        # All is decided: the probe that is measured, and perhaps sealed, learns from all of them.
        weights, bias = label_sets.refitted(probe, rows, targets, classes)
        probe = dataclasses.replace(probe, weights=weights, bias=bias)
    baseline = from_random_weights(job, tuned) if tuned is not None and recipe.random_baseline else None
    seconds = {"probe": probe_seconds, **({"search": search_seconds} if tried else {})}
    decided = _Decided(kept, validation, temperature, probe, tuned, rows, tried, baseline, seconds, unseen)
    tested = _measure(job, decided)
    if job.target is not None:
        tested = dataclasses.replace(tested, shift=_shifted(job, decided, tested, job.target))
    return _finished(job, dataset, decided, tested, target=target, overwrite=overwrite)


def _measure(job: Job, decided: _Decided) -> _Tested:
    """Open the test images, now that all is decided; without any, nested folds estimate the probe."""
    begin = time.monotonic()
    parts, recipe, tell, tuned = job.parts, job.recipe, job.on_progress, decided.tuned
    if parts.test is None:
        targets = parts.development.targets
        logits = label_sets.nested(
            decided.rows, targets, len(parts.labels), parts.folds, probe_settings(recipe), tell
        )
        return _Tested(parts.development, logits, None, None, (), (), time.monotonic() - begin)
    features, readable, failures = features_of(job.start, parts.test.paths, recipe, tell)
    if not len(readable):
        raise BadDataset(f"none of the {len(parts.test)} test images can be read; first: {failures[0][1]}")
    part = parts.test.subset(readable)
    unreadable = tuple(
        Mistake(
            str(parts.test.paths[place]),
            label_sets.words_of(parts.test.targets, place, parts.labels),
            "",
            0.0,
            0.0,
            error=str(error),
        )
        for place, error in failures
    )
    answers_of_tuned = None if tuned is None else answering.logits_of(tuned, part.paths, recipe)
    baseline = decided.baseline
    prints = read_fingerprints(part.paths, on_progress=tell)
    return _Tested(
        part,
        decided.probe.logits(features),
        answers_of_tuned,
        None if baseline is None else answering.logits_of(baseline.network, part.paths, recipe),
        unreadable,
        copies_among(parts.fingerprints, prints),
        time.monotonic() - begin,
    )


def _shifted(job: Job, decided: _Decided, tested: _Tested, target: domains.Target) -> _Shift:
    """The kept candidate, adapted to a target."""
    tuned = decided.tuned if decided.kept == "fine-tuned" else None
    candidate = domains.Candidate(
        job, _network(job, decided), decided.probe, tuned, target.paths, decided.temperature
    )
    before = tested.probe if tuned is None or tested.tuned is None else tested.tuned
    test = None if job.parts.test is None else (tested.part, before)
    network, found = domains.adapted_to(candidate, target, test, job.recipe.seed)
    if network is None or test is None:
        return _Shift(network, before, found)
    return _Shift(network, network.logits(tested.part.paths), found)


def _network(job: Job, decided: _Decided) -> domains.Network:
    """The candidate that was kept."""
    if decided.kept == "fine-tuned" and decided.tuned is not None:
        return domains.of_trained(job, decided.tuned)
    return domains.of_probe(job, decided.probe, decided.rows)


def _finished(
    job: Job, dataset: Dataset[Any], decided: _Decided, tested: _Tested, *, target: Path, overwrite: bool
) -> Finetuned:
    """Seal the chosen candidate and report both."""
    kept, temperature, tuned, probe = decided.kept, decided.temperature, decided.tuned, decided.probe
    seed, labels = job.recipe.seed, job.parts.labels
    # Nested folds have each their own temperature: this one has seen the images that they measure on.
    nested = job.parts.test is None
    by_probe = scoring.Measured(
        tested.probe, temperature if kept == "probe" and not nested else 1.0, dataset.exclusive
    )
    by_tuned = None
    if tested.tuned is not None:
        by_tuned = scoring.Measured(
            tested.tuned, temperature if kept == "fine-tuned" else 1.0, dataset.exclusive
        )
    best = by_tuned if kept == "fine-tuned" and by_tuned is not None else by_probe
    shift = tested.shift
    if shift is not None:
        best = best._replace(logits=shift.logits)  # what is reported is what is sealed
    targets = tested.part.targets
    report = scoring.report_of(
        best,
        tested.part,
        labels,
        seed=seed,
        about={
            "seconds": tested.seconds,
            "unreadable": (*job.parts.unreadable, *tested.unreadable),
            "notes": (*job.parts.notes, *(tuned.notes if tuned else ()), *tested.notes),
            "provenance": provenance_of(job, dataset, len(tested.part)),
        },
    )
    figures = scoring.metrics_of(by_probe, targets, labels, seed)
    others = None if by_tuned is None else scoring.metrics_of(by_tuned, targets, labels, seed)
    gain = None if by_tuned is None else scoring.gain_of(by_tuned, by_probe, targets, seed)
    candidate = (
        _network(job, decided) if shift is None or shift.network is None else shift.network
    ).sealable()
    if kept == "probe" and (shift is None or shift.network is None):
        candidate = dataclasses.replace(candidate, unseen=decided.unseen)
    history = () if tuned is None else tuned.history
    random = None
    if tested.random is not None:
        by_random = scoring.Measured(tested.random, 1.0, dataset.exclusive)
        random = scoring.metrics_of(by_random, targets, labels, seed)
    calibrated = None if nested else scoring.calibrated(best, targets, labels, seed)
    if calibrated is not None and shift is not None and shift.network is not None:
        calibrated = dataclasses.replace(calibrated, adapted=True)
    proof = None if tuned is None else tuned.proof
    if proof is not None and shift is not None and kept == "fine-tuned":
        proof = proof.then_adapted(shift.found.changed)
    folds = folding.record(tuned, job.parts, seed)
    beside = {
        "random": None if random is None else {"metrics": closing.plain(random)},
        "calibration": None if calibrated is None else calibrated.to_dict(),
        "frozen": None if proof is None else proof.to_dict(),
        "finetuned": None if others is None else {"metrics": closing.plain(others), "history": list(history)},
        "folds": folds,
        "adaptation": None if shift is None else shift.found.to_dict(),
    }
    record: dict[str, Any] = {
        **({"search": [dict(row) for row in decided.tried]} if decided.tried else {}),
        "chosen": kept,
        "validation": by_key(decided.validation),
        "measured_on": job.plan.measured_on,
        "metrics": closing.plain(report.metrics),
        "probe": {"strength": probe.strength, "method": probe.method, "metrics": closing.plain(figures)},
        **{name: facts for name, facts in beside.items() if facts is not None},
    }
    job.work.begin_sealing()
    seal = closing.close(job, candidate, record, target, temperature=temperature, overwrite=overwrite)
    return Finetuned(
        seal=seal,
        plan=job.plan,
        chosen=kept,
        report=report,
        probe=figures,
        tuned=others,
        gain=gain,
        validation=decided.validation,
        history=history,
        search=decided.tried,
        kept_epoch=None if tuned is None or folds else tuned.best_epoch,
        folds=folds,
        sheet=None if tuned is None else tuned.sheet,
        random=random,
        frozen=proof,
        calibrated=calibrated,
        adaptation=None if shift is None else shift.found,
        seconds_of=decided.seconds,
    )
