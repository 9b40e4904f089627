"""Exports: a seal as one file of another runtime, which is run over the seal's evidence before it is given.

    formats ── what can be written, with which ending, and what runs it
    materials ── the networks of a seal that a format can be made of
    contracts ── card and metadata that travel with the file
    preludes ── the arithmetic of the preprocessing as part of the network, held to the reference byte by byte
    modules ── the torch module of a seal, ready to be converted
    to_onnx, to_openvino, to_torch, to_devices ── the formats, by the library that writes them
    litert_conversion ── run by another Python
    proving ── the file on its own runtime against the seal's evidence
    snippets ── a program in the platform's language that uses it
    delivering ── `export`: all of these, whole or not at all

Told in `docs/exporting.md`.
"""

from __future__ import annotations

from signet.exporting.delivering import Exported, ExportSettings, export
from signet.exporting.formats import FORMATS, Format

__all__ = ["FORMATS", "ExportSettings", "Exported", "Format", "export"]
