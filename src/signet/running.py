"""Which engine runs a model, in which precision, and how the choice is justified.

`auto` never guesses about precision: bf16 is used only for a model that has evidence of its decisions on
this processor, kept in the cache or measured now.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from signet import machine, storage
from signet.engines.contract import Engine, EngineSettings, Precision
from signet.errors import BadGraph, BadInput, BadRequest, EngineError, SignetError, UnknownName
from signet.graphs import quarantine
from signet.graphs.opening import is_quantized
from signet.networks import GraphFile, ModuleSource, Network, Pretrained

EngineChoice = Literal["auto", "torch", "openvino", "onnx"] | str
PrecisionChoice = Literal["auto", "fp32", "bf16", "int8"]
PREFERENCE = ("openvino", "onnx", "torch")
"""What `auto` tries, unless a measurement on this machine says otherwise."""

STRANGERS = ("file", "seal")
"""Where graphs come from that somebody else may have made."""

EVIDENCE_IMAGES = 200
EVIDENCE_SHARE = 0.995


@dataclass(frozen=True, slots=True)
class Evidence:
    """How often bf16 decided like fp32, for one model on one processor.

    Attributes:
        compared: images.
        equal: of them, those that were decided alike, as `agreement.alike` says.
        golden_flips: golden images of a seal that bf16 decided otherwise; None when none were compared.
    """

    compared: int
    equal: int
    golden_flips: int | None = None

    @property
    def allows(self) -> bool:
        """At least 99.5 % equal decisions, on at least 200 images and without a golden flip."""
        return self.enough and not self.golden_flips and self.equal >= EVIDENCE_SHARE * self.compared

    @property
    def enough(self) -> bool:
        """Whether the share says something: of four decisions, 99.5 % does not."""
        return self.compared >= EVIDENCE_IMAGES

    def hopeless(self, left: int) -> bool:
        """Whether no further `left` images can make enough of it."""
        return self.equal + left < EVIDENCE_SHARE * (self.compared + left)

    def words(self) -> str:
        """For the line that says which precision was taken."""
        where = "" if self.golden_flips is None else " when it was sealed"
        return f"{self.equal} of {self.compared} decisions equal to fp32{where}"


@dataclass(frozen=True, slots=True)
class Running:
    """An engine with a model in it, and why it is this one.

    Attributes:
        engine: ready to run.
        settings: how it was opened.
        why: one sentence on the choice of engine and precision.
        undecided: precision was left to Signet, bf16 is possible here, and nothing is known yet.
    """

    engine: Engine
    settings: EngineSettings
    why: str
    undecided: bool = False


def start(
    pretrained: Pretrained, engine: EngineChoice, precision: PrecisionChoice, settings: EngineSettings
) -> Running:
    """Open a model on an engine.

    Args:
        pretrained: the model.
        engine: a name, or "auto".
        precision: a name, or "auto".
        settings: threads, workers, batch, device, cache; its precision is what `precision` resolves to.

    Raises:
        BadRequest: the model has no form that the engine runs.
        EngineError: the engine refuses it.
    """
    faults: dict[str, str] = {}
    while True:
        name, why = choose_engine(pretrained, engine, settings, faults)
        resolved, reason, undecided = choose_precision(pretrained, name, precision, settings)
        chosen = dataclasses.replace(settings, precision=resolved)
        try:
            opened = open_engine(pretrained, name, chosen)
        except (BadGraph, EngineError) as error:
            if engine != "auto" or not _traced_here(pretrained, name):
                raise
            faults[name] = str(error).rstrip(".")
            continue
        fault = _parity_fault(pretrained, opened, chosen)
        if not fault:
            return Running(opened, chosen, f"{why}; {reason}", undecided)
        opened.close()
        if engine != "auto":
            raise EngineError(f"{pretrained.card.name}: {fault}. Use --engine torch, and report it.")
        faults[name] = fault


def _traced_here(pretrained: Pretrained, engine: str) -> bool:
    """Whether an engine runs a graph that was made here of a module, which torch can run as it is."""
    modules = all(isinstance(network, ModuleSource) for network in pretrained.networks)
    return modules and engine in ("openvino", "onnx")


def _parity_fault(pretrained: Pretrained, engine: Engine, settings: EngineSettings) -> str:
    """Why a graph that was traced here does not answer as its module; "" for all that was not traced here."""
    if settings.precision != "fp32" or not _traced_here(pretrained, engine.name):
        return ""
    from signet import parity

    return parity.fault(_module(pretrained), pretrained.card.program, engine, settings.cache)


def choose_engine(
    pretrained: Pretrained,
    engine: EngineChoice,
    settings: EngineSettings,
    faults: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, str]:
    """(name, why) of the engine to use.

    Args:
        pretrained: the model.
        engine: a name, or "auto".
        settings: the device matters, and the cache, which may know the fastest engine.
        faults: engines that "auto" shall not take, and why.
    """
    if engine not in ("auto", *PREFERENCE) and engine not in _plugins():
        known = (*PREFERENCE, *_plugins())
        raise UnknownName("engine", engine, known, f"Known: auto, {', '.join(known)}.")
    if engine != "auto":
        return engine, "engine as asked"
    if settings.device != "cpu":
        missing = _unavailable("torch") or _no_form(pretrained, "torch")
        if missing:
            raise BadRequest(
                f"device {settings.device!r}: only engine torch runs there, and {missing}. Use --device cpu."
            )
        return "torch", f"device {settings.device} needs it"
    order = list(PREFERENCE)
    measured = fastest_measured(pretrained.digest, settings.cache)
    if measured in order:
        order.insert(0, order.pop(order.index(measured)))
    reasons: list[str] = []
    for name in order:
        reason = _unavailable(name) or _no_form(pretrained, name) or faults.get(name)
        if reason is None:
            if name == measured:
                return name, "the fastest engine measured here"
            return name, "the first engine that is installed" if not reasons else "; ".join(reasons)
        if reason not in reasons:  # two engines run one graph, and it may be the graph that cannot be made
            reasons.append(reason)
    raise BadRequest(f"{pretrained.card.name}: no engine can run it. {'; '.join(reasons)}.")


def engines_for(pretrained: Pretrained) -> tuple[str, ...]:
    """The engines that are installed here and can run a model, in the order that `auto` tries them."""
    return tuple(
        name for name in PREFERENCE if _unavailable(name) is None and _no_form(pretrained, name) is None
    )


def choose_precision(
    pretrained: Pretrained, engine: str, precision: PrecisionChoice, settings: EngineSettings
) -> tuple[Precision, str, bool]:
    """(precision, why, whether evidence is still to be gathered)."""
    if precision != "auto":
        return precision, "precision as asked", False
    if engine in ("openvino", "onnx") and _quantized(pretrained):
        return "int8", "int8, since the graph is quantized", False
    if engine != "openvino" or settings.device != "cpu":
        return "fp32", "fp32 is this engine's precision", False
    from signet.engines import on_openvino

    if not on_openvino.has_bf16():
        return "fp32", "fp32, since this processor has no bf16 instructions", False
    evidence = find_evidence(pretrained, settings.cache)
    if evidence is None:
        return "fp32", "fp32, since bf16 is not yet proven for this model here", True
    if evidence.allows:
        return "bf16", f"bf16, {evidence.words()}", False
    sealed = evidence.golden_flips is not None
    if sealed and not evidence.golden_flips and not evidence.enough:
        return "fp32", f"fp32, since bf16 has too little evidence: {evidence.words()}", True
    return "fp32", f"fp32, since bf16 had only {evidence.words()}", False


def open_engine(pretrained: Pretrained, name: str, settings: EngineSettings) -> Engine:
    """Open a model on one engine, in one precision.

    Raises:
        BadRequest: the model has no form that the engine runs.
        EngineError: the engine refuses it.
    """
    missing = _unavailable(name) or _no_form(pretrained, name)
    if missing:
        others = ", or ".join(f"--engine {other}" for other in engines_for(pretrained))
        raise BadRequest(f"--engine {name}: {missing}.{f' Use {others}.' if others else ''}")
    card = pretrained.card
    match name:
        case "torch":
            from signet.engines import on_torch

            return on_torch.open_module(_module(pretrained), settings)
        case "onnx":
            from signet.engines import on_onnx

            return on_onnx.open_graph(_graph(pretrained, "onnx", on_onnx.FORMATS, settings), settings)
        case "openvino":
            from signet.engines import on_openvino

            graph = _graph(pretrained, "openvino", on_openvino.FORMATS, settings)
            return on_openvino.open_graph(graph, card.inputs[0], card.program, settings)
        case _:
            opened: Engine = _plugin(name).open_model(pretrained, settings)
            return opened


def find_evidence(pretrained: Pretrained, cache: Path | None) -> Evidence | None:
    """What is known of this model's bf16 decisions on this processor: measured here, or sealed with it."""
    measured, sealed = _measured_evidence(pretrained, cache), _sealed_evidence(pretrained)
    if measured is None or (sealed is not None and sealed.golden_flips):
        return sealed or measured
    return measured


def _sealed_evidence(pretrained: Pretrained) -> Evidence | None:
    """A seal's own evidence, when it was gathered on this kind of processor with this OpenVINO."""
    here = ("openvino", machine.version_of("openvino"), machine.processor(), "bf16")
    for variant in pretrained.variants:
        if (variant.engine, variant.version, variant.processor, variant.precision) == here and variant.golden:
            return Evidence(variant.compared, variant.equal, variant.golden - variant.golden_equal)
    return None


def _measured_evidence(pretrained: Pretrained, cache: Path | None) -> Evidence | None:
    """What was measured on this machine and kept in the cache."""
    if cache is None:
        return None
    place = _evidence_place(pretrained, cache)
    if not place.is_file():
        return None
    try:
        row = storage.read_json(place)
        return Evidence(int(row["compared"]), int(row["equal"]))
    except (BadInput, KeyError, TypeError, ValueError):
        return None  # a broken record is no evidence; it is measured again


def keep_evidence(pretrained: Pretrained, cache: Path | None, evidence: Evidence) -> None:
    """Write down what was measured, for the next run."""
    if cache is not None:
        row = {"model": pretrained.card.name, **dataclasses.asdict(evidence), **machine.versions()}
        storage.write_json(_evidence_place(pretrained, cache), row, overwrite=True)


def fastest_measured(digest: str, cache: Path | None) -> str | None:
    """The engine that `benchmark` found fastest for this model on this processor, if it was measured."""
    if cache is None:
        return None
    try:
        row = storage.read_json(measurement_place(digest, cache))
        return str(row["fastest"])
    except (SignetError, KeyError):
        return None


def measurement_place(digest: str, cache: Path) -> Path:
    """Where `benchmark` keeps what it measured of a model on this processor."""
    return cache / "measured" / f"{_key(digest, machine.processor())}.json"


def _evidence_place(pretrained: Pretrained, cache: Path) -> Path:
    openvino = machine.version_of("openvino") or ""
    program = pretrained.card.program.digest
    return cache / "evidence" / f"{_key(pretrained.digest, program, machine.processor(), openvino)}.json"


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _quantized(pretrained: Pretrained) -> bool:
    graphs = [network for network in pretrained.networks if isinstance(network, GraphFile)]
    return bool(graphs) and all(is_quantized(graph) for graph in graphs)


def _unavailable(name: str) -> str | None:
    match name:
        case "openvino":
            from signet.engines import on_openvino

            return on_openvino.unavailable()
        case "onnx":
            from signet.engines import on_onnx

            return on_onnx.unavailable()
        case "torch":
            from signet.engines import on_torch

            return on_torch.unavailable()
        case _:
            return None


def _no_form(pretrained: Pretrained, name: str) -> str | None:
    """Why a model has no form that an engine runs, or None when it has one."""
    formats = {"openvino": ("onnx", "tflite", "xml"), "onnx": ("onnx",), "torch": ()}.get(name)
    if formats is None:
        return None
    has_module = any(isinstance(network, ModuleSource) for network in pretrained.networks)
    if has_module or any(_is_graph(network, formats) for network in pretrained.networks):
        return None
    return f"{pretrained.card.name} has no form that engine {name} runs"


def _is_graph(network: Network, formats: tuple[str, ...]) -> bool:
    return isinstance(network, GraphFile) and network.format in formats


def _module(pretrained: Pretrained) -> ModuleSource:
    return next(network for network in pretrained.networks if isinstance(network, ModuleSource))


def _graph(
    pretrained: Pretrained,
    engine: Literal["openvino", "onnx"],
    formats: tuple[str, ...],
    settings: EngineSettings,
) -> GraphFile:
    """The first graph of these formats, traced from the module when there is none.

    A graph that came from elsewhere is opened in a child process first, once: native code reads it.
    """
    for network in pretrained.networks:
        if isinstance(network, GraphFile) and network.format in formats:
            if pretrained.where in STRANGERS:
                quarantine.try_open(network, engine)
            return network
    if settings.cache is None:
        raise EngineError(f"{pretrained.card.name}: a graph must be traced, and no cache folder was given.")
    from signet import tracing

    return tracing.traced(_module(pretrained), settings.cache / "graphs")


def _plugins() -> dict[str, Any]:
    """Engines of other packages, by the name of their entry point; none may take the name of one of ours."""
    from importlib.metadata import entry_points

    points = entry_points(group="signet.engines")
    return {point.name: point for point in points if point.name not in ("auto", *PREFERENCE)}


def _plugin(name: str) -> Any:
    """The module of another package's engine.

    Raises:
        EngineError: it cannot be imported, or has no `open_model`.
    """
    point = _plugins()[name]
    try:
        module = point.load()
    except (ImportError, AttributeError) as error:
        raise EngineError(f"engine {name}: its plug-in {point.value} cannot be imported: {error}") from error
    if not callable(getattr(module, "open_model", None)):
        raise EngineError(
            f"engine {name}: its plug-in {point.value} has no open_model(pretrained, settings)."
        )
    return module
