"""What labels of images cost.

Shape suffixes: N images, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from signet.training.objective import Objective


def class_loss(
    logits_NC: Tensor, targets_NC: Tensor, objective: Objective, smoothing: float, weights_C: Tensor
) -> Tensor:
    """The loss of images of which one label is right, or two in shares where pictures are mixed.

    Args:
        logits_NC: float32.
        targets_NC: float32, 0 to 1, each row with the sum 1.
        objective: which loss.
        smoothing: share of each target that all classes have in common.
        weights_C: float32, how much each class counts.

    Returns:
        float32 (), the mean over the images.

    Source: T. Lin et al., "Focal Loss for Dense Object Detection" (2017), equation 4, over a softmax;
        R. Wightman et al., "ResNet strikes back" (2021), section 2.2, for binary cross-entropy of one label;
        C. Szegedy et al., "Rethinking the Inception Architecture" (2015), section 7, for the smoothing.
    """
    smooth_NC = targets_NC * (1 - smoothing) + smoothing / targets_NC.shape[1]
    if objective.loss == "bce":
        return label_loss(logits_NC, smooth_NC, objective, 0.0, weights_C)
    logs_NC = logits_NC.log_softmax(1)
    costs_NC = -logs_NC
    if objective.loss == "focal":
        costs_NC = costs_NC * (1 - logs_NC.exp()) ** objective.focusing
    return (smooth_NC * weights_C * costs_NC).sum(1).mean()


def label_loss(
    logits_NC: Tensor, targets_NC: Tensor, objective: Objective, smoothing: float, weights_C: Tensor
) -> Tensor:
    """The loss of images of which several labels can be right: each label is a question of its own.

    Args:
        logits_NC: float32.
        targets_NC: float32, 0 to 1, of each label on its own.
        objective: "focal", or else binary cross-entropy.
        smoothing: share of each target that both answers have in common.
        weights_C: float32, how much each label counts.

    Returns:
        float32 (), the mean over the images of the sum over the labels.

    Source: T. Lin et al., "Focal Loss for Dense Object Detection" (2017), equation 4.
    """
    smooth_NC = targets_NC * (1 - smoothing) + smoothing / 2
    costs_NC = functional.binary_cross_entropy_with_logits(logits_NC, smooth_NC, reduction="none")
    if objective.loss == "focal":
        shares_NC = logits_NC.sigmoid()
        wrong_NC = smooth_NC * (1 - shares_NC) + (1 - smooth_NC) * shares_NC
        costs_NC = costs_NC * wrong_NC**objective.focusing
    return (weights_C * costs_NC).sum(1).mean()


def teacher_loss(logits_NC: Tensor, shares_NC: Tensor, temperature: float, *, exclusive: bool) -> Tensor:
    """How far answers are from a teacher's, both softened: divergence times the square of the temperature.

    Args:
        logits_NC: float32, the learner's.
        shares_NC: float32, 0 to 1: the teacher's scores at that temperature.
        temperature: that divides the learner's logits.
        exclusive: scores of a softmax; else of each label on its own.

    Returns:
        float32 (), the mean over the images; 0 where both agree.

    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network" (2015), section 2:
        the square keeps the size of the gradient.
    """
    softened_NC = logits_NC / temperature
    if exclusive:
        gaps_NC = torch.special.xlogy(shares_NC, shares_NC) - shares_NC * softened_NC.log_softmax(1)
    else:
        rest_NC = 1 - shares_NC
        own_NC = torch.special.xlogy(shares_NC, shares_NC) + torch.special.xlogy(rest_NC, rest_NC)
        gaps_NC = own_NC + functional.binary_cross_entropy_with_logits(
            softened_NC, shares_NC, reduction="none"
        )
    distance: Tensor = temperature**2 * gaps_NC.sum(1).mean()
    return distance


def judged_loss(logits_NC: Tensor, targets_NC: Tensor, *, exclusive: bool) -> float:
    """Mean log loss of an image, in float64, whatever was minimised: plain, without smoothing or weights."""
    wide_NC, truth_NC = logits_NC.double(), targets_NC.double()
    if exclusive:
        return float(-(truth_NC * wide_NC.log_softmax(1)).sum(1).mean())
    costs_NC = functional.binary_cross_entropy_with_logits(wide_NC, truth_NC, reduction="none")
    return float(torch.sum(costs_NC, 1).mean())
