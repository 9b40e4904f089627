"""Answers are the peers' own: a few small architectures of each zoo; `make peers` compares them all."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.architectures.catalogue import ARCHITECTURES
from signet.catalogue import index

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 8
LIBRARIES = {"keras": ("keras", "h5py"), "open_clip": ("open_clip",), "transformers": ("transformers",)}
THROUGH = ("timm/test_efficientnet.r160_in1k", "keras/mobilenetv2_035_96.imagenet")
AND_ONNX = "timm/test_resnet.r160_in1k"
"""Those that are also run through another engine here."""


@pytest.fixture(scope="module")
def peers_identity(monkeypatch_module: pytest.MonkeyPatch) -> ModuleType:
    """The module benchmarks/peers_identity.py."""
    for package in ("torch", "torchvision", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch_module.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("peers_identity")


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    """Undone when this file is done."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def identity(peers_identity: ModuleType) -> ModuleType:
    """The package benchmarks/identity."""
    import identity.cases
    import identity.comparing

    return identity


@pytest.fixture(scope="module", autouse=True)
def _as_before() -> Any:
    """The threads of torch are what they were."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def engines(name: str) -> tuple[str, ...]:
    return ("onnx",) if name == AND_ONNX else ("openvino",) if name in THROUGH else ()


@pytest.mark.parametrize(
    "name",
    [
        "timm/test_resnet.r160_in1k",
        "timm/test_efficientnet.r160_in1k",
        "timm/levit_128s.fb_dist_in1k",
        "torchvision/shufflenet_v2_x0_5.imagenet1k_v1",
        "torchvision/googlenet.imagenet1k_v1",
        "torchvision/mnasnet0_5.imagenet1k_v1",
        "transformers/google/mobilenet_v2_1.0_224",
        "transformers/facebook/dinov2-small",
        "open_clip/RN50.openai",
        "signet/efficientnet_b0",
        "keras/mobilenetv2_035_96.imagenet",
        "keras/mobilenetv3small_minimalistic.imagenet",
    ],
)
def test_answers_and_pixels_are_the_peers_own(
    name: str, identity: ModuleType, shared: Path, tmp_path: Path
) -> None:
    for package in LIBRARIES.get(name.partition("/")[0], ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    images = identity.comparing.odd_images(shared / "data" / "imagenet_sample_250", IMAGES)
    found = identity.comparing.measure(identity.cases.case(name), tmp_path, images, engines(name), 2)
    assert not found.faults
    assert set(found.engines) == set(engines(name))


def test_sixty_architectures_over_all_zoos_are_compared(identity: ModuleType) -> None:
    least = {"timm": 22, "torchvision": 12, "transformers": 10, "open_clip": 3, "keras": 10, "signet": 4}
    cases = identity.cases.CASES
    assert len({case.name for case in cases}) == len(cases) >= 60
    for zoo, count in least.items():
        assert sum(case.zoo == zoo for case in cases) >= count, zoo
    for case in cases:
        if case.zoo == "signet":
            assert case.name.partition("/")[2] in ARCHITECTURES
        elif case.zoo != "transformers":
            assert index.has(case.name), case.name


def test_the_kept_results_are_of_all_of_them(peers_identity: ModuleType, identity: ModuleType) -> None:
    with peers_identity.RESULTS.open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert [case.name for case in identity.cases.CASES] == list(rows)
    assert {row["verdict"] for row in rows.values()} == {peers_identity.IDENTICAL}
    assert all(float(row["pixels"]) <= identity.comparing.PIXELS for row in rows.values())
    assert all(float(row["openvino"]) <= identity.comparing.ENGINE for row in rows.values())
    assert sum(bool(row["onnx"]) for row in rows.values()) >= 10


def test_a_difference_is_seen(identity: ModuleType) -> None:
    """The comparison itself: one weight, one pixel, an answer that is the same for all images."""
    comparing = identity.comparing
    peer = identity.peers.Peer(answer=lambda batch: batch, pixels=lambda path: np.zeros(1))
    good = {
        "torch": 0.0,
        "torch_relative": 0.0,
        "double": None,
        "rounding": None,
        "engines": {"openvino": 1e-5},
        "pixels": 0.0,
        "default_levels": None,
        "spread": 0.3,
        "seconds": 1.0,
    }
    answers = np.ones((2, 3))

    def faults(**changes: Any) -> list[str]:
        return list(comparing._faults(comparing.Result(**{**good, **changes}), peer, answers))

    assert not faults()
    assert "torch is not equal" in faults(torch=1e-9, torch_relative=1e-9)[0]
    assert "openvino" in faults(engines={"openvino": 2e-4})[0]
    assert "openvino" in faults(engines={"openvino": float("nan")})[0]
    assert "pixels" in faults(pixels=1 / 255)[0]
    assert "proves nothing" in faults(spread=1e-3)[0]
    assert "float64" in faults(double=1e-9)[0]
    other = identity.peers.Peer(answer=lambda batch: batch, pixels=lambda path: np.zeros(1), exact=False)
    near = comparing.Result(**{**good, "torch": 1.0, "torch_relative": 3e-6, "rounding": 1e-6})
    assert not list(comparing._faults(near, other, answers))
    far = comparing.Result(**{**good, "torch": 1.0, "torch_relative": 9e-6, "rounding": 1e-6})
    assert list(comparing._faults(far, other, answers)) == ["torch 9e-06"]


def test_a_run_goes_on_where_it_was(
    peers_identity: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    measured: list[str] = []

    def child(name: str, _: Any) -> dict[str, Any]:
        measured.append(name)
        bad = len(measured) == 1
        return {"verdict": "failed: killed" if bad else peers_identity.IDENTICAL, "pixels": 0.0}

    names = ["timm/test_resnet.r160_in1k", "timm/test_vit.r160_in1k"]
    out = tmp_path / "rows.csv"
    monkeypatch.setattr(peers_identity, "in_a_child", child)
    monkeypatch.setattr("sys.argv", ["peers_identity.py", "--out", str(out), "--only", *names])
    assert peers_identity.main() == 1
    assert peers_identity.main() == 0
    assert measured == [*names, names[0]]
    assert [row["verdict"] for row in peers_identity.kept(out)] == [peers_identity.IDENTICAL] * 2
    assert peers_identity.main() == 0
    assert len(measured) == 3
