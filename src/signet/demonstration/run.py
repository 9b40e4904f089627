"""The demo itself: two small sets of real images, adapted to, evaluated, sealed, verified, predicted."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from signet import storage
from signet.arrays import Array, Integers
from signet.datasets import Dataset, from_folder
from signet.decoding import read
from signet.demonstration.baselines import histograms, untrained
from signet.demonstration.digits import digits
from signet.demonstration.materials import materials
from signet.errors import AlreadyExists
from signet.evaluation import evaluate
from signet.features import extract
from signet.finetuning import RunSettings, finetune
from signet.models import Model, load
from signet.predictions import Classes
from signet.probing import fit_probe
from signet.progress import OnProgress, silent
from signet.recipes import Recipe
from signet.records import Interval, Report, Verdict
from signet.reporting import Act, demonstration_page, render
from signet.reporting.page import Commands, Picture, Pictures, Row, Table
from signet.reporting.pictures import thumbnail
from signet.reporting.words import percent
from signet.resolving import resolve
from signet.running import engines_for
from signet.statistics import wilson
from signet.streaming import settings_for
from signet.verification import verify
from signet.zoos import from_package

MARK = ".made-by-signet-demo"
SHOWN = 12
"""Test pictures of each set on the page."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One data set of the demo: what it is called, why it is here, and how to make its pictures."""

    name: str
    title: str
    lead: str
    make: Callable[[int], Sequence[tuple[str, str, Array]]]


SCENES = (
    Scene(
        "digits",
        "Handwritten digits",
        "1,797 real scans of 8x8 pixels from scikit-learn, 50 of each digit kept for the test. Easy: a "
        "network that knows nothing does well here too.",
        digits,
    ),
    Scene(
        "materials",
        "Photographic materials",
        "Grey, contrast-normalised crops of the photographs that scikit-image carries, 12 of each material "
        "to learn from, 40 to test, from regions that share no pixel. Neither colour nor brightness helps.",
        lambda seed: materials(seed=seed),
    ),
)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one scene.

    Attributes:
        name: of the scene.
        seal: path of the sealed model.
        digest: of its `seal.json`.
        report: on the test images.
        untrained: accuracy of the same network with random weights.
        histogram: accuracy without a network.
        verdicts: one for each engine that is installed.
        pictures: a few test images with the seal's answers.
    """

    name: str
    seal: Path
    digest: str
    report: Report
    untrained: Interval
    histogram: Interval
    verdicts: tuple[Verdict, ...]
    pictures: Pictures

    @property
    def top1(self) -> Interval:
        """Accuracy of the adapted starter."""
        return self.report.metrics["top1"]


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """The whole demo.

    Attributes:
        report: the page.
        scenes: in order.
        seconds: wall time.
    """

    report: Path
    scenes: tuple[Played, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Every sealed model was verified on every engine."""
        return all(verdict.ok for scene in self.scenes for verdict in scene.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "report": str(self.report),
            "ok": self.ok,
            "scenes": [
                {
                    "name": scene.name,
                    "seal": str(scene.seal),
                    "digest": scene.digest,
                    "top1": scene.top1.to_dict(),
                    "untrained": scene.untrained.to_dict(),
                    "histogram": scene.histogram.to_dict(),
                    "verdicts": [verdict.to_dict() for verdict in scene.verdicts],
                }
                for scene in self.scenes
            ],
        }

    def words(self) -> list[str]:
        """What the command line says at the end."""
        lines = []
        for scene in self.scenes:
            engines = ", ".join(f"{one.engine} {one.precision}" for one in scene.verdicts if one.ok)
            lines.append(f"{scene.name}: {scene.top1}")
            lines.append(
                f"  the same network untrained {100 * scene.untrained.value:.1f} %, "
                f"no network {100 * scene.histogram.value:.1f} %"
            )
            lines.append(f"  sealed as {scene.seal}, verified on {engines or 'no engine'}")
        lines += ["", f"report: {self.report}", "", "The same with your own images, a folder for each label:"]
        return lines + [f"  {line}" for line in commands(self.scenes[-1].seal)]


def commands(seal: Path) -> tuple[str, ...]:
    """What to type next."""
    return (
        "signet finetune starter YOUR_FOLDER --out mine.signet",
        "signet predict mine.signet NEW_PICTURES",
        f"signet verify {seal}",
    )


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
    on_step: Callable[[str], None] = lambda _: None,
) -> Demonstrated:
    """Run the demo.

    Args:
        out: folder for pictures, seals and `report.html`.
        seed: of all that is drawn.
        overwrite: replace the folder, if a demo made it.
        on_progress: told of every long step.
        on_step: told in words what happens.

    Raises:
        AlreadyExists: the folder is there, and is not a demo's or may not be replaced.
    """
    begin = time.monotonic()
    if out.exists() and not (overwrite and (out / MARK).exists()):
        raise AlreadyExists(out)
    with storage.new_folder(out, overwrite=overwrite) as folder:
        (folder / MARK).write_text("signet demo writes this folder anew each time.\n")
        played = tuple(_play(scene, folder, seed, on_progress, on_step) for scene in SCENES)
        page = demonstration_page(
            _summary(played),
            [
                _act(scene, _settled(result, folder, out))
                for scene, result in zip(SCENES, played, strict=True)
            ],
            Commands("The same with your own images", commands(out / played[-1].seal.name)),
            notes=_unverified(played),
        )
        (folder / "report.html").write_text(render(page), encoding="utf-8")
    moved = tuple(_moved(scene, out) for scene in played)
    return Demonstrated(out / "report.html", moved, time.monotonic() - begin)


def _play(
    scene: Scene, folder: Path, seed: int, on_progress: OnProgress, on_step: Callable[[str], None]
) -> Played:
    on_step(f"{scene.title}: {scene.lead}")
    data = _written(scene.make(seed), folder / "data" / scene.name)
    starter = from_package.pretrained()
    recipe = Recipe(strategy="probe", seed=seed)
    sealed = folder / f"{scene.name}.signet"
    done = finetune(starter, data, out=sealed, recipe=recipe, run=RunSettings(on_progress=on_progress))
    with load(sealed, Classes, settings=settings_for(many=True)) as model:
        report = evaluate(model, data, split="test", seed=seed, on_progress=on_progress)
        pictures = _pictures(model, data, seed)
    verdicts = tuple(verify(sealed, engine=engine) for engine in engines_for(resolve(sealed)))
    blank = untrained(folder / "untrained", seed)
    return Played(
        name=scene.name,
        seal=sealed,
        digest=done.seal.digest,
        report=report,
        untrained=_accuracy(_features(blank, on_progress), data),
        histogram=_accuracy(histograms, data),
        verdicts=verdicts,
        pictures=pictures,
    )


def _written(rows: Sequence[tuple[str, str, Array]], folder: Path) -> Dataset[Any]:
    """The pictures as PNG files in `split/label/`, opened as a dataset."""
    for place, (label, split, pixels) in enumerate(rows):
        target = folder / split / label / f"{place:04d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(pixels).save(target)
    return from_folder(folder)


def _features(pretrained: Any, on_progress: OnProgress) -> Callable[[list[Path]], Array]:
    def take(paths: list[Path]) -> Array:
        model: Model[Any]
        with load(pretrained, precision="fp32", settings=settings_for(many=True)) as model:
            return extract(model, paths, on_progress=on_progress).features

    return take


def _accuracy(take: Callable[[list[Path]], Array], data: Dataset[Any]) -> Interval:
    """Test accuracy of the same probe on other features, with its interval."""
    train, test = data.select("train"), data.select("test")
    rows = take([*train.paths, *test.paths])
    known, unseen = rows[: len(train)], rows[len(train) :]
    probe = fit_probe(known, _targets(train), len(data.labels))
    right = probe.logits(unseen).argmax(axis=1) == _targets(test)
    return wilson(int(right.sum()), len(right))


def _targets(data: Dataset[Any]) -> Integers:
    return np.array([entry.classes[0] for entry in data.entries], np.int64)


def _pictures(model: Model[Any], data: Dataset[Any], seed: int) -> Pictures:
    """Test images drawn at random, as the seal answers for them."""
    test = data.select("test")
    drawn = np.random.default_rng(seed).choice(len(test), min(SHOWN, len(test)), replace=False)
    shown = []
    for entry in (test.entries[place] for place in sorted(drawn.tolist())):
        (answer,) = model(entry.path)
        best = answer.top(3) if isinstance(answer, Classes) else Classes.truth(0, "")
        scores = zip(best.labels, best.scores.tolist(), strict=True)
        shown.append(
            Picture(
                data=thumbnail(read(entry.path)),
                source=entry.path.name,
                answers=tuple(scores),
                truth=data.labels[entry.classes[0]],
            )
        )
    return Pictures("Test images drawn at random", tuple(shown), "What the sealed model answers.")


def _act(scene: Scene, played: Played) -> Act:
    rows = (
        Row("The starter, adapted", played.top1, chosen=True),
        Row("The same network, untrained", played.untrained),
        Row("Histogram and thumbnail, no network", played.histogram),
    )
    checks = Table(
        "Verified on every engine",
        tuple(
            (
                one.engine,
                one.precision,
                "same" if one.ok else f"differs: {one.first_divergence}",
                f"{one.agree} of {one.total}",
            )
            for one in played.verdicts
        ),
        ("engine", "precision", "evidence", "golden decisions alike"),
        "Each engine replayed the seal's evidence, stage by stage.",
    )
    return Act(
        title=scene.title,
        lead=scene.lead,
        rows=rows,
        report=played.report,
        pictures=played.pictures,
        tables=(checks,),
    )


def _summary(played: Sequence[Played]) -> str:
    words = "; ".join(
        f"{scene.name} {percent(scene.top1.value)} right "
        f"(untrained {percent(scene.untrained.value)}, no network {percent(scene.histogram.value)})"
        for scene in played
    )
    checked = "checked" if _unverified(played) else "verified"
    return (
        "A small pretrained network was adapted to two sets of real images, measured on images that it had "
        f"not seen, sealed with evidence, and {checked} on every engine that is installed: {words}."
    )


def _unverified(played: Sequence[Played]) -> tuple[str, ...]:
    """A sentence for each engine on which a seal did not answer as it was sealed."""
    return tuple(
        f"{scene.name} is not verified on {one.engine} in {one.precision}: "
        f"the first stage that differs is {one.first_divergence}."
        for scene in played
        for one in scene.verdicts
        if not one.ok
    )


def _settled(played: Played, folder: Path, out: Path) -> Played:
    """The same with the paths that will be there when the folder has its name."""
    provenance = {
        key: value.replace(str(folder), str(out)) if isinstance(value, str) else value
        for key, value in played.report.provenance.items()
    }
    return dataclasses.replace(played, report=dataclasses.replace(played.report, provenance=provenance))


def _moved(scene: Played, out: Path) -> Played:
    return dataclasses.replace(scene, seal=out / scene.seal.name)
