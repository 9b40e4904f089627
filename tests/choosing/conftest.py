"""Labelled pictures, and two classifiers of a few bytes, one of which is blind to much that matters."""

import numpy as np
import pytest
from PIL import Image

from signet.datasets import open_dataset


@pytest.fixture(scope="session")
def tiny(module_at, request):
    """The module tests/cli/tiny.py: a classifier of colours."""
    return module_at("signet_tiny", request.config.rootpath / "tests" / "cli" / "tiny.py")


@pytest.fixture(scope="session")
def models(tiny, tmp_path_factory):
    """(a classifier that sees colours, one that sees green alone)."""
    import onnx
    from onnx import helper, numpy_helper

    folder = tmp_path_factory.mktemp("models")
    colours, green = tiny.make_classifier(folder, "colours"), tiny.make_classifier(folder, "green")
    graph = onnx.load(green)
    for node in graph.graph.node:
        node.input[:] = ["seen" if name == "images" else name for name in node.input]
    graph.graph.node.insert(0, helper.make_node("Mul", ["images", "sight"], ["seen"]))
    sight = np.array([0, 1, 0], np.float32).reshape(1, 3, 1, 1)
    graph.graph.initializer.append(numpy_helper.from_array(sight, "sight"))
    onnx.save(graph, green)
    return colours, green


def write_hues(place, seed):
    """120 pictures of three mean colours under heavy noise, in a folder for each."""
    generator = np.random.default_rng(seed)
    for label, colour in (("red", (150, 100, 100)), ("green", (100, 150, 100)), ("blue", (100, 100, 150))):
        (place / label).mkdir(parents=True)
        for number in range(40):
            shade = np.array(colour) + generator.normal(0, 22, 3)
            pixels = shade + generator.normal(0, 30, (24, 24, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / label / f"{number}.png")
    return place


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Such pictures, not to be changed."""
    return write_hues(tmp_path_factory.mktemp("data") / "hues", 0)


@pytest.fixture
def fresh(tmp_path):
    """Others, whose features nobody has kept."""
    return open_dataset(write_hues(tmp_path / "fresh", abs(hash(tmp_path)) % 2**32))


@pytest.fixture
def dataset(folder):
    """The same as a dataset."""
    return open_dataset(folder)
