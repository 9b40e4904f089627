"""Features of frozen networks: extracted once, kept on disk, and offered as a scikit-learn transformer.

cutting ── a graph with its penultimate features, or another layer, as an output
kept ── rows of features on disk, by the digest of the image file
extraction ── `extract`: from files to rows, the new ones at the engine's speed
transformer ── `Features`
"""

from __future__ import annotations

from signet.features.cutting import graph_with_features, graph_with_layer, layers_of, penultimate_words
from signet.features.extraction import Extracted, extract
from signet.features.transformer import Features

__all__ = [
    "Extracted",
    "Features",
    "extract",
    "graph_with_features",
    "graph_with_layer",
    "layers_of",
    "penultimate_words",
]
