"""One golden image through a model that runs here: what its network, head, answer and decision are now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from signet.arrays import Array
from signet.errors import BadCard, BadInput, EngineError, WrongTask
from signet.evidence import decoded, network_outputs
from signet.evidence_objects import outputs_of, sees
from signet.models import Model
from signet.predictions import Prediction
from signet.replaying import Allowance, Findings, compare_answer
from signet.replaying_objects import compare_seen


def replay_image(
    findings: Findings,
    sealed: Mapping[str, Array],
    model: Model[Prediction],
    image: Path,
    allowed: Allowance,
) -> bool:
    """Compare network, head, answer and decision on one golden image; whether it decided as sealed.

    Args:
        findings: taken in.
        sealed: the evidence of this image.
        model: that is judged.
        image: the golden image.
        allowed: what may differ.
    """
    picture = decoded(image, model.card.program)
    try:
        if sees(model.card):
            return compare_seen(findings, sealed, outputs_of(model, picture), model.card, allowed)
        network = network_outputs(model, picture)
    except (EngineError, BadInput, BadCard, WrongTask) as error:
        findings.add("network", None, 0.0, str(error))
        return False
    return compare_answer(findings, sealed, network, model.card, allowed)
