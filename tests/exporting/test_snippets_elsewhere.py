"""Programs for systems that are not here: what they say, since they cannot be run."""

from __future__ import annotations

import dataclasses
import re

import pytest

from signet.cards import OutputContract
from signet.exporting.snippets import snippet_of
from signet.programs import Program
from signet.steps import Crop, Layout, Pad, Range, Read, Resize, Type

BRACKETS = {"(": ")", "[": "]", "{": "}"}
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|[()\[\]{}]', re.DOTALL)


def balanced(text):
    """Whether brackets outside of comments and literals close in the order that they open in."""
    waiting = []
    for token in TOKEN.findall(text):
        if token in BRACKETS:
            waiting.append(BRACKETS[token])
        elif token in BRACKETS.values() and (not waiting or waiting.pop() != token):
            return False
    return not waiting


WAYS = [("kotlin", "onnx"), ("kotlin", "litert"), ("swift", "onnx"), ("swift", "coreml")]


def text_of(card, to, language, file="birds.model"):
    made = snippet_of(card, to, language, file)
    assert made.text is not None, made.reason
    # The first line has the model's name, which may look like a place.
    assert not re.search("@[A-Z]+@", made.text.split("\n", 1)[1])
    assert balanced(made.text)
    assert "NOT RUN BY SIGNET" in made.text
    return made.text


@pytest.fixture
def card(tiny_seal):
    output = OutputContract(head="softmax", tensor=0, classes=6, drop_first=True, temperature=2.5)
    lineage = {"exported_from": {"outputs": ["logits", "features"], "inside": []}}
    return dataclasses.replace(tiny_seal.card, output=output, lineage=lineage)


@pytest.mark.parametrize(("language", "to"), WAYS)
def test_the_numbers_of_the_program_are_said(card, language, to):
    text = text_of(card, to, language)
    for line in (
        'picture = resize(picture, shortSide(picture, 20, "floor"), "bicubic", true)',
        'picture = cut(picture, sized(12, 16), colour(0, 0, 0), "center", "round")',
        "value = scaled(value, 0.00392156862745098, 0.0)",
        "value = less(value, channel(c, 0.485, 0.456, 0.406))",
        "value = over(value, channel(c, 0.229, 0.224, 0.225))",
    ):
        assert f"    {line}\n" in text
    for name, value in {
        "BACKWARDS": "true",
        "HEAD": '"softmax"',
        "TEMPERATURE": "2.5",
        "ORIENT": "true",
    }.items():
        assert re.search(rf"\b{name} = {re.escape(value)}( |\n)", text, re.IGNORECASE)
    assert re.search(r"\bdrop_?first = true ", text, re.IGNORECASE)


@pytest.mark.parametrize(("language", "to"), WAYS)
def test_other_programs_are_said(card, language, to):
    steps = (
        Read(orient=False, channels="L"),
        Resize(size=(16, 12), fit="pad", rounding="ceil", filter="lanczos", upscale=False),
        Pad(to=(16, 12), value=(1, 2, 3), anchor="top-left"),
        Crop(fraction=0.875, rounding="floor"),
        Range(2.0, -1.0),
        Type("uint8"),
        Layout("NHWC"),
    )
    text = text_of(dataclasses.replace(card, program=Program(steps)), to, language)
    for line in (
        'picture = resize(picture, inside(picture, 12, 16, "ceil"), "lanczos", false)',
        'picture = cut(picture, atLeast(picture, 12, 16), colour(1, 2, 3), "top-left", "round")',
        'picture = cut(picture, square(picture, 0.875), colour(0, 0, 0), "center", "floor")',
        "value = scaled(value, 2.0, -1.0)",
        "value = toByte(value)",
    ):
        assert f"    {line}\n" in text
    for name in ("ORIENT", "BACKWARDS", "FLOATS"):
        assert re.search(rf"\b{name} = false", text, re.IGNORECASE)
    assert re.search(r"\bgrey = true", text, re.IGNORECASE)


@pytest.mark.parametrize(("language", "to"), WAYS)
def test_hostile_names_stay_words(card, language, to):
    hostile = dataclasses.replace(card, name='@FILE@ */ "\n}; fatalError() //')
    text = text_of(hostile, to, language, 'a"b\\(c)${d}\u202e.model')
    assert "\u202e" not in text
    assert not re.search(r"^\s*}; fatal", text, re.MULTILINE)
    literal = {"kotlin": r'"a\"b\\(c)\${d}\u202e.model"', "swift": r'"a\"b\\(c)${d}\u{202e}.model"'}[language]
    assert f"= {literal}\n" in text


def test_each_asks_the_runtime_of_its_format(card):
    named = dataclasses.replace(card, output=dataclasses.replace(card.output, tensor='lo"gits'))
    assert r'answered.get("lo\"gits").get() as OnnxTensor' in text_of(named, "onnx", "kotlin")
    assert "answered.get(0) as OnnxTensor" in text_of(card, "onnx", "kotlin")
    assert "mapOf(0 to answered)" in text_of(card, "litert", "kotlin")
    assert 'let output = "logits"\n' in text_of(card, "coreml", "swift")
    assert "let output = try session.outputNames()[0]\n" in text_of(card, "onnx", "swift")
    nameless = dataclasses.replace(card, lineage={})
    assert "does not name" in snippet_of(nameless, "coreml", "swift", "x.mlpackage").reason
    for language, to in (("kotlin", "coreml"), ("kotlin", "openvino"), ("swift", "litert")):
        made = snippet_of(card, to, language, "x")
        assert made.text is None
        assert made.reason.startswith(f"{language.capitalize()} programs are for ONNX and ")
