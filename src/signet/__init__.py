"""Signet: pretrained vision models that can be trusted at every joint.

    import signet
    with signet.load("starter") as model: ...

Nouns and verbs are bound on first use, so that `import signet` loads neither torch nor an engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from signet.version import __version__

if TYPE_CHECKING:
    from signet import datasets, errors, mirroring
    from signet.auditing import audit
    from signet.boxes import Boxes
    from signet.cards import Card, Claim, Licence
    from signet.catalogue.finding import find
    from signet.choices import Choice
    from signet.choosing import choose
    from signet.comparing import compare
    from signet.comparisons import Comparison
    from signet.compression import compress
    from signet.decoding import read
    from signet.drawing import cutouts, draw
    from signet.engines.contract import EngineSettings
    from signet.errors import SignetError
    from signet.evaluation import evaluate
    from signet.exporting import export
    from signet.features import Features
    from signet.findings import Audit, Finding
    from signet.finetuning import finetune
    from signet.images import Image
    from signet.instances import Instances
    from signet.masks import Mask
    from signet.measuring import benchmark
    from signet.models import Model, load, resolve
    from signet.predictions import Classes, Embedding, Prediction
    from signet.programs import Program
    from signet.progress import Progress
    from signet.recipes import Recipe
    from signet.records import Report, Verdict
    from signet.sealing import seal, seal_module
    from signet.seals import Seal, pack, sign
    from signet.segments import SegmentMap
    from signet.streaming import predictions as stream
    from signet.verification import verify
    from signet.video import Video
    from signet.watching import watch

_PLACES = {
    "Audit": "findings",
    "Boxes": "boxes",
    "Card": "cards",
    "Choice": "choices",
    "Claim": "cards",
    "Comparison": "comparisons",
    "Classes": "predictions",
    "Embedding": "predictions",
    "EngineSettings": "engines.contract",
    "Features": "features",
    "Finding": "findings",
    "Image": "images",
    "Instances": "instances",
    "Licence": "cards",
    "Mask": "masks",
    "Model": "models",
    "Prediction": "predictions",
    "Program": "programs",
    "Progress": "progress",
    "Recipe": "recipes",
    "Report": "records",
    "Seal": "seals",
    "SegmentMap": "segments",
    "SignetError": "errors",
    "Verdict": "records",
    "Video": "video",
    "audit": "auditing",
    "benchmark": "measuring",
    "compare": "comparing",
    "compress": "compression",
    "choose": "choosing",
    "cutouts": "drawing",
    "draw": "drawing",
    "evaluate": "evaluation",
    "export": "exporting",
    "find": "catalogue.finding",
    "finetune": "finetuning",
    "load": "models",
    "pack": "seals",
    "read": "decoding",
    "resolve": "models",
    "seal": "sealing",
    "seal_module": "sealing",
    "sign": "seals",
    "stream": "streaming:predictions",
    "verify": "verification",
    "watch": "watching",
}
_MODULES = ("datasets", "errors", "mirroring")

__all__ = [
    "Audit",
    "Boxes",
    "Card",
    "Choice",
    "Claim",
    "Classes",
    "Comparison",
    "Embedding",
    "EngineSettings",
    "Features",
    "Finding",
    "Image",
    "Instances",
    "Licence",
    "Mask",
    "Model",
    "Prediction",
    "Program",
    "Progress",
    "Recipe",
    "Report",
    "Seal",
    "SegmentMap",
    "SignetError",
    "Verdict",
    "Video",
    "__version__",
    "audit",
    "benchmark",
    "choose",
    "compare",
    "compress",
    "cutouts",
    "datasets",
    "draw",
    "errors",
    "evaluate",
    "export",
    "find",
    "finetune",
    "load",
    "mirroring",
    "pack",
    "read",
    "resolve",
    "seal",
    "seal_module",
    "sign",
    "stream",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Bind a noun or verb when it is first asked for."""
    if name in _MODULES:
        return import_module(f"signet.{name}")
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'signet' has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value = getattr(import_module(f"signet.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
