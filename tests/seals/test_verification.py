"""`verify` passes on every engine, and names the first stage that differs."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from signet.engines import on_openvino
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, BadRequest
from signet.networks import GraphFile, Pretrained, Variant
from signet.running import find_evidence
from signet.sealing import seal
from signet.seals import open_seal, pack
from signet.verification import verify

STAGES = ["integrity", "read", "orient", "resize", "crop", "normalise", "layout"]
ANSWER = ["network", "head", "answer", "decision"]
ORDER = {"step": "order", "order": "BGR"}


def _program(manifest):
    return manifest["card"]["program"]


def _step(manifest, name):
    return next(step for step in _program(manifest) if step["step"] == name)


def _shift_labels(manifest):
    labels = manifest["card"]["labels"]
    manifest["card"]["labels"] = labels[-1:] + labels[:-1]


EDITS = {
    "swapped channels before the layout": (lambda m: _program(m).insert(-1, ORDER), "layout"),
    "swapped channels at the end": (lambda m: _program(m).append(ORDER), "layout"),
    "swapped channels first of all": (lambda m: _program(m).insert(1, ORDER), "layout"),
    "swapped channels inside the normalisation": (
        lambda m: _program(m).insert(_program(m).index(_step(m, "normalise")), ORDER),
        "layout",
    ),
    "other mean": (lambda m: _step(m, "normalise").update(mean=[0.485, 0.456, 0.406]), "normalise"),
    "other std": (lambda m: _step(m, "normalise").update(std=[0.229, 0.224, 0.225]), "normalise"),
    "other range": (lambda m: _step(m, "range").update(scale=1.0), "normalise"),
    "no normalisation": (lambda m: _program(m).remove(_step(m, "normalise")), "normalise"),
    "other filter": (lambda m: _step(m, "resize").update(filter="hamming"), "resize"),
    "no antialias": (lambda m: _step(m, "resize").update(antialias=False), "resize"),
    "other size": (
        lambda m: _step(m, "resize").update(short=_step(m, "resize").get("short", 300) + 9),
        "resize",
    ),
    "other crop": (lambda m: _step(m, "crop").update(anchor="top-left"), "crop"),
    "an added crop": (
        lambda m: _program(m).insert(1, {"step": "crop", "fraction": 0.9}),
        "crop",
    ),
    "EXIF ignored": (lambda m: _step(m, "read").update(orient=False), "orient"),
    "grey": (lambda m: _step(m, "read").update(channels="L"), "read"),
    "no layout": (lambda m: _program(m).remove(_step(m, "layout")), "layout"),
    "a step that cannot be done": (
        lambda m: _step(m, "normalise").update(mean=[0.5], std=[0.5]),
        "normalise",
    ),
    "other temperature": (
        lambda m: m["card"]["output"].update(temperature=1.7) or m.update(calibration=None),
        "answer",
    ),
    "another head": (lambda m: m["card"]["output"].update(head="sigmoid"), "answer"),
    "already activated": (lambda m: m["card"]["output"].update(already_activated=True), "answer"),
    "a head of a later task": (lambda m: m["card"]["output"].update(head="yolox"), "head"),
    "another number of classes": (
        lambda m: m["card"].update(labels=None) or m["card"]["output"].update(classes=4),
        "head",
    ),
    "an output that is not there": (lambda m: m["card"]["output"].update(tensor="elsewhere"), "network"),
    "a golden image less": (lambda m: m["golden"]["images"].pop(), "read"),
    "a mean off by 1 of 255": (
        lambda m: _step(m, "normalise").update(mean=[v + 1 / 255 for v in _step(m, "normalise")["mean"]]),
        "normalise",
    ),
    "a range that overflows": (lambda m: _step(m, "range").update(scale=1e308), "normalise"),
    "a std that is nothing in float32": (
        lambda m: _step(m, "normalise").update(std=[1e-46, 1, 1]),
        "normalise",
    ),
    "shifted labels": (_shift_labels, "decision"),
    "one label": (lambda m: m["card"]["labels"].__setitem__(1, "else"), "decision"),
}


@pytest.mark.parametrize("engine", ["openvino", "onnx", "auto"])
def test_a_seal_passes(tiny, engine):
    seen = []
    verdict = verify(tiny, engine=engine, on_progress=seen.append)
    assert verdict.ok
    assert [stage.name for stage in verdict.stages] == STAGES + ANSWER
    assert verdict.first_divergence is None
    assert (verdict.agree, verdict.total) == (3, 3)
    assert verdict.digest == hashlib.sha256((tiny / "seal.json").read_bytes()).hexdigest()
    assert engine in (verdict.engine, "auto")
    assert "all 10 stages agree" in verdict.message
    assert len(seen) == 6
    assert json.loads(json.dumps(verdict.to_dict()))["decisions"] == {"agree": 3, "total": 3}


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
@pytest.mark.parametrize("name", EDITS)
def test_the_first_stage_that_differs_is_named(tiny, forge, engine, name):
    edit, stage = EDITS[name]
    forge(tiny, edit)
    verdict = verify(tiny, engine=engine)
    assert not verdict.ok
    assert verdict.first_divergence == stage, verdict.message
    assert repr(stage) in verdict.message
    assert next(check for check in verdict.stages if not check.ok).name == stage
    assert ".." not in verdict.message
    json.dumps(verdict.to_dict(), allow_nan=False)


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "graph.onnx", "seal.json", "golden/0.jpg", "README.md"]
)
def test_a_flipped_byte_fails_the_integrity_check_and_nothing_is_replayed(tiny, file, monkeypatch):
    _flip(tiny / file)
    monkeypatch.setattr("signet.verification.start", lambda *_: pytest.fail("an engine was opened"))
    verdict = verify(tiny)
    assert not verdict.ok
    assert verdict.first_divergence == "integrity"
    assert [stage.name for stage in verdict.stages] == ["integrity"]
    assert file in verdict.message
    assert verdict.digest == hashlib.sha256((tiny / "seal.json").read_bytes()).hexdigest()


def test_a_flipped_byte_in_a_label_is_an_integrity_failure(tiny):
    path = tiny / "seal.json"
    path.write_bytes(path.read_bytes().replace(b"left | right", b"left | rigit"))
    verdict = verify(tiny)
    assert verdict.first_divergence == "integrity"
    assert "seal.json" in verdict.message


def test_an_unlisted_file_and_a_higher_major(tiny, forge):
    (tiny / "more.bin").write_bytes(b"x")
    verdict = verify(tiny)
    assert verdict.first_divergence == "integrity"
    assert "more.bin" in verdict.message
    (tiny / "more.bin").unlink()
    forge(tiny, lambda m: m["format"].update(major=2))
    verdict = verify(tiny)
    assert verdict.first_divergence == "integrity"
    assert "major 2" in verdict.message


def test_a_digest_from_elsewhere_is_compared(tiny):
    digest = open_seal(tiny).digest
    assert verify(tiny, digest=digest.upper() + "\n").ok
    verdict = verify(tiny, digest="0" * 64)
    assert verdict.first_divergence == "integrity"
    assert digest in verdict.message


def test_a_zip_is_verified(tiny):
    path = pack(tiny)
    assert verify(path, engine="onnx").ok
    _flip(path)
    assert not verify(path, engine="onnx").ok


def test_what_is_asked_wrongly_is_an_error_and_no_verdict(tiny, tmp_path):
    with pytest.raises(BadInput):
        verify(tmp_path / "nothing.signet")
    with pytest.raises(BadRequest, match="no form"):
        verify(tiny, engine="torch")
    with pytest.raises(BadRequest, match="engine"):
        verify(tiny, engine="abacus")


def test_another_network_is_found_at_the_network(tiny, forge):
    path = tiny / "graph.onnx"
    data = path.read_bytes()
    weights = open_seal(tiny).weights
    assert weights is not None
    # One value of the head's bias, as stored in the graph.
    from safetensors.numpy import load_file

    bias = load_file(weights)["head.bias"].tobytes()
    assert data.count(bias) == 1
    other = data.replace(bias, np.array([3, -2, 1], np.float32).tobytes())
    path.write_bytes(other)
    entry = {"sha256": hashlib.sha256(other).hexdigest(), "size": len(other)}
    forge(tiny, lambda m: m["files"].update({"graph.onnx": entry}))
    for engine in ("onnx", "openvino"):
        assert verify(tiny, engine=engine).first_divergence == "network"


@pytest.mark.skipif(not on_openvino.has_bf16(), reason="this processor has no bf16")
def test_bf16_is_judged_by_decisions(tiny, forge):
    verdict = verify(tiny, engine="openvino", precision="bf16")
    assert verdict.ok, verdict.message
    assert verdict.precision == "bf16"
    forge(tiny, EDITS["other temperature"][0])
    assert verify(tiny, engine="openvino", precision="bf16").first_divergence == "answer"


def test_a_seals_own_evidence_counts_for_its_processor_and_version_only(tiny, monkeypatch):
    monkeypatch.setattr("signet.machine.processor", lambda: "this one")
    monkeypatch.setattr("signet.machine.version_of", {"openvino": "1.2"}.get)
    card = open_seal(tiny).card

    def known(**changes):
        fields = {"engine": "openvino", "version": "1.2", "processor": "this one", "precision": "bf16"}
        counts = {"compared": 200, "equal": 200, "golden": 4, "golden_equal": 4}
        variant = Variant(**{**fields, **counts, **changes})
        graph = GraphFile(tiny / "graph.onnx", "onnx", "0" * 64)
        evidence = find_evidence(Pretrained(card, (graph,), "d", "seal", (variant,)), None)
        return evidence and evidence.allows

    assert known() is True
    assert known(version="1.3") is None
    assert known(processor="another") is None
    assert known(engine="onnx") is None
    assert known(precision="int8") is None
    assert known(compared=4, equal=4) is False
    assert known(golden_equal=3, equal=199) is False
    assert known(compared=204, equal=204) is True
    assert known(compared=204, equal=202) is False
    assert known(compared=204, equal=203, golden_equal=3) is False


@pytest.fixture(scope="module")
def real(shared, photos, tmp_path_factory):
    """A real network, with its weights, from the mirror."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    images = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[:2] + list(photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNET_MIRROR", str(shared / "weights"))
        return seal("squeezenet1_0.dc_in1k", images, out=tmp_path_factory.mktemp("real") / "real.signet")


def test_a_real_network_passes_on_all_three_engines(real):
    for engine in ("torch", "openvino", "onnx"):
        verdict = verify(real, engine=engine, precision="fp32")
        assert verdict.ok, verdict.message
        assert verdict.engine == engine
        assert verdict.agree == verdict.total == 4


def test_a_real_network_fails_at_the_right_stage_on_torch(real, forge, tmp_path):
    cases = ("swapped channels before the layout", "other mean", "no antialias", "shifted labels")
    for place, name in enumerate(cases):
        folder = Path(shutil.copytree(real.path, tmp_path / f"{place}.signet"))
        edit, stage = EDITS[name]
        forge(folder, edit)
        verdict = verify(folder, engine="torch", settings=EngineSettings())
        assert verdict.first_divergence == stage, verdict.message


def test_a_real_networks_weights_are_guarded(real, tmp_path):
    folder = Path(shutil.copytree(real.path, tmp_path / "w.signet"))
    _flip(folder / "weights.safetensors")
    verdict = verify(folder, engine="torch")
    assert verdict.first_divergence == "integrity"
    assert "weights.safetensors" in verdict.message


def test_a_sealed_model_predicts_and_verifies_without_torch(tiny):
    import subprocess
    import sys

    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import signet\n"
        f"assert signet.verify({str(tiny)!r}).ok\n"
        f"with signet.load({str(tiny)!r}) as model: model({str(tiny / 'golden' / '0.jpg')!r})\n"
        f"signet.seal({str(tiny)!r}, out={str(tiny.parent / 'again.signet')!r})\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('timm', 'torchvision')]\n"
    )
    assert importlib.util.find_spec("signet")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
