"""Sealing: a model becomes one folder that holds all it needs and the evidence of how it answers."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet.cards import Card, InputSpec
from signet.engines.contract import EngineSettings
from signet.errors import AlreadyExists, BadInput, BadRequest, UnknownName, WrongTask
from signet.evidence import (
    STEADY_ABSOLUTE,
    STEADY_RELATIVE,
    check_task,
    expected_from,
    reference_model,
    variant_of,
    without_missing_features,
)
from signet.evidence_objects import sees
from signet.graphs.opening import open_graph
from signet.images import Image
from signet.models import Model, default_cache, resolve
from signet.naming import shown
from signet.networks import GraphFile, ModuleSource, ModuleSpec, Pretrained
from signet.progress import OnProgress, Progress, silent
from signet.seals import (
    Expected,
    FeatureStatistics,
    GoldenImage,
    Seal,
    SealContents,
    check_out,
    golden_images,
    write_seal,
)
from signet.seals.manifest import GoldenSource

__all__ = [
    "GoldenImage",
    "SealContents",
    "SealSettings",
    "golden_images",
    "seal",
    "seal_module",
    "write_seal",
]

Pictures = Sequence[Image | str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealSettings:
    """What goes into a seal beside the model and its evidence.

    Attributes:
        weights: seal the weights that can be trained further, too, where there are any.
        classifier: for `seal_module`: dotted name of the layer that is the head, whose input is then sealed
            as the features.
        training: how the model was trained: data and split fingerprint, recipe, metrics; plain JSON.
        calibration: how the card's temperature was found; plain JSON.
        feature_statistics: of the penultimate features on the training data.
        bf16_images: how many of the given images bf16 is compared on, beside the golden ones.
        engine: threads and cache folder for the engines that make the evidence.
        overwrite: replace what is there.
        on_progress: told of the stages.
    """

    weights: bool = True
    classifier: str | None = None
    training: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    feature_statistics: FeatureStatistics | None = None
    bf16_images: int = 200
    engine: EngineSettings = field(default_factory=lambda: EngineSettings(cache=default_cache()))
    overwrite: bool = False
    on_progress: OnProgress = silent


def seal(
    model: Model[Any] | Pretrained | str | Path,
    images: Pictures = (),
    *,
    out: str | Path,
    golden: GoldenSource = "own",
    overwrite: bool = False,
    settings: SealSettings | None = None,
) -> Seal:
    """Seal any model that can be loaded.

    Args:
        model: loaded, found, or its name or path.
        images: a few are sealed as evidence, without metadata; `golden_images` tells which.
        out: the folder to write, `NAME.signet`.
        golden: "own" seals some of `images`; "made" none of them. Without images all are made.
        overwrite: replace what is there.
        settings: records, progress, and what to leave out.

    Raises:
        AlreadyExists: `out` is there.
        WrongTask: the card's head does not answer its task.
        BadInput: the images cannot be read, the network does not answer as its card says, or the graph that
            was made of it answers otherwise.
        EngineError: no engine can run it.

    Example:
        >>> seal("starter", ["robin.jpg"], out="starter.signet")            # doctest: +SKIP
    """
    chosen = settings or SealSettings()
    replace = overwrite or chosen.overwrite
    target = _free(out, replace)
    found = model.pretrained if isinstance(model, Model) else model
    if not isinstance(found, Pretrained):
        found = resolve(found, on_progress=chosen.on_progress)
    check_task(found.card)
    chosen.on_progress(Progress("looking for the network's graph", 0, 1, "steps"))
    graph = _graph_of(found, chosen.engine)
    source = found.module if chosen.weights else None
    lineage = {
        **found.card.lineage,
        "sealed_from": {"name": found.card.name, "where": found.where, "digest": found.digest},
    }
    card = dataclasses.replace(found.card, lineage=lineage)
    with _weights_of(source) as weights:
        telling = golden_images(images, _source(golden, images), card.input_size)
        contents = _contents(card, graph, telling, images, chosen)
        spec = None if source is None else source.spec
        contents = dataclasses.replace(contents, weights=weights, module=spec)
        chosen.on_progress(Progress("writing the seal", 1, 1, "steps"))
        return write_seal(contents, target, replace)


def seal_module(
    module: Any,
    card: Card,
    images: Pictures = (),
    *,
    out: str | Path,
    golden: GoldenSource = "own",
    settings: SealSettings | None = None,
) -> Seal:
    """Seal a torch module of one's own: as a graph, with its state as weights.

    Args:
        module: a `torch.nn.Module` that takes float32 (N, 3, H, W) and returns logits (N, C), or vectors
            (N, D) for the task "embed". It is left as it is; a copy in evaluation mode is sealed.
        card: states name, task, program, output contract and labels; its program ends in one size.
        images: as for `seal`.
        out: the folder to write, `NAME.signet`.
        golden: as for `seal`.
        settings: as for `seal`; `classifier` names the head.

    Raises:
        MissingExtra: torch's exporter is not installed.
        WrongTask: a detector or segmenter, whose modules have no one form.
        BadRequest: no torch module, one that cannot be copied, no layer of that name, or a program that does
            not end in one size.
        BadInput: the graph answers otherwise than the module, or otherwise each time.
        BadGraph: torch cannot express the module as a graph.
        As `seal`.
    """
    chosen = settings or SealSettings()
    target = _free(out, chosen.overwrite)
    if sees(card):
        raise WrongTask(
            f"{card.name}: expected a module that gives logits or vectors, got the task {card.task!r}. "
            "Export the module as an ONNX file whose outputs are those of its head, and seal that."
        )
    check_task(card)
    size = card.input_size
    if size is None:
        raise BadRequest(
            f"{card.name}: expected a program that ends in one size (a crop, stretch or pad with 'size'), "
            "since the network's graph is made for it; got one whose size depends on the image."
        )
    copied = _copied(module, chosen.classifier)
    with tempfile.TemporaryDirectory(prefix="signet-") as temporary:
        graph = _exported(copied, card, chosen.classifier, Path(temporary))
        weights = _state_written(copied, Path(temporary)) if chosen.weights else None
        card = _card_of_graph(card, size, chosen.classifier)
        telling = golden_images(images, _source(golden, images), size)
        contents = _contents(card, graph, telling, images, chosen)
        _check_module(copied, card, contents.expected)
        contents = dataclasses.replace(contents, weights=weights)
        return write_seal(contents, target, chosen.overwrite)


def _contents(
    card: Card, graph: GraphFile, golden: Sequence[GoldenImage], images: Pictures, settings: SealSettings
) -> SealContents:
    """All but the weights."""
    card = without_missing_features(card, graph, settings.engine)
    settings.on_progress(Progress("gathering evidence", 0, len(golden), "images"))
    return SealContents(
        card=card,
        graph=graph,
        golden=golden,
        expected=expected_from(card, graph, golden, settings.engine),
        training=settings.training,
        calibration=settings.calibration,
        feature_statistics=settings.feature_statistics,
        variants=variant_of(card, graph, golden, images[: settings.bf16_images], settings.engine),
    )


def _free(out: str | Path, overwrite: bool) -> Path:
    """Asked before any work is done."""
    target = check_out(out)
    if not overwrite and (target.exists() or target.is_symlink()):
        raise AlreadyExists(target)
    return target


def _source(golden: GoldenSource, images: Pictures) -> GoldenSource:
    if golden not in ("own", "made"):
        raise BadRequest(f"golden: expected 'own' or 'made', got {golden!r}.")
    return golden if images else "made"


def _graph_of(found: Pretrained, settings: EngineSettings) -> GraphFile:
    """The network's graph; where there is none, one made of its module, which must answer as the module."""
    graphs = [network for network in found.networks if isinstance(network, GraphFile)]
    if graphs:
        return min(graphs, key=lambda graph: graph.format != "onnx")
    from signet import parity, tracing

    module = next(network for network in found.networks if isinstance(network, ModuleSource))
    cache = settings.cache or default_cache()
    graph = tracing.traced(module, cache / "graphs")
    # The evidence is made with the graph, so that nothing later would show that it is another network.
    with reference_model(found.card, graph, settings) as model:
        fault = parity.fault(module, found.card.program, model.engine, cache)
    if fault:
        raise BadInput(
            f"{found.card.name}: {fault}. A seal holds the graph, so nothing was sealed. "
            "The network itself runs with --engine torch; report it."
        )
    return graph


@contextmanager
def _weights_of(source: ModuleSource | None) -> Iterator[Path | None]:
    """A module's weights as a safetensors file; older forms are written anew, for the time being."""
    if source is None or source.weights is None:
        yield None
    elif source.weights.suffix == ".safetensors":
        yield source.weights
    else:
        with tempfile.TemporaryDirectory(prefix="signet-") as temporary:
            yield _state_written(source.build(), Path(temporary))


def _copied(module: Any, classifier: str | None) -> Any:
    """In evaluation mode, float32, on the processor; the caller's module stays as it is."""
    # Whoever has a module has imported torch, so this file does not.
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise BadRequest(f"seal_module: expected a torch.nn.Module, got a {type(module).__name__}.")
    names = [name for name, _ in module.named_modules() if name]
    if classifier is not None and classifier not in names:
        raise UnknownName("layer", classifier, names, "`classifier` is the dotted name of the module's head.")
    try:
        return copy.deepcopy(module).float().cpu().eval()
    except (TypeError, RuntimeError, AttributeError) as error:
        raise BadRequest(
            f"seal_module: the module cannot be copied ({shown(error)}): expected one that copy.deepcopy "
            "copies. Take out locks, open files and tensors that belong to a running computation."
        ) from error


def _check_module(module: Any, card: Card, expected: Expected) -> None:
    """The graph must answer as the module does, not as it did for the exporter's example."""
    torch = sys.modules["torch"]
    last = [name for name in expected.stages if name not in ("network", "head", "answer", "decision")][-1]
    for place in range(expected.images()):
        with torch.no_grad():
            answered = module(torch.from_numpy(expected.tensors[f"{place}/{last}"].copy())[None])
        while not isinstance(answered, torch.Tensor):
            answered = next(iter(answered.values() if isinstance(answered, Mapping) else answered))
        there = expected.tensors[f"{place}/network"].astype(float)
        here = answered.numpy().astype(float)[0]
        allowed = STEADY_RELATIVE * float(abs(here).max()) + STEADY_ABSOLUTE
        error = float(abs(here - there).max()) if here.shape == there.shape else float("inf")
        if not error <= allowed:
            raise BadInput(
                f"{card.name}: the exported graph's answer differs from the module's by {error:.3g} on "
                f"golden image {place}: expected at most {allowed:.3g}. The answer may depend on chance, "
                "or on a value that was fixed when it was exported."
            )


def _state_written(module: Any, folder: Path) -> Path:
    from safetensors.torch import save_file

    path = folder / "weights.safetensors"
    # Tensors that share memory are written once each: a state is read by name.
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}, path
    )
    return path


def _exported(module: Any, card: Card, classifier: str | None, folder: Path) -> GraphFile:
    from signet import tracing

    height, width = card.input_size or (0, 0)
    headless = ModuleSpec(zoo="own", architecture=card.architecture, classes=0)
    source = ModuleSource(
        build=lambda: module,
        digest=hashlib.sha256(card.name.encode()).hexdigest(),
        input_shape=(3, height, width),
        spec=headless if card.task == "embed" else None,
        classifier=classifier,
    )
    path = folder / "graph.onnx"
    tracing.export(source, path)
    return open_graph(path)


def _card_of_graph(card: Card, size: tuple[int, int], classifier: str | None) -> Card:
    """The card with the names that the exported graph has."""
    if card.task == "embed":
        output = dataclasses.replace(card.output, tensor=0, features=None)
    else:
        features = "features" if classifier else None
        output = dataclasses.replace(card.output, tensor="logits", features=features)
    return dataclasses.replace(
        card, output=output, inputs=(InputSpec(name="images", shape=(None, 3, *size)),)
    )
