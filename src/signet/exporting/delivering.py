"""`export`: a seal becomes a file of another runtime, and is given only if it answers as it was sealed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from signet import storage
from signet.cards import Card
from signet.errors import AlreadyExists, BadRequest
from signet.exporting import proving, to_devices, to_onnx, to_openvino, to_torch
from signet.exporting.contracts import with_digest
from signet.exporting.formats import Format, format_of
from signet.exporting.materials import Materials, open_materials
from signet.exporting.snippets import ENDINGS, check_language, snippet_of
from signet.graphs.opening import digest_of_all
from signet.naming import shown
from signet.progress import OnProgress, Progress, silent
from signet.records import Verdict
from signet.seals import Seal
from signet.zoos import card_files

Preprocessing = Literal["in", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How a seal is exported.

    Attributes:
        preprocessing: "out": the file takes what the whole program makes. "in": it takes the resized and
            cropped picture as bytes, channels last, and does the arithmetic itself.
        snippet: language of the program that is written beside the file, or None for none.
        keep: leave a file that does not answer as it was sealed, or that nothing here can run.
        converter: of LiteRT: the Python of an environment that has litert-torch; None for what the variable
            SIGNET_LITERT_PYTHON names.
        overwrite: replace what is there.
        on_progress: told of the steps.
    """

    preprocessing: Preprocessing = "out"
    snippet: str | None = "python"
    keep: bool = False
    converter: Path | None = None
    overwrite: bool = False
    on_progress: OnProgress = silent

    def __post_init__(self) -> None:
        if self.preprocessing not in ("in", "out"):
            raise BadRequest(f"preprocessing: expected 'in' or 'out', got {self.preprocessing!r}.")
        check_language(self.snippet)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export gave.

    Attributes:
        path: of the file; None where it was not seen to answer as it was sealed, and was not kept.
        verdict: what its own runtime made of the seal's golden images.
        files: all that was written: the file, what belongs to it, its card and its snippet.
        notes: what to know about it, for a person.
    """

    path: Path | None
    verdict: Verdict
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "path": None if self.path is None else str(self.path),
            "verdict": self.verdict.to_dict(),
            "files": [str(file) for file in self.files],
            "notes": list(self.notes),
        }


def export(
    seal: Seal | str | Path, to: str, out: str | Path, *, settings: ExportSettings | None = None
) -> Exported:
    """Write a sealed model as a file of another runtime, which is then held to the seal's evidence.

    The golden images go through the new file, in the runtime that it is for, alone and together; every stage
    and decision is compared. A file that answers otherwise is not left behind.

    Args:
        seal: a sealed folder or zip.
        to: a name of `FORMATS`.
        out: the file, with the format's ending. Beside it come its card, `OUT.card.json`, and a snippet.
        settings: where the preprocessing goes, the snippet's language, and what to keep.

    Returns:
        Path and verdict.

    Raises:
        AlreadyExists: a file that would be written is there.
        BadRequest: no seal, no such format, another ending, or the seal holds nothing that it can be made of.
        SealError: a file of the seal is not what was sealed.
        MissingExtra: the converter is not installed.
        BadGraph: the network cannot be written in this format.

    Example:
        >>> export("birds.signet", "onnx", "birds.onnx").verdict.ok          # doctest: +SKIP
        True
    """
    chosen = settings or ExportSettings()
    target = Path(out)
    wanted = format_of(to, target)
    if not chosen.overwrite and (target.exists() or target.is_symlink()):
        raise AlreadyExists(shown(target))
    chosen.on_progress(Progress("checking the seal", 0, 3, "steps"))
    materials = open_materials(seal)
    with _workplace(target) as folder:
        written = folder / target.name
        chosen.on_progress(Progress(f"converting to {wanted.name}", 1, 3, "steps"))
        card = with_digest(
            _converter(wanted, chosen)(materials, chosen.preprocessing, written), _digest(folder)
        )
        storage.write_json(card_files.place_of(written), card.to_dict())
        notes = _snippet_written(card, wanted, chosen, written)
        chosen.on_progress(Progress(f"asking {wanted.runtime}", 2, 3, "steps"))
        if wanted.unrun:
            verdict = proving.unproven(materials, written.name, card, wanted)
        else:
            verdict = proving.proven(materials, written, card, wanted.runtime, chosen.on_progress)
        if not verdict.ok and not chosen.keep:
            return Exported(None, verdict, notes=notes)
        return Exported(target, verdict, _delivered(folder, target, chosen.overwrite), notes)


def _converter(wanted: Format, settings: ExportSettings) -> Callable[[Materials, str, Path], Card]:
    match wanted.name:
        case "onnx":
            return to_onnx.write
        case "torchscript":
            return to_torch.write_torchscript
        case "torch-export":
            return to_torch.write_program
        case "executorch":
            return to_devices.write_executorch
        case "coreml":
            return to_devices.write_coreml
        case "litert":
            return partial(to_devices.write_litert, converter=settings.converter)
        case _:
            return to_openvino.write


def _snippet_written(card: Card, wanted: Format, settings: ExportSettings, written: Path) -> tuple[str, ...]:
    """Write the snippet beside the file; what to say about it."""
    if settings.snippet is None:
        return ()
    made = snippet_of(card, wanted.name, settings.snippet, written.name)
    if made.text is None:
        return (f"no snippet: {made.reason}",)
    storage.write_bytes(written.with_suffix(ENDINGS[settings.snippet]), made.text.encode())
    return ()


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A folder beside the target, in its file system, which is gone afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _digest(folder: Path) -> str:
    """Of the file and what belongs to it, the file first, as `graphs.opening` takes it of graphs."""
    weights = {".bin"}
    files = [file for file in folder.rglob("*") if file.is_file()]
    files.sort(key=lambda file: (file.suffix in weights, file.relative_to(folder).as_posix()))
    return digest_of_all(files)


def _delivered(folder: Path, target: Path, overwrite: bool) -> tuple[Path, ...]:
    """Move all files to their names, the exported one last: where it is, the others are, too."""
    moves = [(file, target.parent / file.name) for file in sorted(folder.iterdir())]
    moves.sort(key=lambda move: move[1] == target)
    if not overwrite:
        for _, to in moves:
            if to.exists() or to.is_symlink():
                raise AlreadyExists(shown(to))
    for file, to in moves:
        if file.is_dir():
            storage.move_folder_into_place(file, to, overwrite=overwrite)
        else:
            storage.move_into_place(file, to)
    return tuple(to for _, to in reversed(moves))
