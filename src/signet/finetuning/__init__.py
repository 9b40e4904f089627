"""Fine-tuning: a pretrained model learns the labels of images, or their pixels or objects, and is sealed.

refusals ── settings that the dataset or the strategy has no use for; lessons ── those of labels of images
plans ── what is going to be done, and why, before it starts
partition ── which images are learned from, which decide, which are kept for the end
folding ── a network for each fold, and all of them as one
label_sets ── one label an image, or several: targets, probes, temperature; label_scores: figures of several
probes ── the frozen network's features and the head fitted on them; no torch
automatic ── which strategy suits data and network, by a table of rules with reasons
strategies ── what the recipe asks for, or that; looking_over ── the audit before it
learners ── the module that learns, with its head and adapters; thawing ── when stages begin to learn
presets ── recipes for a purpose; searching ── rates, augmentation and frozen stages tried within a time
trained ── the network trained further from the probe's head; torch; written ── that network on disk
joining ── a head on a graph, and as weights that can be trained further; no torch
deciding ── which candidate is sealed
scoring ── a candidate's figures, with intervals
closing ── the chosen candidate as a seal
workplace ── the folder of a run, by which it resumes
outcome ── what came of it
adapting ── the same road where pixels or objects are learned; adapted ── what came of it
dealing ── its parts; framing ── size and program; adaptations ── what a network becomes
segmenters ── a backbone under a head for pixels
detectors ── the network for boxes or masks; detector_networks ── how it is made; census ── the objects
starting ── what a run begins with; optimising ── the optimizer, and trials of what this machine does best
rate_finding ── `find_rate`: a trial of learning rates
meeting ── several processes; assisting ── `assist`: what those do that are not the first
tuning ── `finetune`: all of it in order
"""

from __future__ import annotations

from signet.finetuning.adapted import Adapted
from signet.finetuning.assisting import assist
from signet.finetuning.jobs import RunSettings
from signet.finetuning.outcome import Finetuned
from signet.finetuning.plans import Plan
from signet.finetuning.rate_finding import find_rate
from signet.finetuning.starting import starting_point
from signet.finetuning.tuning import finetune

__all__ = [
    "Adapted",
    "Finetuned",
    "Plan",
    "RunSettings",
    "assist",
    "find_rate",
    "finetune",
    "starting_point",
]
