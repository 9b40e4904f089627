"""Every seal that was ever written stays readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from signet.seals import open_seal
from signet.verification import verify

SEALS = sorted((Path(__file__).resolve().parent.parent / "golden" / "seals").glob("*.signet"))
DIGESTS = {"tiny-1.0.signet": "c0e57edde570f5f5fd8efd9836f87723ed0561e4d1472b60b28ae355a150c736"}


@pytest.mark.parametrize("path", SEALS, ids=lambda path: path.name)
def test_a_committed_seal_is_read_and_verified(path):
    assert open_seal(path).digest == DIGESTS[path.name]
    for engine in ("onnx", "openvino"):
        verdict = verify(path, engine=engine, precision="fp32")
        assert verdict.ok, verdict.message


def test_none_is_lost_and_all_are_small():
    assert {path.name for path in SEALS} == set(DIGESTS)
    for path in SEALS:
        assert sum(file.stat().st_size for file in path.rglob("*")) < 100_000
