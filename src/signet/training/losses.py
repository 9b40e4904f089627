"""What labelled pixels cost.

Shape suffixes: N images, C labels, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from signet.segments import UNLABELLED


def pixel_loss(logits_NCHW: Tensor, labels_NHW: Tensor, weights_C: Tensor | None = None) -> Tensor:
    """Cross-entropy plus soft Dice; pixels that nobody labelled are in neither.

    Cross-entropy asks every pixel alike, so that large labels decide; Dice asks every label alike.

    Args:
        logits_NCHW: float32.
        labels_NHW: int64, 0 to C - 1, -1 where nobody said.
        weights_C: float32, how much a label's pixels count in the cross-entropy; None for alike.

    Returns:
        float32 (); 0, with a gradient of zeros, where no pixel is labelled.

    Source: F. Isensee et al., "nnU-Net" (Nature Methods 18, 2021), "Blueprint parameters", for the sum.
    """
    if not bool((labels_NHW != UNLABELLED).any()):
        return logits_NCHW.sum() * 0
    entropy = functional.cross_entropy(logits_NCHW, labels_NHW, weights_C, ignore_index=UNLABELLED)
    return entropy + soft_dice_loss(logits_NCHW, labels_NHW)


def soft_dice_loss(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """1 - the mean Dice of the labels that occur in the batch, with shares in place of decisions.

    Args:
        logits_NCHW: float32.
        labels_NHW: int64, -1 where nobody said; at least one pixel is labelled.

    Source: M. Drozdzal et al., "The Importance of Skip Connections in Biomedical Image Segmentation" (2016),
        the Dice loss of section 2; over labels as in C. Sudre et al., "Generalised Dice overlap" (2017).
    """
    known_N1HW = (labels_NHW != UNLABELLED).unsqueeze(1)
    shares_NCHW = logits_NCHW.softmax(1) * known_N1HW
    classes = logits_NCHW.shape[1]
    truth_NHWC = functional.one_hot(labels_NHW.clamp(min=0), classes)
    truth_NCHW = truth_NHWC.movedim(3, 1).to(shares_NCHW.dtype) * known_N1HW
    both_C = (shares_NCHW * truth_NCHW).sum((0, 2, 3))
    true_C = truth_NCHW.sum((0, 2, 3))
    dice_C = 2 * both_C / (shares_NCHW.sum((0, 2, 3)) + true_C).clamp(min=torch.finfo(torch.float32).eps)
    return 1 - dice_C[true_C > 0].mean()
