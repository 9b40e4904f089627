"""Compressing a seal behind a gate: smaller or faster, and delivered only where it decides as before.

    settings ── what is asked for
    parts ── which images calibrate, and which others judge
    quantizing ── int8 by NNCF, calibrated through the seal's own program (in a process: nncf_child)
    layer_inputs ── what comes into each layer; rounding ── which way its weights are rounded for that
    halving ── weights in fp16 or bf16
    pruning ── channels cut out; recovering ── what is left learns again
    distilling ── a smaller model learns from the seal; weighing ── parameters and multiply-adds of a graph
    layers ── quantized layers taken back to floats
    sensitivity ── what each layer costs, and which are worth their floats
    gate ── what is refused, and in which words
    judging ── before and after on the same images; the interleaved clock
    delivering ── the new seal, with evidence and lineage of its own
    outcome ── what has come of it; report: its page
    compressing ── `compress`

Torch is not needed for int8 and 16 bits.
"""

from signet.compression.compressing import compress
from signet.compression.gate import Gate
from signet.compression.outcome import Compressed
from signet.compression.report import compression_page
from signet.compression.settings import CompressSettings

__all__ = ["CompressSettings", "Compressed", "Gate", "compress", "compression_page"]
