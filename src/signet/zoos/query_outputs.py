"""Detectors and segmenters of transformers as the engines expect one: a picture in, named arrays out.

Legend of the suffixes: N pictures, Q queries, C labels, H and W pixels, h and w cells of a map.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SIDE = 384
"""Of the maps that a semantic answer is made of. Source: transformers, Mask2Former's image processor,
`post_process_semantic_segmentation`."""


class QueryBoxes(nn.Module):
    """A network of the DETR family: a box and the logits of its labels for each query."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, H, W), prepared, to logits (N, Q, C or C + 1) and boxes (N, Q, 4)."""
        found = self.network(pixel_values=images_N3HW)
        return found.logits, found.pred_boxes


class QueryMasks(nn.Module):
    """Mask2Former: a map and the logits of its labels for each query."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, H, W), prepared, to logits (N, Q, C + 1) and the logits of masks (N, Q, h, w)."""
        found = self.network(pixel_values=images_N3HW)
        return found.class_queries_logits, found.masks_queries_logits


class QuerySums(QueryMasks):
    """Mask2Former as a semantic segmenter: what all queries together say of each pixel."""

    def forward(self, images_N3HW: Tensor) -> Tensor:  # type: ignore[override]
        """float32 (N, 3, H, W), prepared, to what speaks for each label, float32 (N, C, 384, 384).

        Source: Cheng et al. 2021, MaskFormer, arXiv:2107.06278, section 3.4.
        """
        logits_NQC, masks_NQhw = super().forward(images_N3HW)
        maps = nn.functional.interpolate(masks_NQhw, (SIDE, SIDE), mode="bilinear", align_corners=False)
        return torch.einsum("nqc,nqhw->nchw", logits_NQC.softmax(-1)[..., :-1], maps.sigmoid())
