"""Sealed models on disk, format major 1: weights, preprocessing, labels and golden evidence in one folder.

    names ── what a file inside a seal may be called
    strict ── JSON without what two readers could take for two things
    typed ── the types of a card's fields
    manifest ── `seal.json` as values, strictly read
    expected ── the golden evidence: tensors after each stage
    answered ── boxes, masks and maps as such tensors, and back
    sampling ── large tensors as their digest and values at stated places
    stripping ── image files without metadata, pixels untouched
    made ── golden images that are nobody's
    golden ── which images become golden ones
    modelcard ── the README of a seal
    unpacking ── zips, with suspicion
    reading ── `open_seal`: every file held to its digest first
    writing ── `write_seal`: whole or not at all
    signing ── `sign`, `check_signature`: who made it
    packing ── `pack`: one zip, the same bytes each time

Specified in `docs/seal-format.md`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from signet.seals.manifest import FORMAT, FeatureStatistics, GoldenEntry, Manifest, SealedFile
from signet.seals.reading import Seal, digest_of_manifest, is_seal, open_seal

if TYPE_CHECKING:
    from signet.seals.expected import Expected, digest_of_labels
    from signet.seals.golden import GoldenImage, golden_images
    from signet.seals.packing import pack
    from signet.seals.signing import check_signature, sign
    from signet.seals.writing import SealContents, check_out, write_seal

_PLACES = {
    "Expected": "expected",
    "GoldenImage": "golden",
    "SealContents": "writing",
    "check_out": "writing",
    "check_signature": "signing",
    "digest_of_labels": "expected",
    "golden_images": "golden",
    "pack": "packing",
    "sign": "signing",
    "write_seal": "writing",
}
"""What opening a seal has no use for, and the module that has it: bound on first use."""

__all__ = [
    "FORMAT",
    "Expected",
    "FeatureStatistics",
    "GoldenEntry",
    "GoldenImage",
    "Manifest",
    "Seal",
    "SealContents",
    "SealedFile",
    "check_out",
    "check_signature",
    "digest_of_labels",
    "digest_of_manifest",
    "golden_images",
    "is_seal",
    "open_seal",
    "pack",
    "sign",
    "write_seal",
]


def __getattr__(name: str) -> Any:
    """Bind what makes seals when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'signet.seals' has no attribute {name!r}")
    value = getattr(import_module(f"signet.seals.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
