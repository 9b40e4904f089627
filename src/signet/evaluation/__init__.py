"""How good a model is on labelled images: every figure with an interval, and what it rests on."""

from signet.evaluation.dispatch import evaluate
from signet.evaluation.labels import Matched, match_labels

__all__ = ["Matched", "evaluate", "match_labels"]
