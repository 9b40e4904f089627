"""Choosing the pretrained model whose features suit a dataset best, within limits and at a part of the cost.

published ── accuracies after fine-tuning, ten networks on eight datasets, and scores that foretell them
scores ── `scores_of`: nearest neighbours, LogME, H-score, LEEP and NCE of one candidate
candidates ── who takes part, and which limit keeps the others out
priors ── what is published of them
subjects, regions ── labelled pictures out of any dataset
costs ── milliseconds of an image here
evidence ── probes on a subset
posterior ── prior and probes together
race ── successive halving
distance ── whether the images are far from what the networks know
telling ── all of that in words
settings, sources, running ── how a choice is made, where features come from, and one while it is made
choosing ── `choose`
"""

from signet.choosing.candidates import Limits
from signet.choosing.choosing import choose
from signet.choosing.settings import ChooseSettings

__all__ = ["ChooseSettings", "Limits", "choose"]
