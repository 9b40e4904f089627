"""Hostile and broken TensorFlow files: refused in words, before any native library reads them."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from signet.errors import BadGraph
from signet.graphs import from_tensorflow, tensorflow_wire
from signet.graphs.from_tensorflow import Wanted, converted

HERE = Path(__file__).parent / "tensorflow"


@pytest.fixture(autouse=True)
def no_child(monkeypatch):
    """Whatever reaches the child process was not refused."""

    class Opened(Exception):
        pass

    def ask(*_):
        raise Opened

    monkeypatch.setattr(from_tensorflow, "ask_child", ask)
    return Opened


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(name, operator, *inputs, calls=(), in_list=False):
    made = field(1, name) + field(2, operator) + b"".join(field(3, each) for each in inputs)
    for called in calls:
        function = field(1, called)
        value = field(1, field(9, function)) if in_list else field(10, function)
        made += field(5, field(1, "f") + field(2, value))
    return field(1, made)


def library(*functions):
    """(name, nodes) each; a function's nodes are its field 3."""
    made = b""
    for name, nodes in functions:
        inside = b"".join(b"\x1a" + part[1:] for part in nodes)
        made += field(1, field(1, field(1, name)) + inside)
    return field(2, made)


def tensor(name, dtype=1):
    return field(1, name) + b"\x10" + varint(dtype)


def saved(folder, graph, *, tags=("serve",), signatures=None, copies=1):
    meta = field(1, b"".join(field(4, tag) for tag in tags)) + field(2, graph) * copies
    for name, (inputs, outputs) in (signatures or {"serving_default": ({"x": "x:0"}, {"y": "y:0"})}).items():
        call = b"".join(field(1, field(1, key) + field(2, tensor(at))) for key, at in inputs.items())
        call += b"".join(field(2, field(1, key) + field(2, tensor(at))) for key, at in outputs.items())
        meta += field(5, field(1, name) + field(2, call))
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01" + field(2, meta))
    return folder


def frozen(folder, *parts):
    path = folder / "graph.pb"
    path.write_bytes(b"".join(parts))
    return path


X = node("x", "Placeholder")

EVIL = [
    ("PyFunc", "runs Python code"),
    ("EagerPyFunc", "runs Python code"),
    ("ReadFile", "reads, writes or prints"),
    ("WriteFile", "reads, writes or prints"),
    ("SaveV2", "reads, writes or prints"),
    ("RestoreV2", "reads, writes or prints"),
    ("ImmutableConst", "reads, writes or prints"),
    ("AssignVariableOp", "changes a variable"),
    ("RandomUniform", "draws at random"),
    ("MyOwnOperator", "not one of the known ones"),
    ("my\x1b[31mop", "not one of the known ones"),
]


@pytest.mark.parametrize(("operator", "words"), EVIL)
def test_operators_that_do_more_than_compute(operator, words, tmp_path):
    bad = node("y", operator, "x")
    deep = node("y", "StatefulPartitionedCall", "x", calls=["outer"])
    functions = library(("outer", [node("a", "inner", "x")]), ("inner", [node("b", operator, "x")]))
    places = {
        "frozen": lambda: converted(frozen(tmp_path, X, bad), Wanted(), tmp_path),
        "saved": lambda: converted(saved(tmp_path / "s", X + bad), Wanted(), tmp_path),
        "in a function of a function": lambda: converted(
            saved(tmp_path / "d", X + deep + functions), Wanted(), tmp_path
        ),
        "in a list of functions": lambda: converted(
            frozen(
                tmp_path,
                X,
                node("y", "If", "x", calls=["f"], in_list=True),
                library(("f", [node("b", operator)])),
            ),
            Wanted(),
            tmp_path,
        ),
        "by a control input": lambda: converted(
            saved(tmp_path / "c", X + node("y", "Relu", "x", "^side") + node("side", operator)),
            Wanted(),
            tmp_path,
        ),
    }
    for open_it in places.values():
        with pytest.raises(BadGraph, match=words) as caught:
            open_it()
        assert "\x1b" not in str(caught.value)


def test_what_the_answer_does_not_depend_on_is_left_alone(tmp_path, no_child):
    """Each SavedModel has operators to save and restore itself; no reader translates them."""
    graph = X + node("y", "Relu", "x") + node("save", "SaveV2", "x")
    with pytest.raises(no_child):
        converted(saved(tmp_path / "s", graph), Wanted(), tmp_path)
    with pytest.raises(no_child):
        converted(HERE / "classifier", Wanted(), tmp_path)
    # A frozen graph has no signature: all of it answers, unless the card names the output.
    path = frozen(tmp_path, X, node("y", "Relu", "x"), node("z", "PyFunc", "x"))
    with pytest.raises(BadGraph, match="runs Python code"):
        converted(path, Wanted(), tmp_path)
    with pytest.raises(no_child):
        converted(path, Wanted(outputs=("y",)), tmp_path)
    with pytest.raises(no_child):
        converted(
            frozen(tmp_path, X, node("w", "PyFunc", "x"), node("y", "Relu", "w")), Wanted("w"), tmp_path
        )


TRICKS = {
    "two nodes of one name": X + node("y", "Relu", "x") + node("y", "Identity", "x"),
    "two functions of one name": X + library(("f", []), ("f", [])),
    "two libraries": X + library(("f", [])) + library(("g", [])),
    "a node without operator": X + node("y", "", "x"),
    "an input that is not there": X + node("y", "Relu", "nowhere"),
    "cut short": X + node("y", "Relu", "x")[:-3],
    "nothing": b"",
    "text": b"node { name: 'x' }",
    "zeros": b"\x00" * 64,
    "ones": b"\xff" * 64,
    "ONNX": b"\x08\x07" + field(7, b""),
    "a long name": X + node("y" * 5000, "Relu", "x"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_broken_graphs(trick, tmp_path):
    with pytest.raises(BadGraph):
        converted(frozen(tmp_path, TRICKS[trick]), Wanted(), tmp_path)
    with pytest.raises(BadGraph):
        converted(saved(tmp_path / "s", TRICKS[trick]), Wanted(), tmp_path)


def test_two_graphs_in_one(tmp_path):
    good = X + node("y", "Relu", "x")
    with pytest.raises(BadGraph, match="graph_def comes twice"):
        converted(saved(tmp_path / "s", good, copies=2), Wanted(), tmp_path)
    with pytest.raises(BadGraph, match="one graph with the tag 'serve', got train"):
        converted(saved(tmp_path / "t", good, tags=("train",)), Wanted(), tmp_path)


def test_depth_and_size_are_bounded(tmp_path, monkeypatch):
    value = field(10, field(1, "f"))
    for _ in range(50):
        value = field(10, field(1, "f") + field(2, field(2, value)))
    deep = field(1, field(1, "y") + field(2, "If") + field(5, field(2, value)))
    with pytest.raises(BadGraph, match="nested deeper"):
        converted(frozen(tmp_path, X, deep), Wanted(), tmp_path)
    monkeypatch.setattr(tensorflow_wire, "MOST_FIELDS", 5)
    with pytest.raises(BadGraph, match="more than 5 fields"):
        converted(HERE / "slim.pb", Wanted(), tmp_path)
    monkeypatch.setattr(tensorflow_wire, "MOST_BYTES", 10)
    with pytest.raises(BadGraph, match="1 to 10 bytes"):
        converted(HERE / "slim.pb", Wanted(), tmp_path)


def test_functions_that_call_each_other_in_a_circle(tmp_path, no_child):
    graph = X + node("y", "f", "x") + library(("f", [node("a", "g")]), ("g", [node("a", "f")]))
    with pytest.raises(no_child):
        converted(saved(tmp_path / "s", graph), Wanted(), tmp_path)


def copied(folder):
    shutil.copytree(HERE / "classifier", folder)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    model = copied(tmp_path / "a")
    (model / "variables" / "extra").symlink_to(secret)
    with pytest.raises(BadGraph, match="is a link: expected a plain file"):
        converted(model, Wanted(), tmp_path)
    model = copied(tmp_path / "b")
    (model / "variables").rename(tmp_path / "elsewhere")
    (model / "variables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadGraph, match="is a link"):
        converted(model, Wanted(), tmp_path)
    model = copied(tmp_path / "c")
    (model / "saved_model.pb").rename(tmp_path / "graph")
    (model / "saved_model.pb").symlink_to(tmp_path / "graph")
    with pytest.raises(BadGraph, match="is a link"):
        converted(model, Wanted(), tmp_path)
    model = copied(tmp_path / "d")
    os.mkfifo(model / "variables" / "pipe")
    with pytest.raises(BadGraph, match="expected a plain file"):
        converted(model, Wanted(), tmp_path)


def test_variables_that_are_not_there(tmp_path):
    for name in ("variables.index", "variables.data-00000-of-00001"):
        model = copied(tmp_path / name)
        (model / "variables" / name).unlink()
        with pytest.raises(BadGraph, match="does not hold them all"):
            converted(model, Wanted(), tmp_path)
    model = copied(tmp_path / "none")
    shutil.rmtree(model / "variables")
    with pytest.raises(BadGraph, match="does not hold them all"):
        converted(model, Wanted(), tmp_path)
    model = copied(tmp_path / "text")
    (model / "saved_model.pb").rename(model / "saved_model.pbtxt")
    with pytest.raises(BadGraph, match=r"the text form saved_model\.pbtxt"):
        converted(model, Wanted(), tmp_path)


def test_flipped_bytes_are_an_answer_or_an_error_in_words(tmp_path, no_child):
    data = (HERE / "slim.pb").read_bytes()
    chance = random.Random(3)
    for _ in range(300):
        broken = bytearray(data)
        broken[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with pytest.raises((BadGraph, no_child)):
            converted(frozen(tmp_path, bytes(broken)), Wanted(), tmp_path)
    for _ in range(100):
        with pytest.raises((BadGraph, no_child)):
            converted(frozen(tmp_path, data[: chance.randrange(len(data))]), Wanted(), tmp_path)
