"""From a torch module to an ONNX graph, kept by digest, so that the second run needs no torch.

The graph has the outputs `logits` and `features` (the input of the head, pooled), or those that the source
names, a free batch axis, and one input `images`, float32 (N, 3, H, W); height and width are free where the
source takes any.
"""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from signet import machine, storage
from signet.errors import BadGraph, BadInput, MissingExtra
from signet.following import OPSET, followed, followed_on_one
from signet.hub.digests import remembered_digest
from signet.networks import GraphFile, ModuleSource

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LOUD = ("torch.onnx", "torch.export", "torch._dynamo", "torch.fx")
"""What they log on the way to an error is in the error."""
_FORMAT = "6"
"""Raised when this file writes other graphs, so that cached ones are not taken for new ones."""

BUILDERS = (
    "signet",
    "torchvision",
    "timm",
    "keras",
    "transformers",
    "open_clip_torch",
    "segmentation_models_pytorch",
)
"""Libraries whose code is part of what a module computes."""
EXPORTERS = ("torch", "onnxscript")
"""Libraries that say whether a module can be a graph."""


def traced(source: ModuleSource, cache: Path) -> GraphFile:
    """The graph of a module, from the cache or made now.

    Args:
        source: the module; it is built only when the graph is not in the cache.
        cache: folder that holds the graphs.

    Raises:
        MissingExtra: the graph is not cached, and torch or its exporter is not installed.
        BadGraph: torch cannot express the module as a graph, or could not with these versions before.
    """
    kind = f" {source.free_size} {source.selects}" if source.free_size or source.selects else ""
    key = hashlib.sha256(f"{_FORMAT} {OPSET} {source.digest} {source.input_shape}{kind}".encode()).hexdigest()
    place = cache / f"{key}.onnx"
    # Asked before the lock too: a cache that may only be read has graphs to give.
    kept = _kept(place)
    if kept is None:
        with storage.locked(place):
            kept = _kept(place)
            if kept is None:
                kept = _made(source, place)
    return kept


def _made(source: ModuleSource, place: Path) -> GraphFile:
    """The graph, written now; that it cannot be is noted too, since finding that out takes as long."""
    try:
        export(source, place)
    except BadGraph as error:
        versions = _versions(BUILDERS + EXPORTERS)
        storage.write_json(_note_of(place), {"refused": str(error), "versions": versions}, overwrite=True)
        raise
    kept = GraphFile(place, "onnx", storage.digest_of(place))
    note = {"sha256": kept.digest, "versions": _versions(BUILDERS)}
    storage.write_json(_note_of(place), note, overwrite=True)
    return kept


def _kept(place: Path) -> GraphFile | None:
    """The graph in the cache, if it is whole and the libraries here would build the same module.

    The note beside it holds its digest, since a flipped byte is another network, and the versions that it was
    traced with: another timm may build another module of the same name. What is not installed cannot differ.

    Raises:
        BadGraph: it was tried with the versions that are here, and could not be made.
    """
    try:
        note = storage.read_json(_note_of(place), limit_bytes=65_536)
    except BadInput:
        return None
    versions = note.get("versions")
    if not isinstance(versions, dict):
        return None
    if isinstance(note.get("refused"), str):
        if versions == _versions(BUILDERS + EXPORTERS):
            raise BadGraph(note["refused"])
        return None
    try:
        digest = remembered_digest(place)
    except BadInput:
        return None
    same = all(versions.get(library) == version for library, version in _versions(BUILDERS).items())
    return GraphFile(place, "onnx", digest) if same and note.get("sha256") == digest else None


def _note_of(place: Path) -> Path:
    return place.with_suffix(".json")


def _versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """Those of them that are installed here."""
    return {name: version for name, version in machine.versions().items() if name in libraries}


def export(source: ModuleSource, to: Path) -> None:
    """Write a module as ONNX, whole or not at all.

    Raises:
        MissingExtra: torch or its exporter is not installed.
        BadGraph: torch cannot express the module as a graph, or the graph is larger than 2 GB.
    """
    # torch's exporter imports it late, and fails badly without; importing it takes a second.
    missing = next((name for name in ("torch", "onnxscript") if find_spec(name) is None), None)
    if missing:
        raise MissingExtra("Turning a torch module into a graph", "train", missing)
    import torch

    module = source.build()
    example = torch.zeros(2, *source.input_shape)
    wrapped = _with_features(torch, module, source.classifier) if source.classifier else module
    levels = {log: log.level for log in map(logging.getLogger, _LOUD)}
    try:
        for log in levels:
            log.setLevel(logging.CRITICAL)
        with (
            warnings.catch_warnings(),
            torch.inference_mode(False),
            torch.no_grad(),
            _pooling_whole_maps(torch, module, example),
            _attention_over_four_axes(torch),
        ):
            warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
            with storage.new_file(to, overwrite=True) as temporary:
                _write(torch, wrapped, source, example, temporary)
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise BadGraph(
            f"torch cannot express this module as a graph: {_root_of(error)}. "
            "Run it with --engine torch, or export it yourself and give the .onnx file."
        ) from error
    finally:
        for log, level in levels.items():
            log.setLevel(level)


def _write(torch: Any, module: Any, source: ModuleSource, example: Any, to: Path) -> None:
    """Write the graph of a module in the quickest way that nothing speaks against."""
    if source.selects:
        followed_on_one(module, source, to)
        return
    graph = None if source.free_size else followed(module, source, example)
    if graph is not None:
        to.write_bytes(graph)
    else:
        _expressed(torch, module, source, example, to)


def _expressed(torch: Any, module: Any, source: ModuleSource, example: Any, to: Path) -> None:
    """Write the graph of a module as torch understands it, for all pictures at once."""
    free = dict.fromkeys((0, 2, 3) if source.free_size else (0,), torch.export.Dim.DYNAMIC)
    program: Any = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        dynamic_shapes=(free,),
        input_names=["images"],
        output_names=list(source.answers),
        opset_version=OPSET,
        verbose=False,
        custom_translation_table={torch.ops.aten._is_all_true.default: _words_for_all_true()},
    )
    if source.free_size:
        _hold_for_other_sizes(torch, program.exported_program, source)
    _forget_the_machine(program.model)
    program.save(str(to), external_data=False)


def _hold_for_other_sizes(torch: Any, program: Any, source: ModuleSource) -> None:
    """Ask a traced module for larger pictures, upright ones and wide ones.

    Where a module decides by the size, tracing takes the way of the example and notes for which sizes it is
    right. The exporter leaves the note out, and the graph answers, otherwise, for all of them.

    Raises:
        ValueError: it was traced for some sizes only.
    """
    module = program.module()
    channels, height, width = source.input_shape
    for taller, wider in ((32, 96), (96, 32)):
        size = (height + taller, width + wider)
        try:
            module(torch.zeros(1, channels, *size))
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f"it decides by the size of pictures, and the graph for {height} x {width} would not do for "
                f"{size[0]} x {size[1]} ({str(error).splitlines()[0]})"
            ) from None


def _words_for_all_true() -> Any:
    """What the exporter lacks words for: whether a module's own check of its shapes holds everywhere.

    transformers' detectors check themselves so. Nothing in a graph asks for the result, so that the exporter
    drops it again.
    """
    from onnx import TensorProto
    from onnxscript import opset20

    words: Any = opset20  # its annotations want tensors, the exporter passes values of its own

    def all_true(values: Any) -> Any:
        least = words.ReduceMin(words.Cast(values, to=TensorProto.INT64), keepdims=0)
        return words.Cast(least, to=TensorProto.BOOL)

    return all_true


@contextmanager
def _pooling_whole_maps(torch: Any, module: Any, example: Any) -> Iterator[None]:
    """Meanwhile, pools whose window is larger than the map are ones that take the whole map: the same mean.

    transformers' EfficientNet pools 7 x 7 places with a window of 1,280, and OpenVINO refuses such a window.
    """
    sides: dict[str, tuple[int, int]] = {}
    hooks = [
        part.register_forward_pre_hook(
            lambda _, inputs, name=name: sides.update({name: tuple(inputs[0].shape[-2:])})
        )
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.AvgPool2d) and part.ceil_mode and part.padding in (0, (0, 0))
    ]
    try:
        if hooks:
            module(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    exchanged: list[tuple[Any, str, Any]] = []
    for name, (rows, columns) in sides.items():
        parent, _, leaf = name.rpartition(".")
        pool = module.get_submodule(name)
        window = pool.kernel_size
        height, width = (window, window) if isinstance(window, int) else window
        if leaf and height >= rows and width >= columns:
            exchanged.append((module.get_submodule(parent), leaf, pool))
    try:
        for owner, leaf, _ in exchanged:
            setattr(owner, leaf, torch.nn.AdaptiveAvgPool2d(1))
        yield
    finally:
        for owner, leaf, pool in exchanged:
            setattr(owner, leaf, pool)


@contextmanager
def _attention_over_four_axes(torch: Any) -> Iterator[None]:
    """Meanwhile, attention over more axes is attention over four: those before the last three are one.

    The exporter has words for (N, heads, tokens, D) only; Hiera attends within windows, an axis more.
    """
    functional = torch.nn.functional
    whole = functional.scaled_dot_product_attention

    def attend(query: Any, key: Any, value: Any, attn_mask: Any = None, *rest: Any, **named: Any) -> Any:
        same = query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        if query.ndim <= 4 or attn_mask is not None or not same:
            attended = whole(query, key, value, attn_mask, *rest, **named)
            return attended.clone(memory_format=torch.contiguous_format)
        folded = (part.flatten(0, -4) for part in (query, key, value))
        return whole(*folded, None, *rest, **named).unflatten(0, query.shape[:-3])

    functional.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = whole


def _root_of(error: BaseException) -> str:
    """The first line of what the exporter's chain of errors began with, without its colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = _COLOURS.sub("", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _forget_the_machine(model: Any) -> None:
    """Take out what the exporter notes of where each node was traced: paths of this machine's folders.

    A graph goes into seals and to other people; and one network shall give one file wherever it is traced.
    """
    parts = (model.graph, *model.functions.values())
    model.metadata_props.clear()
    for part in parts:
        part.metadata_props.clear()
        values = [*part.inputs, *part.outputs]
        for node in part.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            values += node.outputs
        for value in values:
            value.metadata_props.clear()


def _with_features(torch: Any, module: Any, classifier: str) -> Any:
    """The module with a second answer: what its head was given, pooled to (N, D)."""

    class WithFeatures(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.taken: list[Any] = []
            self.module.get_submodule(classifier).register_forward_pre_hook(
                lambda _, inputs: self.taken.append(inputs[0])
            )

        def forward(self, images: Any) -> tuple[Any, Any]:
            self.taken.clear()
            logits = self.module(images)
            features = self.taken.pop()
            pooled = features.mean(dim=(2, 3)) if features.ndim == 4 else features.flatten(1)
            return logits, pooled

    return WithFeatures().eval()
