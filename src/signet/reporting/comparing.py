"""The page of a comparison: figures side by side, differences, cost, published claims, and disagreements."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePath

from signet.boxes import Boxes
from signet.comparisons import Comparison as Compared
from signet.comparisons import Difference, Disagreement, Reply
from signet.errors import SignetError
from signet.images import Image
from signet.instances import Instances
from signet.records import Interval
from signet.reporting.page import (
    Comparison,
    Differences,
    Gap,
    Note,
    Page,
    Picture,
    Pictures,
    Row,
    Scene,
    Scenes,
    Section,
    Table,
)
from signet.reporting.pictures import thumbnail
from signet.reporting.scenes import LONGEST, object_scene, pixel_scene
from signet.reporting.words import counted, facts, percent, quoted, signed, signed_span, span, whole
from signet.segments import SegmentMap

Reader = Callable[[str], Image]

MOST_PICTURES, MOST_SCENES = 18, 4
MOST_VIEWS = 4
"""Models whose answers are drawn in one scene."""

_FIGURES = {
    "top1": ("Right answers", "share of images that were answered rightly"),
    "top5": ("Right among the best five", ""),
    "f1_macro": ("F1, mean of classes", ""),
    "ece": ("Calibration error", ""),
    "ap": ("Average precision", "average precision"),
    "mask_ap": ("Average precision of masks", "average precision, by masks"),
    "miou": ("Mean intersection over union", "mean intersection over union"),
}


def comparison_page(found: Compared, *, read: Reader | None = None) -> Page:
    """The page of one comparison.

    Args:
        found: what was measured.
        read: opens images by their source; `signet.decoding.read` when None. One that cannot be opened any
            more is left without a picture.
    """
    from signet.decoding import read as from_disk

    metric = found.main_metric()
    data = PurePath(str(found.provenance.get("dataset", ""))).name
    notes = tuple(dict.fromkeys([*found.notes, *(note for model in found.models for note in model.notes)]))
    sections: list[Section] = [_side_by_side(found, metric), _gaps(found, metric)]
    if notes:
        sections.append(Note(notes))
    sections += [_cost(found), _tests(found), _all_figures(found)]
    if any(model.claims for model in found.models):
        sections.append(_claims(found))
    if found.disagreements:
        sections.append(_disagreements(found, read or from_disk))
    sections.append(Table("How it was made", facts(dict(found.provenance)), folded=True))
    version, date = found.provenance.get("version signet", ""), found.provenance.get("date", "")
    return Page(
        title=_headline(found, metric),
        summary=_sentence(found, metric),
        sections=tuple(sections),
        kicker=" · ".join(
            part for part in ("Comparison", counted(len(found.models), "model", "models"), data) if part
        ),
        meaning=(
            "All models saw the same images in the same order. What the images themselves contribute cancels "
            "in a paired difference, so it is surer than two intervals side by side suggest."
        ),
        colophon=f"Made by Signet {version} on {date}.".replace(" on .", "."),
    )


def _name(metric: str) -> str:
    return _FIGURES.get(metric, (metric.replace("_", " "), ""))[0]


def _main(found: Compared, metric: str) -> list[Difference]:
    return [pair for pair in found.pairs if pair.metric == metric]


def _headline(found: Compared, metric: str) -> str:
    pairs = _main(found, metric)
    images = counted(found.count, "image", "images")
    if len(pairs) != 1:
        sure = sum(pair.sure for pair in pairs)
        return f"{sure} of {counted(len(pairs), 'model', 'models')} told apart from the baseline on {images}"
    pair = pairs[0]
    if not pair.sure:
        return f"Not told apart on {images}"
    return f"{signed(pair.figure.value)} points on {images}"


def _sentence(found: Compared, metric: str) -> str:
    """The difference; of several the smallest and the greatest, for the chart has the others."""
    pairs = sorted(_main(found, metric), key=lambda pair: abs(pair.figure.value))
    chosen = pairs if len(pairs) < 3 else [pairs[0], pairs[-1]]
    what = _FIGURES.get(metric, ("", ""))[1] or metric
    return f"By {what}: " + "; ".join(map(_spelt, chosen)) + "."


def _spelt(pair: Difference) -> str:
    size = pair.figure.value
    if size == 0:
        how = "level with"
    else:
        how = f"{signed(abs(size)).lstrip('+')} points {'better' if size > 0 else 'worse'} than"
    interval = f"95\u00a0% interval of the difference {signed_span(pair.figure)} points"
    return f"{quoted(pair.first)} is {how} {quoted(pair.second)} ({interval})"


def _side_by_side(found: Compared, metric: str) -> Comparison:
    rows = tuple(
        Row(
            model.name,
            model.metrics[metric],
            "baseline" if model.name == found.baseline else "",
            chosen=model.name == found.baseline,
        )
        for model in found.models
    )
    return Comparison(_name(metric), rows, f"On {counted(found.count, 'image', 'images')}.")


def _gaps(found: Compared, metric: str) -> Differences:
    pairs = _main(found, metric)
    rows = tuple(Gap(pair.first, pair.figure, _chance(pair, len(pairs))) for pair in pairs)
    return Differences(
        f"{_name(metric)}: difference from the baseline",
        rows,
        f"Each model minus {quoted(found.baseline)}, image by image. To the right of 0 it is better.",
    )


def _chance(pair: Difference, tests: int) -> str:
    if pair.p_holm is None:
        return ""
    return f"p {_p(pair.p_holm)}{', adjusted' if tests > 1 else ''}"


def _p(value: float) -> str:
    return "under 0.0001" if value < 0.0001 else f"{value:.4f}"


def _tests(found: Compared) -> Table:
    rows = tuple(
        (
            pair.first,
            _name(pair.metric),
            signed(pair.figure.value),
            signed_span(pair.figure),
            "" if pair.p is None else _p(pair.p),
            "" if pair.p_holm is None else _p(pair.p_holm),
        )
        for pair in found.pairs
    )
    lead = (
        "Intervals: 1,000 draws of the images, both models on the same draws; of right answers, where the "
        "models differ on fewer than 10 images, that of Bonett and Price. p: McNemar's exact test, for "
        "shares of right answers."
    )
    if len({pair.first for pair in found.pairs}) > 1:
        lead += (
            " Several models were held to one baseline, and by chance alone some would stand out: the "
            "adjusted p is Holm's, and holds for all of them together. The intervals are each one's own."
        )
    columns = ("model", "figure", "difference", "95\u00a0% interval", "p", "p, Holm")
    if all(pair.p is None for pair in found.pairs):
        plain = tuple(row[:-2] for row in rows)
        lead = "Intervals: 1,000 draws of the images, both models on the same draws."
        return Table("Every difference", plain, columns[:-2], lead, folded=len(rows) > 12)
    return Table("Every difference", rows, columns, lead, folded=len(rows) > 12)


def _all_figures(found: Compared) -> Table:
    names = list(dict.fromkeys(name for model in found.models for name in model.metrics))
    rows = tuple(
        (_name(name), *(_figure(model.metrics.get(name)) for model in found.models)) for name in names
    )
    return Table("All figures", rows, ("figure", *(model.name for model in found.models)), folded=True)


def _figure(figure: Interval | None) -> str:
    if figure is None or math.isnan(figure.value):
        return "unknown"
    return f"{percent(figure.value)} ({span(figure)})"


def _cost(found: Compared) -> Table:
    rows = tuple(
        (
            model.name,
            "unknown" if model.milliseconds is None else f"{model.milliseconds:.1f}",
            "unknown" if model.params is None else f"{model.params / 1e6:.2f}",
            "unknown" if model.size_bytes is None else f"{model.size_bytes / 1e6:.1f}",
            f"{model.provenance.get('engine', '')} {model.provenance.get('precision', '')}".strip(),
            str(model.provenance.get("model_licence", "")),
        )
        for model in found.models
    )
    columns = ("model", "ms an image", "million parameters", "MB", "runs on", "licence")
    lead = "One image after another from file to answer, on this machine: the median."
    return Table("What they cost", rows, columns, lead)


def _claims(found: Compared) -> Table:
    rows = []
    for model in found.models:
        for claim in model.claims:
            here = model.metrics.get(claim.metric)
            size = "" if claim.evaluation_size is None else f" at {claim.evaluation_size} pixels"
            rows.append(
                (
                    model.name,
                    f"{_name(claim.metric)} {percent(claim.value)}{size}",
                    claim.dataset,
                    claim.source,
                    "" if here is None else percent(here.value),
                )
            )
    lead = (
        "What others published of these weights, each on the data that is named: not measured here, and not "
        "to be compared with figures on other data. The last column is the same figure on the images of this "
        "page."
    )
    columns = ("model", "published", "published on", "source", "measured here")
    return Table("Published beside measured", tuple(rows), columns, lead, folded=len(rows) > 12)


def _disagreements(found: Compared, read: Reader) -> Section:
    title = f"Where they disagree: {whole(found.disagreeing)} of {counted(found.count, 'image', 'images')}"
    if found.task == "classify":
        lead = (
            "Those on which the models are most evenly divided come first, then those with the surest scores."
        )
        pictures = tuple(_picture(one, read) for one in found.disagreements[:MOST_PICTURES])
        return Pictures(title, pictures, lead)
    lead = "The images on which the models fare most differently."
    if found.task != "segment":
        lead += " Blue: missed. Orange: wrong, with the score. White and thin: found."
    return Scenes(title, tuple(_scene(one, read) for one in found.disagreements[:MOST_SCENES]), lead)


def _picture(one: Disagreement, read: Reader) -> Picture:
    image = _opened(one.source, read)
    return Picture(
        "" if image is None else thumbnail(image, 240),
        PurePath(one.source).name,
        tuple((_label(one, reply), _score(reply)) for reply in one.replies),
        one.truth,
        names=tuple(reply.model for reply in one.replies),
    )


def _label(one: Disagreement, reply: Reply) -> str:
    """What was answered; a right answer as the first model writes it, for each has names of its own."""
    return one.truth if reply.figure == 1 else reply.label


def _score(reply: Reply) -> float:
    return reply.figure if reply.score is None else reply.score


def _scene(one: Disagreement, read: Reader) -> Scene:
    image = _opened(one.source, read)
    views = tuple(
        (f"{reply.model}: {percent(reply.figure)}", "" if image is None else _view(image, one, reply))
        for reply in one.replies[:MOST_VIEWS]
    )
    if image is not None and isinstance(one.there, SegmentMap):
        truth = dict(pixel_scene(image, one.there, one.there))["truth"]
        views = (("truth", thumbnail(truth, LONGEST)), *views)
    return Scene(PurePath(one.source).name, "", views)


def _view(image: Image, one: Disagreement, reply: Reply) -> str:
    truth, answer = one.there, reply.answer
    if isinstance(truth, Boxes | Instances) and isinstance(answer, Boxes | Instances):
        return thumbnail(object_scene(image, truth, answer), LONGEST)
    if isinstance(truth, SegmentMap) and isinstance(answer, SegmentMap):
        return thumbnail(dict(pixel_scene(image, truth, answer))["answer"], LONGEST)
    return ""


def _opened(source: str, read: Reader) -> Image | None:
    try:
        return read(source)
    except (SignetError, OSError):
        return None
