"""Classes of different sizes: how much each counts in the loss, and how often each is drawn."""

from __future__ import annotations

from typing import Literal

import numpy as np

from signet.arrays import Floats, Integers

ClassWeights = Literal["none", "inverse", "balanced"]
Sampling = Literal["natural", "balanced"]

OVERLAP = 0.999
"""The beta of the effective number: one image more of a class that has n of them tells beta**n as much as its
first. Source: Y. Cui et al. (2019), section 5, where 0.9 to 0.9999 are compared."""


def weights_of(counts: Integers, kind: ClassWeights) -> Floats:
    """How much an image of each class counts in the loss; 1 in the mean over all images.

    Args:
        counts: int64 (C,), images of each class, at least one.
        kind: "inverse": a class of half the images counts twice. "balanced": by the effective number of
            images, so that classes of thousands differ little. "none": all alike.

    Returns:
        float32 (C,).

    Source: Y. Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (2019), equation 2.
    """
    match kind:
        case "inverse":
            raw = 1 / counts
        case "balanced":
            raw = (1 - OVERLAP) / (1 - OVERLAP ** counts.astype(np.float64))
        case _:
            raw = np.ones(len(counts))
    return np.asarray(raw * counts.sum() / (raw * counts).sum(), np.float32)


def balanced_draw(targets: Integers, generator: np.random.Generator) -> Integers:
    """As many images as there are, of each class alike, those of small classes several times.

    No image of a class comes again before all of it have come.

    Args:
        targets: int64 (N,).
        generator: where the chances come from.

    Returns:
        int64 (N,), positions of images; of each class N / C of them, rounded up or down.
    """
    members = [np.flatnonzero(targets == index) for index in np.unique(targets)]
    count = len(targets)
    shares = np.full(len(members), count // len(members))
    shares[generator.permutation(len(members))[: count % len(members)]] += 1
    drawn = []
    for own, share in zip(members, shares.tolist(), strict=True):
        rounds = -(-share // len(own))
        drawn.append(np.concatenate([generator.permutation(own) for _ in range(rounds)])[:share])
    return np.concatenate(drawn).astype(np.int64)
