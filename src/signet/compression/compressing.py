"""`compress`: a seal becomes a smaller or faster one, behind a gate."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from signet.compression import halving, quantizing, recovering
from signet.compression.delivering import delivered
from signet.compression.distilling import check_student, distilled
from signet.compression.gate import SMALLEST_COUNT
from signet.compression.halving import Half
from signet.compression.judging import Judged, best_of, judged
from signet.compression.outcome import Compressed, Cost, Learned, Made
from signet.compression.parts import Parts, all_judging, fingerprint_of, parts_of
from signet.compression.sensitivity import Pair, costs_of, rungs
from signet.compression.settings import TARGETS, CompressSettings, Target, check_asked, recipe_for
from signet.datasets import Dataset
from signet.errors import AlreadyExists, UnknownName
from signet.evaluation.dispatch import fitting
from signet.graphs.opening import open_graph
from signet.progress import Progress
from signet.seals import Seal, check_out, open_seal
from signet.zoos import from_seal

Work = Callable[[Path], Compressed]
"""What is done in a folder of its own, once nothing was refused."""


def compress(
    seal: Seal | str | Path,
    dataset: Dataset[Any],
    *,
    to: Target = "int8",
    out: str | Path,
    settings: CompressSettings | None = None,
) -> Compressed:
    """Make a seal smaller or faster, and deliver it where it decides as before.

    Before and after are measured on the same images, none of which set a range. What loses more than the
    gate allows is not written: int8 is then tried with the costliest layers in floats, and where nothing
    passes, what was measured is told and nothing is delivered.

    Args:
        seal: what is to be compressed; it is left as it is.
        dataset: images with their truth, of the kind that the model is for.
        to: "int8"; "fp16", "bf16", which round the weights and leave what runs as it is; "pruned", which cuts
            channels out and trains what is left; or "distilled", in which a smaller model learns from it.
        out: the seal to write, `NAME.signet`.
        settings: gate, calibration, engine.

    Returns:
        The new seal with all that was measured; `seal` is None where the gate refused.

    Raises:
        AlreadyExists: `out` is there.
        UnknownName: no such target or split.
        WrongTask: the seal gives nothing that the dataset has a truth for.
        BadRequest: the seal's graph cannot be compressed so.
        BadDataset: too few images.
        BadInput: calibration fails.
        CheckFailed: engines do not agree on the new graph.

    Example:
        >>> found = compress("birds.signet", open_dataset("birds/"), out="small.signet")   # doctest: +SKIP
        >>> found.chosen.ruling.drop                                                        # doctest: +SKIP
        Interval(value=0.0, low=-0.008, high=0.008)
    """
    begin = time.monotonic()
    chosen = settings or CompressSettings()
    if to not in TARGETS:
        raise UnknownName("target", to, TARGETS, f"Known: {', '.join(TARGETS)}.")
    target = check_out(out)
    if not chosen.overwrite and (target.exists() or target.is_symlink()):
        raise AlreadyExists(target)
    opened = seal if isinstance(seal, Seal) else open_seal(Path(seal))
    fitting(opened.card, dataset)
    check_asked(to, chosen)
    work = _work(to, opened, dataset, chosen)
    with tempfile.TemporaryDirectory(prefix="signet-") as folder:
        found = work(Path(folder))
        ruling = found.chosen.ruling
        if ruling.passed or chosen.keep_refused:
            chosen.on_progress(Progress("sealing and verifying", 0, 1, "steps"))
            record = _record(found, to, opened)
            made = found.made[found.chosen.name]
            sealed, verdicts = delivered(opened, made, record, target, chosen)
            found = dataclasses.replace(found, seal=sealed, verdicts=verdicts)
        return dataclasses.replace(found, made={}, seconds=time.monotonic() - begin)


def _work(to: Target, opened: Seal, dataset: Dataset[Any], settings: CompressSettings) -> Work:
    """What is to be done, once all that can be refused beforehand was looked at."""
    if to == "int8":
        quantizing.check_quantizable(opened)
        parts = parts_of(dataset, settings.split, settings.calibration, settings.seed)
        return lambda folder: _in_int8(opened, parts, folder, settings)
    whole = all_judging(dataset, settings.split)
    if to == "pruned":
        recovering.refuse_unfit(recipe_for(to, settings))
        source = recovering.check_prunable(opened, dataset)
        return lambda folder: _learned(
            to, opened, whole, recovering.recovered(opened, source, dataset, folder, settings), settings
        )
    if to == "distilled":
        student = check_student(opened, dataset, settings)
        return lambda folder: _learned(
            to, opened, whole, distilled(opened, student, dataset, folder, settings), settings
        )
    halving.check_halvable(opened)
    return lambda folder: _in_half(opened, to, whole, folder, settings)


def _in_int8(opened: Seal, parts: Parts, folder: Path, settings: CompressSettings) -> Compressed:
    """Plain int8; where it is refused, also with the costliest layers in floats."""
    before = from_seal.of(opened)
    settings.on_progress(Progress("calibrating int8", 0, len(parts.calibration)))
    graph, count = quantizing.quantized(opened, parts.calibration, folder / "int8.onnx")
    made = [Made(name="int8", graph=graph)]
    judgement = judged(before, made, parts.judged, settings)
    costs: tuple[Cost, ...] = ()
    ruling = judgement.candidates[0].ruling
    if settings.mixed and not ruling.passed and ruling.count >= SMALLEST_COUNT:
        pair = Pair.of(open_graph(opened.graphs["image"]), graph, folder)
        running, tell = settings.running, settings.on_progress
        costs = costs_of(pair, opened.card, parts.calibration, running, tell)
        made = [*made, *rungs(pair, costs)]
        judgement = judged(before, made, parts.judged, settings)
    calibration = {"images": count, "fingerprint": fingerprint_of(parts.calibration)}
    found = _found("int8", judgement, made, parts, settings)
    return dataclasses.replace(found, costs=costs, calibration=calibration)


def _in_half(opened: Seal, to: Half, parts: Parts, folder: Path, settings: CompressSettings) -> Compressed:
    """The weights in 16 bits; there is nothing to try beside it."""
    made = [Made(name=f"weights in {to}", graph=halving.halved(opened, to, folder / f"{to}.onnx"))]
    return _found(to, judged(from_seal.of(opened), made, parts.judged, settings), made, parts, settings)


def _learned(
    to: Target, opened: Seal, parts: Parts, done: tuple[Made, Learned], settings: CompressSettings
) -> Compressed:
    """One network that has learned; there is nothing to try beside it."""
    made, learned = done
    found = _found(to, judged(from_seal.of(opened), [made], parts.judged, settings), [made], parts, settings)
    return dataclasses.replace(found, learned=learned)


def _found(
    to: Target, judgement: Judged, made: Sequence[Made], parts: Parts, settings: CompressSettings
) -> Compressed:
    notes = [*parts.notes, *judgement.compared.notes]
    if len(made) > 1:
        notes.append(
            f"The gate judged {len(made)} networks on the same images, and the first that passes is taken: "
            "what it lost here is a little flattered."
        )
    return Compressed(
        target=to,
        seal=None,
        parent=judgement.compared.models[0].provenance["model_digest"],
        before=judgement.compared.models[0],
        before_milliseconds=judgement.before_milliseconds,
        chosen=best_of(judgement.candidates, settings.gate),
        frontier=judgement.candidates,
        provenance=judgement.compared.provenance,
        notes=tuple(notes),
        made={one.name: one for one in made},
    )


def _record(found: Compressed, to: Target, parent: Seal) -> dict[str, Any]:
    """What the new seal's card says of where it comes from."""
    ruling = found.chosen.ruling
    return {
        "to": to,
        "parent": {"name": parent.card.name, "digest": parent.digest},
        "floats": list(found.chosen.floats),
        "calibration": dict(found.calibration),
        **({} if found.learned is None else {"learned": found.learned.to_dict()}),
        "judged_on": {key: found.provenance.get(key) for key in ("dataset", "split", "data_fingerprint")},
        "images": ruling.count,
        "alike": ruling.alike,
        "drop": {"metric": ruling.metric, **ruling.drop.to_dict()},
        "gate": ruling.to_dict(),
    }
