"""Evidence that somebody changed, or that is none: always a verdict, and the right one."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from signet.seals import Expected
from signet.verification import verify


def _with_expected(folder, forge, change):
    """Change the evidence itself, digests and all."""
    path = folder / "golden" / "expected.safetensors"
    data = change(Expected.from_file(path)).to_bytes()
    path.write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    forge(folder, lambda m: m["files"].update({"golden/expected.safetensors": entry}))


@pytest.mark.parametrize(("levels", "stage"), [(1, None), (2, "resize")])
def test_another_pillow_may_differ_by_one_level_and_it_is_said(tiny, forge, levels, stage):
    def change(expected):
        resized = expected.tensors["0/resize"].astype(int)
        moved = np.where(resized > 100, resized - levels, resized + levels).astype(np.uint8)
        versions = {**expected.versions, "pillow": "1.7"}
        return dataclasses.replace(
            expected, tensors={**expected.tensors, "0/resize": moved}, versions=versions
        )

    _with_expected(tiny, forge, change)
    verdict = verify(tiny)
    assert verdict.first_divergence == stage
    note = next(check.note for check in verdict.stages if check.name == "resize")
    assert "sealed with pillow 1.7" in note


def test_the_same_pillow_may_not_differ_at_all(tiny, forge):
    def change(expected):
        picture = expected.tensors["1/crop"].copy()
        picture[0, 0, 0] ^= 1
        return dataclasses.replace(expected, tensors={**expected.tensors, "1/crop": picture})

    _with_expected(tiny, forge, change)
    assert verify(tiny).first_divergence == "crop"


@pytest.mark.parametrize("data", [b"", b"x" * 100, (2**60).to_bytes(8, "little") + b"{}"])
def test_evidence_that_is_none_is_no_crash(tiny, forge, data):
    (tiny / "golden" / "expected.safetensors").write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    forge(tiny, lambda m: m["files"].update({"golden/expected.safetensors": entry}))
    verdict = verify(tiny)
    assert verdict.first_divergence == "integrity"
    assert "expected.safetensors" in verdict.message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("0/network", np.array([np.nan, 0, 0], np.float32)),
        ("0/network", np.array([-np.inf, 0, 0], np.float32)),
        ("0/answer", np.array([np.inf, 0, 0], np.float32)),
        ("1/decision", np.array([np.nan], np.float32)),
    ],
)
def test_evidence_that_is_no_number_is_refused(tiny, forge, name, values):
    def change(expected):
        return dataclasses.replace(expected, tensors={**expected.tensors, name: values})

    _with_expected(tiny, forge, change)
    verdict = verify(tiny)
    assert verdict.first_divergence == "integrity"
    assert "finite" in verdict.message
    json.dumps(verdict.to_dict(), allow_nan=False)


@pytest.mark.parametrize("stage", ["\x1b[31m", "", "integrity", "crop.0", "crop2", "explode"])
def test_stages_have_frozen_names(tiny, forge, stage):
    _with_expected(tiny, forge, lambda found: dataclasses.replace(found, stages=(stage, *found.stages)))
    verdict = verify(tiny)
    assert verdict.first_divergence == "integrity"
    assert "expected stages of read, orient" in verdict.message
    assert "\x1b" not in verdict.message


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "BF16", "F16", "F64", "BOOL"])
def test_evidence_of_other_types_is_no_crash(tiny, forge, dtype):
    size = {"F64": 8, "BF16": 2, "F16": 2}.get(dtype, 1)
    facts = {"stages": ["read"], "labels_sha256": "", "versions": {}, "reference": ""}
    entry = {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"signet": json.dumps(facts)}, "0/read": entry}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(size)
    (tiny / "golden" / "expected.safetensors").write_bytes(data)
    listed = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    forge(tiny, lambda m: m["files"].update({"golden/expected.safetensors": listed}))
    assert verify(tiny).first_divergence == "integrity"


def test_missing_tensors_are_a_divergence(tiny, forge):
    def change(expected):
        tensors = {key: value for key, value in expected.tensors.items() if key != "2/crop"}
        return dataclasses.replace(expected, tensors=tensors)

    _with_expected(tiny, forge, change)
    assert verify(tiny).first_divergence == "crop"


def test_evidence_without_any_tensor_of_an_image_does_not_pass(tiny, forge):
    def change(expected):
        tensors = {key: value for key, value in expected.tensors.items() if not key.startswith("2/")}
        return dataclasses.replace(expected, tensors=tensors)

    _with_expected(tiny, forge, change)
    assert not verify(tiny).ok


def test_stages_that_are_left_out_of_the_evidence_do_not_pass(tiny, forge):
    def change(expected):
        drop = ("network", "head", "answer", "decision", "label", "features")
        tensors = {k: v for k, v in expected.tensors.items() if k.split("/")[1] not in drop}
        return dataclasses.replace(expected, tensors=tensors)

    _with_expected(tiny, forge, change)
    assert verify(tiny).first_divergence == "network"
