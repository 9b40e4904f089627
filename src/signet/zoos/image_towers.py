"""The image tower of a CLIP, alone or with one linear layer made of words.

Legend of the suffixes: N pictures, C labels, P phrases about each, D dimensions of the shared space, H and W
pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WORDS_AT_ONCE = 64


class ImageTower(nn.Module):
    """Pictures to vectors."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W), prepared, to float32 (N, D), not normalised."""
        vectors = self.visual(images_N3HW)
        # CoCa's tower also gives the tokens that its text decoder reads.
        features_ND: Tensor = vectors[0] if isinstance(vectors, tuple) else vectors
        return features_ND


class WordClassifier(nn.Module):
    """Pictures to the logits of words: cosine similarity, scaled as the model learned it.

    The scale and SigLIP's bias are part of the linear layer, so that it is a head like any other.
    """

    def __init__(self, visual: nn.Module, weights_CD: Tensor, bias_C: Tensor | None) -> None:
        super().__init__()
        self.tower = ImageTower(visual)
        self.head = nn.Linear(weights_CD.shape[1], weights_CD.shape[0], bias=bias_C is not None)
        with torch.no_grad():
            self.head.weight.copy_(weights_CD)
            if bias_C is not None:
                self.head.bias.copy_(bias_C)

    @classmethod
    def of(cls, model: Any, labels: Sequence[str], tokenizer: Any) -> WordClassifier:
        """From a whole CLIP.

        Each label's vector is the mean over several phrases about it, normalised before and after.

        Source: open_clip `build_zero_shot_classifier` with `SIMPLE_IMAGENET_TEMPLATES`.
        """
        from open_clip.zero_shot_metadata import SIMPLE_IMAGENET_TEMPLATES as PHRASES

        texts = [phrase(label) for label in labels for phrase in PHRASES]
        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), WORDS_AT_ONCE):
                tokens = tokenizer(texts[start : start + WORDS_AT_ONCE])
                parts.append(model.encode_text(tokens, normalize=True))
            vectors_CPD = torch.cat(parts).reshape(len(labels), len(PHRASES), -1)
            weights_CD = functional.normalize(vectors_CPD.mean(dim=1), dim=-1)
            scale = model.logit_scale.exp()
            bias = getattr(model, "logit_bias", None)
            bias_C = None if bias is None else bias.reshape(1).repeat(len(labels))
        return cls(
            model.visual, (scale * weights_CD).clone(), None if bias_C is None else bias_C.clone()
        ).eval()

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W), prepared, to logits float32 (N, C)."""
        features_ND = functional.normalize(self.tower(images_N3HW), dim=-1)
        logits_NC: Tensor = self.head(features_ND)
        return logits_NC
