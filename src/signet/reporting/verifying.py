"""The page of a verdict: the first stage that differs in pictures, answers, and decisions that flipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from signet.arrays import Array
from signet.errors import SignetError
from signet.exhibits import Exhibit
from signet.flips import Cost, Flips
from signet.images import Image
from signet.records import Interval, LayerCheck, Verdict
from signet.reporting.page import (
    Note,
    Page,
    Picture,
    Pictures,
    Scene,
    Scenes,
    Section,
    Table,
    Tile,
    Tiles,
)
from signet.reporting.pictures import thumbnail
from signet.reporting.words import counted, percent, signed, signed_span

Reader = Callable[[str], Image]

LONGEST = 320
MOST_FLIPS = 24
_WHAT = {
    "integrity": "the files are not what was sealed",
    "signature": "nobody who is trusted signed it",
    "read": "decoded pixels",
    "orient": "which way is up",
    "resize": "the resized picture",
    "crop": "the part of the picture that is kept",
    "normalise": "the numbers made of the pixels",
    "layout": "the order of the axes",
    "network": "the network's own answer",
    "head": "what is read from the network",
    "answer": "the scores",
    "decision": "the label that is said",
}


def verdict_page(
    verdict: Verdict, exhibits: Sequence[Exhibit], *, name: str, read: Reader | None = None
) -> Page:
    """The page of one verdict.

    Args:
        verdict: what `verify` found.
        exhibits: the golden images at the first stage that differs.
        name: of the seal.
        read: opens images by their source; `signet.decoding.read` when None.
    """
    from signet.decoding import read as from_disk

    opened = read or from_disk
    stage = verdict.first_divergence
    sections: list[Section] = [_figures(verdict)]
    if stage is not None:
        sections += _pictures(stage, exhibits)
    if verdict.layer is not None:
        sections.append(_layer(verdict.layer))
    sections.append(_stages(verdict))
    if any(exhibit.sealed and exhibit.now for exhibit in exhibits):
        sections.append(_answers(exhibits, opened))
    if verdict.flips is not None:
        sections += _flips(verdict.flips, opened)
    facts = (("seal", name), ("digest", verdict.digest or "unknown"), ("verified on", verdict.engine))
    sections.append(Table("What was verified", (*facts, ("precision", verdict.precision)), folded=True))
    if stage is None:
        title = "It answers as it did"
    else:
        title = f"It first differs at {stage!r}: {_WHAT.get(stage, 'a stage of its own')}"
    return Page(
        title=title,
        summary=verdict.message,
        sections=tuple(sections),
        kicker=f"Verification · {name}",
        meaning=(
            "Golden images are sealed with what every stage gave for them. They were replayed, and each "
            "stage was held to that; what comes after the first one that differs follows from it."
        ),
        colophon="Made by signet verify.",
    )


def _figures(verdict: Verdict) -> Tiles:
    same = sum(check.ok for check in verdict.stages)
    tiles = [
        Tile("stages that agree", f"{same} of {len(verdict.stages)}"),
        Tile("golden decisions that are equal", f"{verdict.agree} of {verdict.total}"),
        Tile("run by", verdict.engine, verdict.precision),
    ]
    if verdict.flips is not None:
        per = verdict.flips.per_thousand
        span = f"{per.low:.2g} to {per.high:.3g}"
        tiles.append(Tile("flips per 1,000 of your images", f"{per.value:.3g}", f"95\u00a0% interval {span}"))
    return Tiles(tuple(tiles))


def _stages(verdict: Verdict) -> Table:
    rows = tuple(
        (
            check.name,
            "same" if check.ok else "differs",
            "none" if check.max_error is None else f"{check.max_error:.3g}",
            f"{check.tolerance:.3g}",
            check.note,
        )
        for check in verdict.stages
    )
    columns = ("stage", "", "greatest difference", "allowed", "what is known")
    return Table("Stage by stage", rows, columns, "In the order in which they follow each other.")


def _layer(layer: LayerCheck) -> Table:
    error = "other shapes" if layer.max_error is None else f"{layer.max_error:.3g}"
    rows = [
        ("layer", layer.name),
        ("operator", layer.operation),
        ("last value before it that agrees", layer.after or "the image"),
        ("greatest difference", error),
        ("allowed", f"{layer.tolerance:.3g}"),
    ]
    if layer.note:
        rows.append(("also", layer.note))
    lead = "Found by bisection, between this network and one that still gives what was sealed."
    return Table("The first layer that differs", tuple(rows), (), lead)


def _pictures(stage: str, exhibits: Sequence[Exhibit]) -> list[Section]:
    """The stage as it was and is, and the difference, where the stage gives pictures."""
    scenes = [scene for scene in (_scene(exhibit) for exhibit in exhibits) if scene is not None]
    if not scenes:
        return []
    lead = (
        "For each golden image what the stage gave when it was sealed, what it gives now, and by how much "
        "the two differ: black is no difference, and the brightest spot is the greatest one."
    )
    return [Scenes(f"The stage {stage!r}, as sealed and now", tuple(scenes), lead)]


def _scene(exhibit: Exhibit) -> Scene | None:
    before, after = _as_picture(exhibit.expected), _as_picture(exhibit.found)
    if before is None or after is None:
        return None
    low, high = float(min(before.min(), after.min())), float(max(before.max(), after.max()))
    if exhibit.expected is not None and exhibit.expected.dtype == np.uint8:
        low, high = 0.0, 255.0
    pictures = [
        ("as sealed", _drawn(before, low, high)),
        ("now", _drawn(after, low, high)),
    ]
    if before.shape != after.shape:
        sizes = " and ".join(f"{array.shape[1]} x {array.shape[0]}" for array in (before, after))
        return Scene(exhibit.image.name, f"sizes differ: {sizes} pixels", tuple(pictures))
    apart = np.abs(after - before)
    most = float(apart.max())
    if not most:
        return Scene(exhibit.image.name, "no difference", tuple(pictures))
    unit = " levels of 255" if (low, high) == (0.0, 255.0) else ""
    pictures.append((f"difference, up to {most:.3g}{unit}", _drawn(apart, 0.0, most)))
    share = percent(float((apart > 0).any(axis=2).mean()))
    return Scene(exhibit.image.name, f"{share} of the pixels differ", tuple(pictures))


def _as_picture(array: Array | None) -> Array | None:
    """float64 (H, W, 3), channels last, of what can be seen as a picture."""
    if array is None or array.ndim != 3 or not array.size or not np.isfinite(array).all():
        return None
    if array.shape[2] == 3:
        return array.astype(np.float64)
    return array.transpose(1, 2, 0).astype(np.float64) if array.shape[0] == 3 else None


def _drawn(array: Array, low: float, high: float) -> str:
    levels = np.clip((array - low) / max(high - low, 1e-12) * 255, 0, 255)
    return thumbnail(Image(np.ascontiguousarray(np.round(levels).astype(np.uint8))), LONGEST)


def _opened(source: str, read: Reader) -> str:
    try:
        return thumbnail(read(source))
    except SignetError:
        return ""


def _answers(exhibits: Sequence[Exhibit], read: Reader) -> Pictures:
    pictures = []
    for exhibit in exhibits:
        pairs = [("sealed", row) for row in exhibit.sealed[:3]] + [("now", row) for row in exhibit.now[:3]]
        same = exhibit.sealed[:1] and exhibit.now[:1] and exhibit.sealed[0][0] == exhibit.now[0][0]
        pictures.append(
            Picture(
                _opened(str(exhibit.image), read),
                exhibit.image.name,
                tuple(row for _, row in pairs),
                note="the same decision" if same else "another decision",
                names=tuple(name for name, _ in pairs),
            )
        )
    lead = "The first three labels of each golden image with their scores, as sealed and as they are now."
    return Pictures("Answers to the golden images", tuple(pictures), lead)


def _flips(flips: Flips, read: Reader) -> list[Section]:
    sections: list[Section] = [_cost(flips.cost)] if flips.cost is not None else []
    if flips.flips:
        pictures = tuple(
            Picture(
                _opened(flip.source, read),
                flip.source.replace("\\", "/").rsplit("/", 1)[-1],
                ((flip.before, flip.before_score or 0.0), (flip.now, flip.now_score or 0.0))
                if flip.before_score is not None
                else (),
                truth=flip.truth,
                note=flip.note,
                names=("reference", "now") if flip.before_score is not None else (),
            )
            for flip in flips.flips[:MOST_FLIPS]
        )
        shown = f"{len(pictures)} of {len(flips.flips)}" if len(flips.flips) > MOST_FLIPS else "All"
        lead = f"{flips.message} {shown} are shown, those first of which the reference is surest."
        sections.append(Pictures("Your images that are decided otherwise", pictures, lead))
    elif flips.cost is None:
        sections.append(Note((flips.message,), "Your images"))
    if flips.notes:
        sections.append(Note(flips.notes))
    return sections


def _cost(cost: Cost) -> Tiles:
    gap: Interval = cost.difference
    tiles = (
        Tile("accuracy of the reference", percent(cost.reference.value), interval=cost.reference),
        Tile("accuracy now", percent(cost.now.value), interval=cost.now),
        Tile("difference, in points", signed(gap.value), f"95\u00a0% interval {signed_span(gap)}"),
        Tile("lost and won", f"{cost.lost} and {cost.won}", f"p {cost.p:.2g}, McNemar's exact test"),
    )
    return Tiles(
        tiles, "On your images", f"Of {counted(cost.images, 'image', 'images')} whose truth is known."
    )
