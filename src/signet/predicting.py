"""Predictions of many images as rows of plain values, and the precision that a long run is allowed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from signet import streaming
from signet.agreement import DOOR_SCORE, alike
from signet.answers import kind_of
from signet.boxes import Boxes
from signet.errors import BadRequest, EngineError
from signet.instances import Instances
from signet.line_files import Counts
from signet.models import Model, Picture
from signet.predictions import Classes, Prediction
from signet.progress import OnProgress, Progress, silent
from signet.running import EVIDENCE_IMAGES, Evidence, keep_evidence
from signet.segments import SegmentMap
from signet.streaming import Answered

EVIDENCE_FROM = 1000
"""A prediction over more images than this gathers evidence for bf16 by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSettings:
    """What is written of each answer.

    Attributes:
        top: labels, boxes or segments for each image, best first; None for the kind's own number, which is
            5 labels, or all boxes and segments.
        min_score: labels and boxes below it are left out, 0 to 1; None for the kind's own, which is 0 for
            labels and 0.25 for boxes. Figures are made of all boxes.
    """

    top: int | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise BadRequest(f"--top: expected at least 1, got {self.top}.")
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise BadRequest(f"--min-score: expected 0 to 1, got {self.min_score}.")

    def resolved(self, kind: type[Prediction]) -> PredictSettings:
        """With the kind's own numbers where none were given.

        Raises:
            BadRequest: a least score for answers that have none.
        """
        if kind is SegmentMap:
            if self.min_score is not None:
                raise BadRequest(
                    "--min-score: expected a model of labels or boxes; a segmenter gives each pixel its best "
                    "label. Leave it out."
                )
            return self
        top = 5 if kind is Classes and self.top is None else self.top
        default = DOOR_SCORE if kind in (Boxes, Instances) else 0.0
        return PredictSettings(top=top, min_score=default if self.min_score is None else self.min_score)


def row(answered: Answered[Prediction], settings: PredictSettings) -> dict[str, Any]:
    """One line of the output: the answer, or the error, with its source."""
    if answered.error is not None or answered.answer is None:
        error = answered.error
        return {
            "source": answered.source,
            "error": {"type": type(error).__name__, "message": str(error)},
        }
    return {"source": answered.source, **_written(answered.answer, settings.resolved(type(answered.answer)))}


def _written(answer: Prediction, settings: PredictSettings) -> dict[str, Any]:
    """What of an answer is written."""
    least = settings.min_score or 0.0
    match answer:
        case Classes():
            plain = answer.to_dict(settings.top)
            plain["top"] = [entry for entry in plain["top"] if entry["score"] >= least]
        case Boxes():
            plain = answer[answer.chosen(min_score=least)][: settings.top].to_dict()
        case Instances():
            plain = answer[answer.boxes.chosen(min_score=least)][: settings.top].to_dict()
        case SegmentMap():
            plain = answer.to_dict()
            plain["segments"] = plain["segments"][: settings.top]
        case _:
            plain = answer.to_dict()
    return plain


def predict(
    model: Model[Prediction],
    inputs: Iterable[Picture],
    settings: PredictSettings,
    on_row: Callable[[dict[str, Any], Answered[Prediction]], None],
) -> Counts:
    """Answer for every input, in order, and hand each row to `on_row` as it is done.

    Boxes and instances that the settings leave out are not in the answer either.
    """
    failed = done = 0
    least = settings.resolved(kind_of(model.card)).min_score or 0.0
    for answered in streaming.predictions(model, inputs, min_score=least):
        on_row(row(answered, settings), answered)
        done += 1
        failed += answered.error is not None
    return Counts(done, failed)


def prove_precision(
    model: Model[Prediction], inputs: Iterable[Picture], on_progress: OnProgress = silent
) -> tuple[Model[Prediction], Iterator[Picture]]:
    """Gather evidence for bf16 on the first inputs of a long run, and take the precision that it allows.

    Nothing is written meanwhile, so that a file never mixes two precisions. Vectors are no decisions, so a
    model of them has no evidence; what decides alike for the others is `agreement.alike`. As soon as too many
    images were decided otherwise for any rest to make up for, the comparison ends.

    Args:
        model: running in fp32, its precision undecided.
        inputs: all inputs; at most `EVIDENCE_FROM` of them are looked at ahead.
        on_progress: told of every compared image.

    Returns:
        The model to use (the one given, or the same in bf16 with the given one closed), and all inputs.
    """
    remaining = iter(inputs)
    if not model.running.undecided or model.pretrained.card.task == "embed":
        return model, remaining
    ahead = list(itertools.islice(remaining, EVIDENCE_FROM + 1))
    whole = itertools.chain(ahead, remaining)
    if len(ahead) <= EVIDENCE_FROM:
        return model, whole
    try:
        faster = model.in_precision("bf16")
    except EngineError:  # OpenVINO has no bf16 kernel for some networks: NASNet's average pools
        return model, whole
    evidence = _compared(model, faster, ahead[: EVIDENCE_IMAGES + EVIDENCE_IMAGES // 4], on_progress)
    keep_evidence(model.pretrained, model.running.settings.cache, evidence)
    if evidence.allows:
        model.close()
        return faster, whole
    faster.close()
    return model, whole


def _compared(
    model: Model[Prediction], faster: Model[Prediction], sample: list[Picture], on_progress: OnProgress
) -> Evidence:
    """How often two models decide alike; inputs that one of them cannot answer are left out."""
    evidence = Evidence(0, 0)
    pairs = zip(streaming.predictions(model, sample), streaming.predictions(faster, sample), strict=True)
    for done, (first, second) in enumerate(pairs, 1):
        on_progress(Progress("comparing bf16 with fp32", done, len(sample)))
        if first.answer is not None and second.answer is not None:
            same = alike(first.answer, second.answer)
            evidence = Evidence(evidence.compared + 1, evidence.equal + same)
        if evidence.hopeless(len(sample) - done):
            break
    return evidence
