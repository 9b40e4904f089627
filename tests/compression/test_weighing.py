"""`weight_of`: counts by hand."""

import onnx

from signet.compression.weighing import weight_of


def test_two_pointwise_convolutions(place) -> None:
    found = weight_of(place.root / "plain.onnx")
    assert found.parameters == 12 + 12 + 3
    assert found.macs == 16 * 16 * (12 + 12)


def test_that_a_size_that_is_not_known_leaves_the_multiply_adds_open(place, tmp_path) -> None:
    model = onnx.load(place.root / "plain.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, tmp_path / "free.onnx")
    assert weight_of(tmp_path / "free.onnx").macs is None
