"""Pictures beside the lines of `signet predict`: drawn answers, and objects cut out."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.errors import BadRequest, WrongTask
from signet.naming import file_part, file_stem, shown


@dataclass(frozen=True, slots=True)
class Beside:
    """Where the pictures of a run over images go.

    Attributes:
        draw: folder for drawn pictures.
        cutout: folder for objects cut out.
        min_score: objects below it are left out; None for answers without a score.
    """

    draw: Path | None
    cutout: Path | None
    min_score: float | None

    def write(self, position: int, answered: Any) -> None:
        """The pictures of one answer, named by its position and the input's own name.

        Raises:
            BadInput: the image cannot be read any more.
        """
        if self.draw is None and self.cutout is None:
            return
        from signet.decoding import read
        from signet.drawing import draw

        image = read(answered.source)
        prefix = f"{position:06d}_{file_stem(answered.source)}"
        if self.draw is not None:
            drawn = draw(image, answered.answer, style_for(self.min_score))
            _write(self.draw / f"{prefix}.png", drawn.to_pillow())
        if self.cutout is not None:
            cut_out(self.cutout, prefix, image, answered.answer, self.min_score)


def style_for(min_score: float | None) -> Any:
    """How answers are drawn whose objects have at least a score."""
    from signet.drawing import Style

    return Style(object_score=min_score or 0.0)


def cut_out(folder: Path, prefix: str, image: Any, instances: Any, min_score: float | None) -> int:
    """Each object as a transparent PNG, `PREFIX_NUMBER_LABEL.png`; how many there were.

    Args:
        folder: where they go.
        prefix: position and name of the input.
        image: the picture.
        instances: its objects; the number in a name is an object's place in the line.
        min_score: objects below it are left out.
    """
    from signet.drawing import cutouts

    done = 0
    for cutout in cutouts(image, instances):
        if cutout.score >= (min_score or 0.0):
            label = file_part(cutout.label, 40)
            _write(folder / f"{prefix}_{cutout.number:03d}_{label}.png", cutout.to_pillow())
            done += 1
    return done


def check_folders(draw: Path | None, cutout: Path | None, *, replace: bool) -> None:
    """Whether pictures can go there; those of another run are not overwritten. Nothing is made yet.

    Raises:
        BadRequest: no folder can be made there, or pictures of a run lie in it.
    """
    for folder, option in ((draw, "--draw"), (cutout, "--cutout")):
        if folder is not None:
            _check_folder(folder, option, replace=replace)


def _check_folder(folder: Path, option: str, *, replace: bool) -> None:
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "no folder" if not nearest.is_dir() else "a folder that may not be written to"
        raise BadRequest(
            f"{option}: no folder can be made at {shown(folder)}: {shown(nearest)} is {why}. Give another."
        )
    there = next((path for path in folder.glob("[0-9]" * 6 + "*_*") if path.suffix in (".png", ".mp4")), None)
    if there is not None and not replace:
        raise BadRequest(
            f"{option}: {shown(folder)} holds pictures already ({shown(there.name)} ...), which are not "
            "overwritten. Give another folder, or --overwrite to replace them."
        )


def refuse_cutouts(model: Any, folder: Path | None) -> None:
    """Say that a model whose answers have no masks cannot cut anything out, and close it.

    Raises:
        WrongTask: there is a folder for cut-outs, and its task is another than "instances".
    """
    if folder is not None and model.card.task != "instances":
        model.close()
        raise WrongTask(
            f"--cutout needs a mask for each object, and {model.card.name} gives none (task "
            f"{model.card.task!r}). See `signet find --task instances` for models that do."
        )


def _write(path: Path, picture: Any) -> None:
    from signet import storage

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    storage.write_bytes(path, buffer.getvalue(), overwrite=True)
