"""A model for images of another kind than it learns from, given some of them without labels.

target ── the images; their labels are for measuring alone
refusals ── what a network cannot be adapted by, and what the plan says
networks ── the candidate as what is adapted; methods ── adabn, coral, tent
evidence ── what images without labels say for and against an adaptation
adapting ── all of it in order; outcome ── what came of it
"""

from __future__ import annotations

from signet.finetuning.domains.adapting import adapted_to
from signet.finetuning.domains.methods import Candidate
from signet.finetuning.domains.networks import Network, of_probe, of_trained
from signet.finetuning.domains.outcome import DomainAdaptation
from signet.finetuning.domains.refusals import fit_target, with_target
from signet.finetuning.domains.target import Target, target_of

__all__ = [
    "Candidate",
    "DomainAdaptation",
    "Network",
    "Target",
    "adapted_to",
    "fit_target",
    "of_probe",
    "of_trained",
    "target_of",
    "with_target",
]
