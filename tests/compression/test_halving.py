"""Weights in 16 bits: rounded as the formats say, half the bytes, and a seal that passes the same gate."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from signet.compression import compress
from signet.compression.halving import _narrowed, halved
from signet.compression.layers import quantized_layers, read
from signet.errors import BadInput, BadRequest
from signet.graphs.opening import is_quantized, open_graph
from signet.seals import open_seal

ml_dtypes = pytest.importorskip("ml_dtypes")


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-60000, 60000, width=32)))
def test_that_values_are_rounded_to_nearest(values: np.ndarray) -> None:
    half = _narrowed(values, "fp16", "a weight")
    assert half.tobytes() == values.astype(np.float16).tobytes()
    brain = _narrowed(values, "bf16", "a weight")
    assert brain.tobytes() == values.astype(ml_dtypes.bfloat16).tobytes()


@pytest.mark.parametrize("to", ["fp16", "bf16"])
def test_that_the_result_passes_and_answers_nearly_as_before(place, tmp_path: Path, to: str) -> None:
    settings = place.settings(calibration=None)
    found = compress(place.seal("plain"), place.data, to=to, out=tmp_path / "half.signet", settings=settings)
    assert found.passed
    assert found.seal is not None
    assert found.chosen.ruling.count == 30  # nothing calibrates, so all images judge
    assert found.target == to
    assert found.parent == open_seal(place.seal("plain")).digest
    assert set(found.verdicts) == {"onnx", "openvino"}
    assert all(one.ok for one in found.verdicts.values())
    assert not is_quantized(open_graph(found.seal.graphs["image"]))
    assert found.seal.card.name == f"tests/plain-{to}"


def test_what_is_refused(place, tmp_path: Path, sealed) -> None:
    with pytest.raises(BadRequest, match="only int8 has a use for it"):
        compress(
            place.seal("plain"), place.data, to="fp16", out=tmp_path / "a.signet", settings=place.settings()
        )
    settings = place.settings(calibration=None)
    with pytest.raises(BadRequest, match="one that is quantized"):
        compress(sealed, place.data, to="bf16", out=tmp_path / "a.signet", settings=settings)
    with pytest.raises(BadInput, match="Use --to bf16"):
        _narrowed(np.array([[70000.0]], np.float32), "fp16", "a weight")


def test_that_kernels_are_narrow_and_biases_are_not(place, tmp_path: Path) -> None:
    import onnx

    parent = open_seal(place.seal("plain"))
    graph = halved(parent, "bf16", tmp_path / "half.onnx")
    kinds = {one.name: one.data_type for one in onnx.load(graph.path).graph.initializer}
    assert kinds["first@half"] == kinds["second@half"] == onnx.TensorProto.BFLOAT16
    assert kinds["bias"] == onnx.TensorProto.FLOAT


def test_that_int8_can_be_made_of_weights_in_16_bits(place, tmp_path: Path) -> None:
    settings = place.settings(calibration=None)
    half = compress(
        place.seal("plain"), place.data, to="fp16", out=tmp_path / "half.signet", settings=settings
    )
    assert half.seal is not None
    found = compress(half.seal, place.data, out=tmp_path / "int8.signet", settings=place.settings())
    assert found.passed
    assert found.seal is not None
    assert {layer.name for layer in quantized_layers(read(found.seal.graphs["image"]))} >= {"spread", "judge"}
