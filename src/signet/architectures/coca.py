"""CoCa (2.1 B): an image encoder and a text decoder that learn to compare and to describe at once.

Paper: Yu et al., CoCa: Contrastive Captioners are Image-Text Foundation Models (2022), arXiv:2205.01917.
Table 1, row CoCa: width 1408, 16 heads; image encoder of 40 layers (MLP 6144, 1 B parameters); text decoder
of 18 unimodal and 18 multimodal layers (MLP 5632, 1.1 B); 2.1 B in all. Section 3.2: attentional poolers
in cascade, 256 queries for captions, 1 for comparing. Section 4.1: patches of 18 pixels, 288 pixels in
pre-training and 576 afterwards; a vocabulary of 64 k.

Parameters that it must reach with 1,000 classes: 2,120,652,520. The paper states two digits, 2.1 B. They
say that the words' embedding is also the matrix of the answer: with two it would be 2.2 B. (open_clip's
class with these settings has 2.5 B, since it puts an MLP behind each of the two attentions of a
multimodal layer, and a matrix of its own behind the last.)

Nobody published weights. This is the network for its count and its shapes, not one to predict with.

Shape suffixes: N images, H rows, W columns, P patches, Q pooled tokens, D width, T words, V vocabulary,
C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SPREAD = 0.02
"""Deviation of embeddings and queries at the start: usual for transformers, not stated by the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A size of CoCa; the defaults are those of table 1's last row.

    Attributes:
        width: of all layers.
        heads: of each attention.
        image_layers: of the encoder.
        image_inner: width inside its MLPs.
        word_layers: unimodal ones, then as many multimodal ones.
        word_inner: width inside their MLPs.
        patch: height and width of a patch, in pixels.
        size: height and width of the images, in pixels.
        vocabulary: kinds of words.
        words: most words of a text; the paper does not state it.
        queries: tokens that the captions see of an image.
    """

    width: int = 1408
    heads: int = 16
    image_layers: int = 40
    image_inner: int = 6144
    word_layers: int = 18
    word_inner: int = 5632
    patch: int = 18
    size: int = 576
    vocabulary: int = 64_000
    words: int = 64
    queries: int = 256


class CoCa(nn.Module):
    """The network: images to logits, and images with words to the words that follow.

    Args:
        settings: its size.
        classes: outputs of the head; 0 for features.
    """

    def __init__(self, settings: Settings, classes: int) -> None:
        super().__init__()
        # Stages are counted from first to last: what labels need nothing of is not among the last.
        self.text = TextDecoder(settings)
        self.image = ImageEncoder(settings)
        self.caption_pool = Pooler(settings, settings.queries)
        self.compare_pool = Pooler(settings, 1)
        self.head = nn.Linear(settings.width, classes) if classes else nn.Identity()

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W) to logits (N, C): the encoder and its poolers; the text has no part in it."""
        _, features_ND = self.seen(images_N3HW)
        logits_NC: Tensor = self.head(features_ND)
        return logits_NC

    def seen(self, images_N3HW: Tensor) -> tuple[Tensor, Tensor]:
        """(N, Q, D) for captions, and (N, D) for comparing."""
        captions_NQD = self.caption_pool(self.image(images_N3HW))
        return captions_NQD, self.compare_pool(captions_NQD)[:, 0]

    def words(self, images_N3HW: Tensor, words_NT: Tensor) -> Tensor:
        """int64 (N, T) beside images to logits of the word after each: (N, T, V)."""
        captions_NQD, _ = self.seen(images_N3HW)
        logits_NTV: Tensor = self.text(words_NT, captions_NQD)
        return logits_NTV


class ImageEncoder(nn.Module):
    """Patches to tokens, one each, without a token for the class."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, settings.width, settings.patch, settings.patch)
        count = (settings.size // settings.patch) ** 2
        self.places = nn.Parameter(SPREAD * torch.randn(1, count, settings.width))
        self.layers = nn.ModuleList(
            _encoder_layer(settings, settings.image_inner) for _ in range(settings.image_layers)
        )
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W) to (N, P, D)."""
        tokens_NPD = self.patches(images_N3HW).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            tokens_NPD = layer(tokens_NPD)
        normed_NPD: Tensor = self.norm(tokens_NPD)
        return normed_NPD


class Pooler(nn.Module):
    """One attention whose queries are learned."""

    def __init__(self, settings: Settings, queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(SPREAD * torch.randn(1, queries, settings.width))
        self.attention = nn.MultiheadAttention(settings.width, settings.heads, batch_first=True)
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, tokens_NPD: Tensor) -> Tensor:
        """(N, P, D) to (N, Q, D)."""
        queries_NQD = self.queries.expand(len(tokens_NPD), -1, -1)
        pooled_NQD, _ = self.attention(queries_NQD, tokens_NPD, tokens_NPD, need_weights=False)
        normed_NQD: Tensor = self.norm(pooled_NQD)
        return normed_NQD


class TextDecoder(nn.Module):
    """Layers that see the words alone, then layers that also see the image."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.embedding = nn.Parameter(SPREAD * torch.randn(settings.vocabulary, settings.width))
        self.places = nn.Parameter(SPREAD * torch.randn(1, settings.words + 1, settings.width))
        self.whole = nn.Parameter(SPREAD * torch.randn(1, 1, settings.width))
        self.unimodal = nn.ModuleList(
            _encoder_layer(settings, settings.word_inner) for _ in range(settings.word_layers)
        )
        self.unimodal_norm = nn.LayerNorm(settings.width)
        self.multimodal = nn.ModuleList(
            nn.TransformerDecoderLayer(
                settings.width,
                settings.heads,
                settings.word_inner,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(settings.word_layers)
        )
        self.norm = nn.LayerNorm(settings.width)

    def alone(self, words_NT: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, D) for the words, and (N, D) for the whole text, from a last token that sees them all."""
        tokens_NTD = self.embedding[words_NT]
        tokens_NTD = torch.cat([tokens_NTD, self.whole.expand(len(words_NT), -1, -1)], dim=1)
        tokens_NTD = tokens_NTD + self.places[:, : tokens_NTD.shape[1]]
        mask_TT = _later(tokens_NTD)
        for layer in self.unimodal:
            tokens_NTD = layer(tokens_NTD, src_mask=mask_TT)
        return tokens_NTD[:, :-1], self.unimodal_norm(tokens_NTD[:, -1])

    def forward(self, words_NT: Tensor, captions_NQD: Tensor) -> Tensor:
        """int64 (N, T) and what is seen of the image to logits (N, T, V); no word sees a later one."""
        tokens_NTD, _ = self.alone(words_NT)
        mask_TT = _later(tokens_NTD)
        for layer in self.multimodal:
            tokens_NTD = layer(tokens_NTD, captions_NQD, tgt_mask=mask_TT)
        logits_NTV: Tensor = self.norm(tokens_NTD) @ self.embedding.T
        return logits_NTV


def _encoder_layer(settings: Settings, inner: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        settings.width,
        settings.heads,
        inner,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )


def _later(tokens_NTD: Tensor) -> Tensor:
    """A mask, bool (T, T): true where a word would see a later one."""
    count = tokens_NTD.shape[1]
    return torch.ones(count, count, dtype=torch.bool, device=tokens_NTD.device).triu(1)
