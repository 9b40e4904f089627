"""Features of frozen networks: extracted once, kept on disk, and offered as a scikit-learn transformer.

cutting ── a classifier's graph with its penultimate features as an output
kept ── rows of features on disk, by the digest of the image file
extraction ── `extract`: from files to rows, the new ones at the engine's speed
transformer ── `Features`
"""

from __future__ import annotations

from signet.features.cutting import graph_with_features
from signet.features.extraction import Extracted, extract
from signet.features.transformer import Features

__all__ = ["Extracted", "Features", "extract", "graph_with_features"]
