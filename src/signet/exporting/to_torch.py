"""To torch's own files: TorchScript, for what still loads it, and the graph of `torch.export`."""

from __future__ import annotations

import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.engines.contract import one_line
from signet.errors import BadGraph, SignetError
from signet.exporting.contracts import card_of, metadata
from signet.exporting.materials import Materials
from signet.exporting.modules import ready

_LOUD = ("torch.export", "torch._dynamo", "torch.fx", "executorch", "coremltools", "root")


def write_torchscript(materials: Materials, preprocessing: str, to: Path) -> Card:
    """Follow the module with an example and write what it did; returns the card.

    Raises:
        BadRequest: the seal holds no weights, or the preprocessing cannot be part of it.
        BadGraph: torch cannot follow the module.
        MissingExtra: torch or the zoo's library is not installed.
    """
    import torch

    made = ready(materials, preprocessing, "TorchScript")
    card = card_of(materials.seal, "torchscript", made.shape)
    with quiet("TorchScript"), torch.no_grad():
        # torch's own check asks again with the example; the golden images ask more.
        trace: Any = torch.jit.trace
        traced = trace(made.module, (made.example,), check_trace=False)
        torch.jit.save(traced, str(to), _extra_files=dict(metadata(card, materials.seal)))
        _forget_places_of_code(to)
    return card


def write_program(materials: Materials, preprocessing: str, to: Path) -> Card:
    """Write the module's graph as `torch.export` states it; returns the card.

    Raises:
        As `write_torchscript`.
    """
    import torch

    made = ready(materials, preprocessing, "a torch.export file")
    card = card_of(materials.seal, "torch-export", made.shape)
    free = ({0: torch.export.Dim.DYNAMIC},) if made.any_batch else None
    with quiet("torch.export"), torch.no_grad():
        program = torch.export.export(made.module, (made.example,), dynamic_shapes=free)
        _forget_stacks(program)
        torch.export.save(program, str(to), extra_files=dict(metadata(card, materials.seal)))
    return card


def _forget_stacks(program: Any) -> None:
    """Take out where in which file each node was written: paths of this machine's folders."""
    for part in program.graph_module.modules():
        for node in getattr(part, "graph", program.graph).nodes:
            node.meta.pop("stack_trace", None)


def _forget_places_of_code(file: Path) -> None:
    """Write the archive anew without its notes for debuggers, which hold paths of this machine's folders.

    torch does without them: it looks whether they are there.
    """
    whole = file.with_name(f"{file.name}.whole")
    file.replace(whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as written:
        for entry in archive.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                # Dated as torch dates them, so that one network gives one file.
                written.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
    whole.unlink()


@contextmanager
def quiet(wanted: str) -> Iterator[None]:
    """Without what torch and the converters say on the way; their refusals are ours.

    Raises:
        BadGraph: in place of any refusal of theirs.
    """
    levels = {log: log.level for log in map(logging.getLogger, _LOUD)}
    try:
        for log in levels:
            log.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SignetError:
        raise
    except Exception as error:
        raise BadGraph(
            f"{wanted} cannot express this network: {one_line(error)}. Export it to onnx or openvino."
        ) from error
    finally:
        for log, level in levels.items():
            log.setLevel(level)
