"""What Signet says of each mistake of the suite, in the words of the command that notices it."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faults import detectors, exports, networks, planting, truths
from faults.injected import FAULTS
from faults.noticing import Noticed, Record, shortened
from faults.pipelines import Array, Network, Pipeline
from faults.with_signet import Bench
from signet import audit, finetune, load, resolve
from signet.asking import Program, Said
from signet.datasets import open_dataset
from signet.errors import SignetError
from signet.graphs.opening import open_graph
from signet.recipes import Recipe
from signet.records import Verdict
from signet.sealing import seal
from signet.seals import Seal, open_seal
from signet.verification import verify
from signet.verification_elsewhere import verify_elsewhere
from signet.verification_files import readdressed

SYSTEM = "signet"
GOLDEN = 6
"""Pictures with boxes that are sealed of."""
Say = Callable[[], Noticed]


class BySignet:
    """Every fault of the suite, as Signet meets it.

    Args:
        work: where seals, graphs and datasets are kept.
        shared: the folder with weights and images.
    """

    def __init__(self, work: Path, shared: Path) -> None:
        self.work, self.shared = work, shared
        self.bench = Bench(work, shared)

    def run(self, record: Record) -> None:
        """Every fault that the record does not have yet."""
        for name, say in self.sayings().items():
            if not record.has(name, SYSTEM):
                record.add(say())

    def sayings(self) -> Mapping[str, Say]:
        """By fault what asks about it."""
        found: dict[str, Say] = {
            fault.name: functools.partial(self._consumer, fault.name) for fault in FAULTS
        }
        found |= {one.name: functools.partial(self._detector, one) for one in detectors.FAULTS}
        found |= {name: functools.partial(self._audit, name) for name in (*planting.DATASETS, *truths.TRUTHS)}
        found["learning rate that kills"] = self._rate
        found["exported in train mode"] = functools.partial(self._file, "exported in train mode", "fp32")
        found["fixed batch"] = self._fixed_batch
        for name in ("calibrated with wrong preprocessing", "sensitive layer collapsed"):
            found[name] = functools.partial(self._file, name, "int8")
        found["truncated file"] = functools.partial(self._changed, "truncated file", exports.truncated)
        found["altered file"] = functools.partial(self._changed, "altered file", exports.altered)
        found["engine upgraded"] = self._upgraded
        return found

    def _consumer(self, name: str) -> Noticed:
        (fault,) = (one for one in FAULTS if one.name == name)
        module = name if name in networks.MODELS else ""
        pipeline = Pipeline(
            network=self.bench.network(module, "onnx"), labels=self.bench.seal.card.labels or ()
        )
        return _told(name, self._asked(fault.inject(pipeline) if fault.inject else pipeline))

    def _asked(self, consumer: Callable[[Path], tuple[Any, Any]], of: Seal | None = None) -> Verdict:
        return verify_elsewhere(
            of or self.bench.seal, Program("the consumer", lambda at: Said(*consumer(at)))
        )

    def _detector(self, fault: detectors.OfDetectors) -> Noticed:
        boxer = detectors.Boxer(self.detecting(), self.detector.card.labels or ())
        return _told(fault.name, self._asked(fault.inject(boxer), self.detector))

    @functools.cached_property
    def detector(self) -> Seal:
        """A sealed YOLOX-nano with crowded golden pictures."""
        place = self.work / "detector.signet"
        if not place.exists():
            pictures = sorted((self.shared / "data" / "coco_tiny" / "val2017").glob("*.jpg"))[:GOLDEN]
            seal(str(self.shared / "weights" / "files" / "yolox_nano.onnx"), pictures, out=place)
        return open_seal(place)

    def detecting(self) -> Network:
        """Its network, on ONNX Runtime."""
        return networks.of_onnx(self.detector.graphs["image"])

    def _audit(self, name: str) -> Noticed:
        make = planting.planted if name in planting.DATASETS else truths.stated_wrongly
        by = "signet audit"
        try:
            found = audit(open_dataset(make(name, self.shared, self.work)))
        except SignetError as error:
            return Noticed(name, SYSTEM, "before use", by, shortened(f"{type(error).__name__}: {error}"))
        said = [one for one in found.findings if one.kind in _MEANT[name]]
        if not said:
            return Noticed(name, SYSTEM, "not", by)
        message = shortened(f"{said[0].severity}: {said[0].message}")
        return Noticed(name, SYSTEM, "before use", by, message.replace(str(self.work), ""))

    def _rate(self) -> Noticed:
        data = open_dataset(self.plain())
        recipe = Recipe(strategy="full", backbone_rate=0.01, epochs=1)
        name, by = "learning rate that kills", "signet finetune"
        try:
            out = self.work / "killed.signet"
            finetune(str(self.bench.weights), data, out=out, recipe=recipe, overwrite=True)
        except SignetError as error:
            return Noticed(name, SYSTEM, "before use", by, shortened(f"{type(error).__name__}: {error}"))
        return Noticed(name, SYSTEM, "not", by)

    def plain(self) -> Path:
        """The dataset with nothing wrong."""
        out = self.work / "planted" / "plain"
        return out if out.exists() else planting.plain(self.shared, out)

    def made(self, name: str) -> Path:
        """A graph with a mistake, made once."""
        out = self.work / f"{name.replace(' ', '_')}.onnx"
        if out.exists():
            return out
        if name in ("exported in train mode", "fixed batch"):
            module = networks.source_of("", self.bench.weights, ()).build()
            make = exports.in_train_mode if name == "exported in train mode" else exports.of_one_picture
            return make(module, out)
        graph, shown = self.bench.seal.graphs["image"], self.bench.drifting()[: exports.CALIBRATED]
        if name == "sensitive layer collapsed":
            return exports.quantized(graph, shown, out, per_channel=False)
        wrong: Sequence[Array] = exports.in_bytes(shown)
        return exports.quantized(graph, wrong if name.startswith("calibrated") else shown, out)

    def _file(self, name: str, precision: Any) -> Noticed:
        verdict = verify(self.bench.seal, file=self.made(name), engine="onnx", precision=precision)
        return _told(name, verdict, "signet verify --file")

    def _fixed_batch(self) -> Noticed:
        name, found = "fixed batch", resolve(str(self.bench.seal.path))
        graph = open_graph(self.made(name))
        one = dataclasses.replace(
            found, card=readdressed(found.card, ("logits",)), networks=(graph,), digest=graph.digest
        )
        photos = [str(path) for path in self.bench.photos[:8]]
        answers = []
        for model in (found, one):
            with load(model, engine="onnx", precision="fp32") as opened:
                answers.append([answer.best for answer in opened(photos)])
        same = sum(first == second for first, second in zip(*answers, strict=True))
        if same < len(photos):
            return Noticed(name, SYSTEM, "not", f"{same} of {len(photos)} answers are equal")
        return Noticed(name, SYSTEM, "impossible", "any number of pictures is answered, all 8 of 8 alike")

    def _changed(self, name: str, change: Callable[[Path, Path], Path]) -> Noticed:
        out = self.work / "changed.signet"
        shutil.rmtree(out, ignore_errors=True)
        try:
            load(str(change(self.bench.seal.path, out)))
        except SignetError as error:
            message = shortened(f"{type(error).__name__}: {error}".replace(str(self.work), ""))
            return Noticed(name, SYSTEM, "before use", "signet.load", message)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        return Noticed(name, SYSTEM, "not", "signet.load")

    def _upgraded(self) -> Noticed:
        """What happened when OpenVINO began to compute in bf16 where the processor can, unasked."""
        network = networks.of_openvino(self.bench.seal.graphs["image"], precision="bf16")
        return _told(
            "engine upgraded",
            self._asked(Pipeline(network=network, labels=self.bench.seal.card.labels or ())),
        )


_COPIES = ("leak",)
_MEANT: Mapping[str, Sequence[str]] = {
    "duplicates across splits": _COPIES,
    "near-duplicates across splits": _COPIES,
    "video frames across splits": ("groups apart", *_COPIES),
    "noise in labels": ("label suspects",),
    "accuracy on imbalanced data": ("imbalance",),
    "test set used for stopping": _COPIES,
    "boxes not flipped with the image": ("misplaced boxes",),
    "xywh for xyxy": ("annotations",),
    "identifiers remapped wrongly": ("annotations",),
}
"""The kinds of findings that are about the mistake; any other would be noticed by accident."""


def _told(name: str, verdict: Verdict, by: str = "signet verify --command") -> Noticed:
    if verdict.ok:
        return Noticed(name, SYSTEM, "not", by)
    words = verdict.message.split("the first stage that differs is", 1)[-1]
    return Noticed(name, SYSTEM, "before use", by, shortened(f"the first stage that differs is{words}"))
