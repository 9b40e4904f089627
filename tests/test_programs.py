"""Programs as data: strict reading, exact round trips, and what they say of themselves."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet.errors import BadCard
from signet.programs import Program
from signet.steps import (
    STAGES,
    Crop,
    Filter,
    Layout,
    Normalise,
    Order,
    Pad,
    Range,
    Read,
    Resize,
    Step,
    Type,
)

SIDE = some.integers(1, 2000)
SIZE = some.tuples(SIDE, SIDE)
NUMBER = some.floats(allow_nan=False, allow_infinity=False, width=32, allow_subnormal=False)
POSITIVE = some.floats(0.001, 1000)
COLOUR = some.integers(0, 255) | some.tuples(*[some.integers(0, 255)] * 3)
FILTER = some.sampled_from(get_args(Filter))
SMOOTH = some.sampled_from(["nearest", "bilinear", "bicubic"])
ROUNDING = some.sampled_from(["floor", "round", "ceil"])
ANCHOR = some.sampled_from(["center", "top-left"])

STEPS = some.one_of(
    some.builds(Crop, size=SIZE, anchor=ANCHOR, rounding=ROUNDING, fill=COLOUR),
    some.builds(Crop, fraction=some.floats(0.01, 1), anchor=ANCHOR, rounding=ROUNDING, fill=COLOUR),
    some.builds(
        Resize,
        short=SIDE,
        longest=some.none() | SIDE,
        filter=FILTER,
        rounding=ROUNDING,
        upscale=some.booleans(),
    ),
    some.builds(
        Resize, size=SIZE, fit=some.sampled_from(["stretch", "pad"]), filter=SMOOTH, antialias=some.booleans()
    ),
    some.builds(Pad, to=SIZE, value=COLOUR, anchor=ANCHOR),
    some.builds(Pad, multiple=SIDE, value=COLOUR, anchor=ANCHOR),
    some.builds(Range, scale=NUMBER.filter(bool), offset=NUMBER),
    some.builds(Normalise, mean=some.tuples(*[NUMBER] * 3), std=some.tuples(*[POSITIVE] * 3)),
    some.builds(Order, order=some.sampled_from(["RGB", "BGR"])),
    some.builds(Layout, order=some.sampled_from(["NCHW", "NHWC"])),
    some.builds(Type, dtype=some.sampled_from(["uint8", "float32"])),
)
READ = some.builds(Read, channels=some.sampled_from(["RGB", "L"]), orient=some.booleans())
PROGRAMS = some.builds(lambda read, steps: Program((read, *steps)), READ, some.lists(STEPS, max_size=6))


@given(PROGRAMS)
def test_every_program_survives_json(program: Program) -> None:
    again = Program.from_list(json.loads(json.dumps(program.to_list())))
    assert again == program
    assert again.digest == program.digest
    assert all(isinstance(line, str) and line for line in program.words())


@given(PROGRAMS)
def test_the_parts_of_a_program_are_the_program(program: Program) -> None:
    geometric, numeric = program.split()
    assert geometric + numeric == program.steps
    assert not any(isinstance(step, Read | Crop | Resize | Pad) for step in numeric)
    assert isinstance(geometric[-1], Read | Crop | Resize | Pad)


@given(PROGRAMS, PROGRAMS)
def test_different_programs_have_different_digests(one: Program, other: Program) -> None:
    assert (one == other) == (one.digest == other.digest)


def test_every_field_is_written_and_the_digest_is_of_the_written_form() -> None:
    short, long = Program.from_list([{"step": "read"}]), Program((Read("RGB", True),))
    assert short.digest == long.digest
    assert long.to_list() == [{"step": "read", "channels": "RGB", "orient": True}]
    assert Program((Read(), Order())).digest != Program((Read(), Layout())).digest


READS = [{"step": "read"}]
BAD: dict[str, tuple[Any, str]] = {
    "no list": ({"step": "read"}, "expected a list of steps"),
    "a text": ("read", "expected a list of steps"),
    "nothing": ([], "first step to be 'read'"),
    "another beginning": ([{"step": "type"}], "first step to be 'read'"),
    "two beginnings": ([*READS, *READS], "one 'read', got several"),
    "a step that is a text": ([*READS, "crop"], '"step": NAME'),
    "a step without a name": ([*READS, {"size": [1, 1]}], "No program step named 'None'"),
    "a step with a list for a name": ([*READS, {"step": ["crop"]}], "No program step named"),
    "an unknown step": ([*READS, {"step": "resise"}], "Did you mean 'resize'"),
    "an unknown field": ([*READS, {"step": "resize", "shrot": 3}], "Did you mean 'short'"),
    "a field of another step": (
        [*READS, {"step": "layout", "mean": [1]}],
        "No field of step 'layout' named 'mean'",
    ),
    "a missing field": ([*READS, {"step": "normalise", "mean": [1, 2, 3]}], "std"),
    "crop of nothing": ([*READS, {"step": "crop"}], "either 'size' or 'fraction'"),
    "crop of both": ([*READS, {"step": "crop", "size": [1, 1], "fraction": 0.5}], "one of the two"),
    "crop of more than all": ([*READS, {"step": "crop", "fraction": 1.1}], "up to 1"),
    "crop of none of it": ([*READS, {"step": "crop", "fraction": 0}], "above 0"),
    "resize to nothing": ([*READS, {"step": "resize"}], "takes 'short'"),
    "resize to two things": ([*READS, {"step": "resize", "short": 3, "size": [1, 1]}], "no 'size'"),
    "stretch without a size": ([*READS, {"step": "resize", "fit": "stretch"}], "takes 'size'"),
    "stretch with a short side": (
        [*READS, {"step": "resize", "fit": "stretch", "size": [1, 1], "short": 3}],
        "no 'short'",
    ),
    "no antialias there": (
        [*READS, {"step": "resize", "short": 3, "filter": "lanczos", "antialias": False}],
        "antialias only",
    ),
    "pad to nothing": ([*READS, {"step": "pad"}], "either 'to' or 'multiple'"),
    "means and stds": ([*READS, {"step": "normalise", "mean": [1], "std": [1, 2]}], "as many means as stds"),
    "std of zero": ([*READS, {"step": "normalise", "mean": [1], "std": [0]}], "no std of zero"),
    "no means": ([*READS, {"step": "normalise", "mean": [], "std": []}], "as many means"),
}
VALUES: list[tuple[dict[str, Any], str]] = [
    ({"step": "read", "channels": "BGR"}, "channels is one of 'RGB', 'L'"),
    ({"step": "read", "channels": ["RGB"]}, "channels is one of"),
    ({"step": "read", "orient": 1}, "orient is true or false"),
    ({"step": "crop", "size": 224}, "size is .height, width."),
    ({"step": "crop", "size": [224]}, "size is .height, width."),
    ({"step": "crop", "size": [0, 224]}, "size is .height, width."),
    ({"step": "crop", "size": [-1, 224]}, "size is .height, width."),
    ({"step": "crop", "size": [True, 224]}, "size is .height, width."),
    ({"step": "crop", "size": [224.0, 224]}, "size is .height, width."),
    ({"step": "crop", "size": [2**40, 224]}, "size is .height, width."),
    ({"step": "crop", "size": [9, 9], "anchor": "middle"}, "anchor is one of 'center', 'top-left'"),
    ({"step": "crop", "size": [9, 9], "rounding": "up"}, "rounding is one of"),
    ({"step": "crop", "size": [9, 9], "fill": 256}, "fill is 0 to 255"),
    ({"step": "crop", "size": [9, 9], "fill": [1, 2]}, "fill is 0 to 255"),
    ({"step": "crop", "size": [9, 9], "fill": [1, 2, -3]}, "fill is 0 to 255"),
    ({"step": "crop", "size": [9, 9], "fill": True}, "fill is 0 to 255"),
    ({"step": "crop", "fraction": "half"}, "fraction is a number"),
    ({"step": "crop", "fraction": True}, "fraction is a number"),
    ({"step": "resize", "short": 0}, "short is a whole number"),
    ({"step": "resize", "short": True}, "short is a whole number"),
    ({"step": "resize", "short": 2.5}, "short is a whole number"),
    ({"step": "resize", "short": None}, "short is a whole number"),
    ({"step": "resize", "short": 3, "longest": "4"}, "longest is a whole number"),
    ({"step": "resize", "short": 3, "fit": "long"}, "fit is one of"),
    ({"step": "resize", "short": 3, "filter": "cubic"}, "filter is one of"),
    ({"step": "resize", "short": 3, "antialias": "no"}, "antialias is true or false"),
    ({"step": "resize", "short": 3, "upscale": 0}, "upscale is true or false"),
    ({"step": "pad", "multiple": 0}, "multiple is a whole number"),
    ({"step": "pad", "multiple": 4, "value": "white"}, "value is 0 to 255"),
    ({"step": "range", "scale": float("nan")}, "scale is a number"),
    ({"step": "range", "offset": float("inf")}, "offset is a number"),
    ({"step": "range", "offset": [1]}, "offset is a number"),
    ({"step": "normalise", "mean": 0.5, "std": [1]}, "mean is a list of numbers"),
    ({"step": "normalise", "mean": ["a"], "std": [1]}, "mean is a list of numbers"),
    ({"step": "normalise", "mean": [1], "std": [float("nan")]}, "std is a list of numbers"),
    ({"step": "normalise", "mean": [1], "std": [True]}, "std is a list of numbers"),
    ({"step": "order", "order": "RBG"}, "order is one of 'RGB', 'BGR'"),
    ({"step": "order", "order": "NCHW"}, "order is one of 'RGB', 'BGR'"),
    ({"step": "layout", "order": "BGR"}, "order is one of 'NCHW', 'NHWC'"),
    ({"step": "type", "dtype": "float16"}, "dtype is one of"),
]


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_program_is_refused(case: str) -> None:
    steps, words = BAD[case]
    with pytest.raises(BadCard, match=words):
        Program.from_list(steps)


@pytest.mark.parametrize(("step", "words"), VALUES, ids=[f"{step} {words}"[:70] for step, words in VALUES])
def test_a_value_out_of_range_is_refused_with_what_is_in_it(step: dict[str, Any], words: str) -> None:
    before = [] if step["step"] == "read" else READS
    with pytest.raises(BadCard, match=f"{step['step']}.*{words}.*got"):
        Program.from_list([*before, step])


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(BadCard) as caught:
        Program.from_list([*READS, {"step": "range", "scale": "9" * 10_000}])
    assert len(str(caught.value)) < 200


@given(
    some.recursive(
        some.none() | some.booleans() | some.integers() | some.floats(allow_subnormal=False) | some.text(),
        lambda inner: (
            some.lists(inner, max_size=3)
            | some.dictionaries(some.sampled_from(["step", "size", "short", "mean"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_no_json_makes_another_error_than_ours(value: Any) -> None:
    for steps in (value, [value], [*READS, value], [*READS, {"step": "crop", "size": value}]):
        try:
            program = Program.from_list(steps)
        except BadCard:
            continue
        assert Program.from_list(program.to_list()) == program


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ((), None),
        ((Resize(short=256),), None),
        ((Resize(short=256), Crop(size=(224, 200))), (224, 200)),
        ((Resize(size=(9, 8), fit="stretch"),), (9, 8)),
        ((Resize(size=(9, 8), fit="pad"),), None),
        ((Resize(size=(9, 8), fit="pad"), Pad(to=(9, 8))), (9, 8)),
        ((Resize(size=(9, 8), fit="pad", upscale=False), Pad(to=(10, 8))), (10, 8)),
        ((Resize(size=(9, 8), fit="pad"), Pad(to=(9, 7))), None),
        ((Pad(to=(9, 8)),), None),
        ((Resize(size=(9, 8), fit="stretch", upscale=False),), None),
        ((Crop(size=(5, 5)), Crop(fraction=0.5)), None),
        ((Crop(size=(5, 5)), Pad(multiple=4)), None),
        ((Crop(size=(5, 5)), Type(), Layout()), (5, 5)),
    ],
)
def test_the_size_of_the_input_is_known_when_the_last_step_fixes_it(
    steps: tuple[Step, ...], size: Any
) -> None:
    assert Program((Read(), *steps)).input_size() == size


def test_each_step_has_a_stage_of_the_frozen_list_and_a_name_of_its_own() -> None:
    kinds = get_args(Step)
    assert {kind.stage for kind in kinds} <= set(STAGES)
    assert len({kind.name for kind in kinds}) == len(kinds)
    assert STAGES == (
        "read",
        "orient",
        "resize",
        "crop",
        "normalise",
        "layout",
        "network",
        "head",
        "answer",
        "decision",
    )


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Read(orient=False), "read as RGB, EXIF orientation ignored"),
        (Crop(size=(224, 200)), "crop 224x200 from the center"),
        (
            Crop(fraction=0.875, anchor="top-left"),
            "crop a square of 0.875 of the short side from the top-left",
        ),
        (Resize(short=800, longest=1333), "resize the short side to 800 (long side at most 1333), bilinear"),
        (
            Resize(size=(9, 8), fit="pad", antialias=False),
            "resize to fit inside 9x8, bilinear without antialias",
        ),
        (Resize(size=(9, 8), fit="stretch", filter="bicubic"), "resize straight to 9x8, bicubic"),
        (Pad(multiple=32, value=114), "pad to a multiple of 32 with 114, picture at the center"),
        (Pad(to=(9, 8)), "pad to 9x8 with 0, picture at the center"),
        (Range(1 / 127.5, -1.0), "range 0..255 to -1..1"),
        (Normalise((0.485,), (0.229,)), "subtract mean (0.485), divide by std (0.229)"),
        (Order("BGR"), "channels in order BGR"),
        (Layout("NHWC"), "axes in order NHWC"),
        (Type("uint8"), "values as uint8"),
    ],
)
def test_a_step_in_words(step: Step, words: str) -> None:
    assert step.words() == words


def test_steps_and_programs_are_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Range().scale = 2.0
    assert hash(Program((Read(), Type()))) == hash(Program((Read(), Type())))


def test_a_range_of_zero_is_refused() -> None:
    """Every picture would become the same, and an engine that fuses it divides by the scale."""
    with pytest.raises(BadCard, match="range: expected a scale other than zero"):
        Program.from_list([{"step": "read"}, {"step": "range", "scale": 0}])
