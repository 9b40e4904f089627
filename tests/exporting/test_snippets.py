"""The program beside an exported file answers as the seal, and knows no Signet."""

from __future__ import annotations

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import signet
from signet.cards import OutputContract
from signet.exporting import ExportSettings, export
from signet.exporting.snippets import snippet_of
from signet.predictions import Classes
from signet.programs import Program
from signet.steps import Crop, Layout, Order, Pad, Range, Read, Resize, Type

FLOATS = (Type("float32"), Range(1 / 255), Layout("NCHW"))
PROGRAMS = {
    "letterbox": (Read(), Resize(size=(16, 12), fit="pad", rounding="round"), Pad(to=(16, 12), value=114)),
    "centre box": (Read(), Crop(fraction=0.875), Resize(size=(16, 12), fit="stretch", filter="lanczos")),
    "small stays": (
        Read(orient=False),
        Resize(short=400, upscale=False),
        Crop(size=(16, 12), fill=(9, 8, 7)),
    ),
    "grey": (
        Read(channels="L"),
        Resize(size=(30, 40), fit="stretch"),
        Crop(size=(16, 12), anchor="top-left"),
    ),
    "padded by the crop": (Read(), Resize(size=(9, 7), fit="stretch"), Crop(size=(16, 12), rounding="floor")),
}


def said(path, *images):
    """What the program writes, without Signet on its path."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-W", "error", str(path), *map(str, images)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=surroundings, cwd=path.parent, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def held_to(model, photographs, lines, most=1e-4):
    with signet.load(model, Classes, precision="fp32") as loaded:
        answers = loaded(photographs)
    for path, answer, line in zip(photographs, answers, lines, strict=True):
        first = answer.top(1)
        name, label, score = line.rsplit(" ", 2)
        assert name == f"{path}:"
        assert label == first.labels[0]
        assert float(score) == pytest.approx(float(first.scores[0]), abs=most)


@pytest.mark.parametrize(("to", "ending"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_a_snippet_answers_as_the_seal(tiny_seal, photographs, tmp_path, to, ending):
    assert export(tiny_seal, to, tmp_path / f"birds{ending}").notes == ()
    text = (tmp_path / "birds.py").read_text("utf-8")
    assert "signet" not in {
        name.name for node in ast.walk(ast.parse(text)) for name in getattr(node, "names", [])
    }
    held_to(tiny_seal.path, photographs, said(tmp_path / "birds.py", *photographs))


@pytest.mark.large
@pytest.mark.parametrize("to", ["torchscript", "torch-export"])
def test_a_snippet_of_torch_answers_as_the_seal(torch_seal, photographs, tmp_path, to):
    export(torch_seal, to, tmp_path / ("birds.pt2" if to == "torch-export" else "birds.torchscript"))
    held_to(torch_seal.path, photographs[:2], said(tmp_path / "birds.py", *photographs[:2]))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_snippet_prepares_images_as_any_program_says(make_seal, photographs, tmp_path, name):
    sealed = make_seal("other", program=Program((*PROGRAMS[name], *FLOATS)))
    export(sealed, "onnx", tmp_path / "birds.onnx", settings=ExportSettings(preprocessing="in"))
    held_to(sealed.path, photographs, said(tmp_path / "birds.py", *photographs))


def test_a_snippet_reads_the_answer_as_the_card_says(make_seal, photographs, tmp_path):
    output = OutputContract(
        head="softmax", tensor="logits", classes=5, features="features", drop_first=True, temperature=2.5
    )
    sealed = make_seal("background", output=output, labels=("bee", "cat", "dog", "elk"))
    export(sealed, "onnx", tmp_path / "birds.onnx")
    held_to(sealed.path, photographs, said(tmp_path / "birds.py", *photographs))


def test_a_vector_is_written_as_numbers(make_seal, photographs, tmp_path):
    output = OutputContract(head="embedding", tensor="features", width=8)
    sealed = make_seal("vectors", task="embed", output=output, labels=None)
    export(sealed, "onnx", tmp_path / "birds.onnx")
    (line,) = said(tmp_path / "birds.py", photographs[0])
    with signet.load(sealed.path, precision="fp32") as model:
        expected = model(photographs[0])[0].vector
    numbers = [float(number) for number in line.removeprefix(f"{photographs[0]}:").split()]
    assert numbers == pytest.approx(list(expected), rel=1e-4, abs=1e-5)


MODULES = "SIGNET_NODE_MODULES"


def node_folder(tmp_path):
    """A folder whose programs find onnxruntime-web, jpeg-js and pngjs."""
    modules = os.environ.get(MODULES)
    if shutil.which("node") is None or not modules:
        pytest.skip(
            f"{MODULES} names no node_modules with onnxruntime-web, jpeg-js and pngjs, or no node is here"
        )
    (tmp_path / "node_modules").symlink_to(modules)
    return tmp_path


@pytest.mark.large
@pytest.mark.parametrize("place", ["in", "out"])
@pytest.mark.parametrize("name", [*PROGRAMS, "usual"])
def test_a_snippet_of_javascript_answers_as_the_seal(make_seal, usual, photographs, tmp_path, name, place):
    folder = node_folder(tmp_path)
    steps = usual if name == "usual" else (*PROGRAMS[name], *FLOATS)
    sealed = make_seal("script", program=Program(steps))
    settings = ExportSettings(snippet="javascript", preprocessing=place)
    assert export(sealed, "onnx", folder / "birds.onnx", settings=settings).notes == ()
    # PNG files without EXIF: their decoders give the same bytes everywhere.
    plain = [photographs[0], *photographs[2:]]
    done = subprocess.run(
        ["node", "birds.mjs", *map(str, plain)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    held_to(sealed.path, plain, done.stdout.splitlines())


def test_a_snippet_of_javascript_is_for_onnx_and_is_one_program(tiny_seal, tmp_path):
    made = snippet_of(tiny_seal.card, "onnx", "javascript", "birds.onnx")
    assert made.text is not None
    assert "@" not in made.text.replace("user@", "")
    assert '"birds.onnx"' in made.text
    assert snippet_of(tiny_seal.card, "openvino", "javascript", "birds.xml").reason == (
        "JavaScript programs are for ONNX files"
    )
    if shutil.which("node"):
        (tmp_path / "birds.mjs").write_text(made.text, "utf-8")
        subprocess.run(["node", "--check", str(tmp_path / "birds.mjs")], check=True, timeout=60)


HEADERS = Path(__file__).parent / "headers"
ONNXRUNTIME = "SIGNET_ONNXRUNTIME"


def compiler():
    found = shutil.which("g++") or shutil.which("clang++")
    if found is None:
        pytest.skip("no C++ compiler is here")
    return [found, "-std=c++17", "-Wall", "-Wextra", "-Werror"]


def test_a_snippet_of_cpp_is_for_onnx_and_is_one_program(tiny_seal, tmp_path):
    hostile = ('a"b\\', "new\nline", "??/", "\u00e9\U0001f426", "\u202e")
    made = snippet_of(dataclasses.replace(tiny_seal.card, labels=hostile), "onnx", "cpp", "birds.onnx")
    assert made.text is not None
    assert '"birds.onnx"' in made.text
    assert r'"a\"b\\",' in made.text
    assert r'"\303\251\360\237\220\246"' in made.text
    assert (
        snippet_of(tiny_seal.card, "openvino", "cpp", "birds.xml").reason == "C++ programs are for ONNX files"
    )
    (tmp_path / "birds.cpp").write_text(made.text, "utf-8")
    check = [*compiler(), "-fsyntax-only", f"-I{HEADERS}", "birds.cpp"]
    done = subprocess.run(check, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr


def cpp_build(source):
    """The program of a C++ snippet, linked to the runtime that `SIGNET_ONNXRUNTIME` has."""
    folder = os.environ.get(ONNXRUNTIME)
    if not folder:
        pytest.skip(f"{ONNXRUNTIME} names no folder with ONNX Runtime's include, lib and stb_image.h")
    program = source.with_suffix("")
    places = [
        f"-I{folder}/include",
        "-isystem/usr/include/stb",
        f"-L{folder}/lib",
        f"-Wl,-rpath,{folder}/lib",
    ]
    # Warnings of the headers of others are not the program's.
    lenient = ["-Wno-error", "-w"]
    command = [*compiler(), *lenient, "-O1", *places, str(source), "-o", str(program), "-lonnxruntime"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.large
@pytest.mark.parametrize("place", ["in", "out"])
@pytest.mark.parametrize("name", [*PROGRAMS, "usual", "nearest"])
def test_a_snippet_of_cpp_answers_as_the_seal(make_seal, usual, photographs, tmp_path, name, place):
    nearest = (Read(), Resize(size=(16, 12), fit="stretch", filter="nearest"), *FLOATS)
    steps = {"usual": usual, "nearest": nearest}.get(name) or (*PROGRAMS[name], *FLOATS)
    sealed = make_seal("compiled", program=Program(steps))
    settings = ExportSettings(snippet="cpp", preprocessing=place)
    assert export(sealed, "onnx", tmp_path / "birds.onnx", settings=settings).notes == ()
    # PNG files without EXIF: their decoders give the same bytes everywhere.
    plain = [photographs[0], *photographs[2:]]
    command = [str(cpp_build(tmp_path / "birds.cpp")), *map(str, plain)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    held_to(sealed.path, plain, done.stdout.splitlines())


def test_what_has_no_short_program_says_why(tiny_seal):
    card = tiny_seal.card
    boxes = dataclasses.replace(card.output, head="yolov8", extra={})
    assert "yolov8" in snippet_of(dataclasses.replace(card, output=boxes), "onnx", "python", "x.onnx").reason
    sampled = Program((Read(), Resize(size=(8, 8), fit="stretch", antialias=False), *FLOATS))
    made = snippet_of(dataclasses.replace(card, program=sampled), "onnx", "python", "x.onnx")
    assert made.text is None
    assert "without antialias" in made.reason


def test_hostile_names_stay_words(tiny_seal):
    card = dataclasses.replace(tiny_seal.card, name='x"""\nimport os; os.remove("x")\n"""')
    made = snippet_of(card, "onnx", "python", 'a"b\\.onnx')
    assert made.text is not None
    tree = ast.parse(made.text)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "remove"]
    assert isinstance(tree.body[0], ast.Expr)


def test_the_order_of_channels_is_said_in_either_layout(tiny_seal):
    for steps in ((Order("BGR"), Layout()), (Layout(), Order("BGR"))):
        program = Program((Read(), Crop(size=(4, 4)), *steps))
        text = snippet_of(
            dataclasses.replace(tiny_seal.card, program=program), "onnx", "python", "x.onnx"
        ).text
        assert text is not None
        assert ("array[::-1]" in text) == (steps[0] == Layout())
