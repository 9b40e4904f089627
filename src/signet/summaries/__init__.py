"""From answers and truth to every figure of a report, each with its interval: a file for each kind of answer.

Stands one step above `metrics` and `statistics`, which do not know each other, and joins them: all figures
of one draw are taken from the same resampled images.
"""

from signet.summaries.classification import (
    Decided,
    Summary,
    summarise,
    summarise_decided,
    summarise_multilabel,
)
from signet.summaries.objects import ObjectSummary, summarise_objects
from signet.summaries.pixels import PixelSummary, summarise_pixels

__all__ = [
    "Decided",
    "ObjectSummary",
    "PixelSummary",
    "Summary",
    "summarise",
    "summarise_decided",
    "summarise_multilabel",
    "summarise_objects",
    "summarise_pixels",
]
