"""The arithmetic of preprocessing inside a file is that of the reference, for every byte."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.errors import BadRequest, EngineError
from signet.exporting import preludes
from signet.graphs.onnx_files import runner
from signet.preprocessing import numeric
from signet.programs import Program
from signet.steps import Crop, Layout, Normalise, Order, Range, Read, Type

NUMBERS = st.floats(-300, 300, width=32)
SCALES = st.floats(2**-10, 10, width=32)
THREE = st.tuples(NUMBERS, NUMBERS, NUMBERS)
STDS = st.tuples(*[st.floats(2**-8, 100, width=32)] * 3)
STEPS = st.one_of(
    st.builds(Range, SCALES, NUMBERS),
    st.builds(Normalise, THREE, STDS),
    st.sampled_from([Order("BGR"), Order("RGB"), Layout("NCHW"), Layout("NHWC"), Type("float32")]),
)


def prelude(steps):
    nodes, constants = preludes.to_onnx(steps, "out")
    kinds_of = [step for step in steps if isinstance(step, Range | Normalise | Type)]
    floats = bool(kinds_of) and kinds_of[-1] != Type("uint8")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        nodes,
        "prelude",
        [helper.make_tensor_value_info(preludes.PICTURES, kinds.UINT8, [None, None, None, 3])],
        [helper.make_tensor_value_info("out", kinds.FLOAT if floats else kinds.UINT8, [None] * 4)],
        constants,
    )
    run = runner(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    return lambda pictures: run(pictures)[0]


@given(st.lists(STEPS, max_size=5))
def test_any_steps_are_those_of_the_reference(steps):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
    expected, got = numeric(pictures, steps), prelude(steps)(pictures)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    # Where a mean is taken from nearly itself, what remains is the rounding of what was there before.
    whole = max((float(np.abs(numeric(pictures, steps[:n])).max()) for n in range(len(steps) + 1)), default=1)
    factors = [1 / min(step.std) for step in steps if isinstance(step, Normalise)]
    factors += [step.scale for step in steps if isinstance(step, Range)]
    grown = float(np.prod([max(1.0, factor) for factor in factors]))
    assert np.abs(got.astype(float) - expected).max() <= 8 * preludes.ROUNDING * (whole + 300) * grown


@pytest.mark.parametrize(
    "steps",
    [
        (Type(), Range(1 / 255), Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), Layout()),
        (Range(1 / 127.5, -1.0), Layout()),
        (Order("BGR"), Layout(), Type(), Normalise((103.94, 116.78, 123.68), (1.0, 1.0, 1.0))),
        (Range(0.5), Type("uint8")),
        (),
    ],
)
def test_the_usual_programs_pass_the_check(steps):
    assert preludes.check(steps, prelude(steps)) <= 1e-4


def test_another_mean_is_caught():
    right = (Range(1 / 255), Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), Layout())
    wrong = (Range(1 / 255), Normalise((0.5, 0.5, 0.5001), (0.5, 0.5, 0.5)), Layout())
    with pytest.raises(EngineError, match="expected at most"):
        preludes.check(right, prelude(wrong))
    with pytest.raises(EngineError, match="Use --preprocessing out"):
        preludes.check(right, prelude(right[:2]))


def test_decoding_and_geometry_stay_outside():
    outside, inside = preludes.parts(Program((Read(), Crop(size=(4, 4)), Range(1 / 255), Layout())))
    assert outside.steps == (Read(), Crop(size=(4, 4)))
    assert inside == (Range(1 / 255), Layout())
    with pytest.raises(BadRequest, match="resampling stays outside"):
        preludes.parts(Program((Read(), Range(1 / 255), Crop(size=(4, 4)), Layout())))
