"""`signet benchmark`: the figures and their names, never their size."""

from __future__ import annotations

import json
import re
import weakref

import pytest

from signet import measuring

KEYS = [
    "images_per_second", "milliseconds", "stages", "ceiling", "engine", "precision", "peak_memory_bytes",
    "first_prediction_seconds", "count",
]  # fmt: skip


@pytest.fixture(autouse=True)
def shortly(monkeypatch):
    """A stage is measured over a moment: here only the form of the figures counts."""
    monkeypatch.setattr(measuring, "STAGE_SECONDS", 0.0)


def test_json_has_the_keys_of_the_contract(signet, classifier, pictures):
    ran = signet("benchmark", classifier, *pictures[:2], "nothing.jpg", "--repeats", "1", "--json")
    assert ran.code == 0
    plain = ran.object
    assert list(plain) == KEYS
    assert list(plain["milliseconds"]) == ["p50", "p95", "p99"]
    assert list(plain["stages"]) == ["read", "resize", "network", "answer"]
    assert list(plain["ceiling"]) == ["read", "resize", "network", "together", "share"]
    assert (plain["engine"], plain["precision"], plain["count"]) == ("openvino", "fp32", 2)
    figures = [plain["images_per_second"], *plain["milliseconds"].values(), *plain["ceiling"].values()]
    assert all(figure > 0 for figure in figures)
    alone = [plain["ceiling"][stage] for stage in ("read", "resize", "network")]
    assert plain["ceiling"]["together"] == pytest.approx(1 / sum(1 / rate for rate in alone), rel=0.01)
    reached = plain["images_per_second"] / plain["ceiling"]["together"]
    assert plain["ceiling"]["share"] == pytest.approx(reached, rel=0.01)


def test_for_a_person(signet, classifier, pictures):
    ran = signet("benchmark", classifier, pictures[0], "--repeats", "1", "--engine", "onnx")
    assert ran.code == 0
    assert ran.out.splitlines()[0].split()[:3] == ["engine", "precision", "images/s"]
    assert ran.out.splitlines()[1].split()[:2] == ["onnx", "fp32"]
    assert "first prediction after" in ran.out
    limit = next(line for line in ran.out.splitlines() if line.startswith("ceiling of onnx fp32, images/s"))
    assert re.search(r"read [\d,]+, resize [\d,]+, network [\d,]+ alone, [\d,]+ together; \d+% of it", limit)


def test_auto_remembers_what_compare_found_fastest(signet, classifier, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path))
    ran = signet("benchmark", classifier, *pictures[:2], "--repeats", "1", "--compare", "--json")
    assert ran.code == 0
    assert [row["engine"] for row in ran.object["compared"]] == ["openvino", "onnx"]
    assert "torch" in ran.err
    (kept,) = (tmp_path / "engines" / "measured").iterdir()
    row = json.loads(kept.read_text())
    assert set(row["images_per_second"]) == {"openvino", "onnx"}
    row["fastest"] = "onnx"
    kept.write_text(json.dumps(row))
    assert ": onnx " in signet("predict", classifier, pictures[0]).err


def test_none_readable_is_said(signet, classifier):
    ran = signet("benchmark", classifier, "nothing.jpg", "--json")
    assert ran.code == 1
    assert "none of 1 inputs can be read" in ran.object["error"]["message"]


def test_memory_does_not_grow_with_the_number_of_images(signet, classifier, pictures, monkeypatch):
    read, held = measuring.read, []
    most = 0

    def counted(path):
        nonlocal most
        image = read(path)
        held.append(weakref.ref(image.pixels))
        most = max(most, sum(one() is not None for one in held))
        return image

    monkeypatch.setattr(measuring, "read", counted)
    monkeypatch.setattr(measuring, "SAMPLE_IMAGES", 3)
    ran = signet("benchmark", classifier, *pictures, "--json", "--repeats", 1)
    assert (ran.code, ran.object["count"]) == (0, 12)
    assert most <= 3 + 2
