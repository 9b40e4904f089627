"""A report with names that try to break out, made of nothing but numbers."""

import numpy as np

from signet.records import Mistake, Report
from signet.statistics import Resampling
from signet.summaries import summarise

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "exe\u202egpj",
    "two\nlines {{ 7 * 7 }}",
    "]]></style><style>body{display:none}",
    "http://example.com/a.png",
)


def report(names=HOSTILE, count=300, **changes) -> Report:
    """Answers that are right more often than not, over any labels."""
    generator = np.random.default_rng(0)
    labels = names
    classes = len(labels)
    truth = np.arange(count) % classes
    scores = generator.dirichlet(np.full(classes, 0.3), count)
    scores[np.arange(count), truth] += generator.random(count)
    scores /= scores.sum(axis=1, keepdims=True)
    found = summarise(scores, truth, tuple(labels), resampling=Resampling(resamples=50))
    mistakes = tuple(
        Mistake(
            f"folder/{labels[truth[row]]}.jpg",
            labels[truth[row]],
            labels[scores[row].argmax()],
            float(scores[row].max()),
            float(scores[row, truth[row]]),
            top=tuple((labels[one], float(scores[row, one])) for one in np.argsort(-scores[row])[:3]),
        )
        for row in np.flatnonzero(scores.argmax(axis=1) != truth)[:30]
    )
    fields = {
        "metrics": found.metrics,
        "per_class": found.per_class,
        "confusion": found.confusion,
        "labels": tuple(labels),
        "calibration": found.calibration,
        "count": count,
        "seconds": 12.5,
        "mistakes": mistakes,
        "unreadable": (Mistake(HOSTILE[0], "", "", 0, 0, error=f"{HOSTILE[0]}: expected an image."),),
        "provenance": {"model": {"name": HOSTILE[1]}, "dataset": HOSTILE[3], "engine": HOSTILE[4]},
        "notes": (HOSTILE[0],),
    }
    return Report(**{**fields, **changes})
