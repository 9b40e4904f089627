"""Opened models side by side, and one pair of what came of it."""

from __future__ import annotations

from signet.comparing import Terms, side_by_side


def set_beside(models, dataset, **terms):
    """`side_by_side` of models that are open already."""
    by_name = {}
    for model in models:
        by_name.setdefault(id(model.pretrained), model)
    return side_by_side(
        [model.pretrained for model in models],
        dataset,
        Terms(**terms),
        open_model=lambda pretrained: by_name[id(pretrained)],
    )


def pair(found, first, metric):
    (one,) = (pair for pair in found.pairs if (pair.first, pair.metric) == (first, metric))
    return one
