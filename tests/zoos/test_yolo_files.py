"""A YOLO checkpoint as a model: recognised by its tensors, labelled by what it states, never run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.errors import BadCard, BadInput, BadRequest
from signet.models import load
from signet.networks import ModuleSource, Pretrained
from signet.resolving import guess, resolve
from signet.sealing import seal
from signet.testing import made_images
from signet.zoos import yolo_matches
from signet.zoos.yolo_files import YoloGuess

torch = pytest.importorskip("torch")

from signet.architectures import building, yolo_names, yolo_table  # noqa: E402

LABELS = ("red", "white", "platelet")
SIDE = 64
PACKAGE = "made_package"
"""The classes that a pickle names are of a module that is there only while it is written."""


def renamed(module: Any, architecture: str) -> dict[str, Any]:
    """Its tensors as the packages of YOLO name them."""
    names = yolo_names.original_names(module, yolo_names.key_map(yolo_table.NETWORKS[architecture].keys))
    state = {}
    for key, value in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        state[f"{names[path]}.{leaf}"] = value
    return state


def stirred(architecture: str = "yolov8n", classes: int = 3) -> Any:
    torch.manual_seed(7)
    module = building.build(architecture, classes).eval()
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if value.is_floating_point() and not key.endswith(("mean.weight", "anchors")):
                # Few enough bits that half precision holds them.
                value.copy_((value + 0.01).half())
    return module


@pytest.fixture(scope="module")
def module() -> Any:
    return stirred()


@pytest.fixture(scope="module")
def state(module: Any) -> dict[str, Any]:
    return renamed(module, "yolov8n")


@pytest.fixture
def foreign() -> Iterator[type]:
    """A class of a module that goes away."""
    package = ModuleType(PACKAGE)
    made = type("DetectionModel", (torch.nn.Module,), {"__module__": PACKAGE})
    package.DetectionModel = made  # type: ignore[attr-defined]
    sys.modules[PACKAGE] = package
    yield made
    sys.modules.pop(PACKAGE, None)


def whole(state: Mapping[str, Any], kind: type, **stated: Any) -> Any:
    """A model of that class, with these tensors where their names say and what it states as attributes."""
    root = kind()
    for name, value in state.items():
        *path, leaf = name.split(".")
        place = root
        for step in path:
            if step not in place._modules:
                place.add_module(step, kind())
            place = place._modules[step]
        if leaf in ("weight", "bias") and not name.endswith("dfl.conv.weight"):
            place.register_parameter(leaf, torch.nn.Parameter(value, requires_grad=False))
        else:
            place.register_buffer(leaf, value)
    for key, value in stated.items():
        setattr(root, key, value)
    return root.half()


def written(checkpoint: Any, place: Path, card: Any = None) -> Path:
    torch.save(checkpoint, place)
    if card is not None:
        place.with_name(f"{place.name}.card.json").write_text(json.dumps(card))
    sys.modules.pop(PACKAGE, None)
    return place


def source(found: Pretrained) -> ModuleSource:
    (network,) = found.networks
    assert isinstance(network, ModuleSource)
    return network


def same(found: Pretrained, module: Any) -> bool:
    filled, wanted = source(found).build().state_dict(), module.state_dict()
    return filled.keys() == wanted.keys() and all(torch.equal(filled[name], wanted[name]) for name in wanted)


# --- which network it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [1, 101])
@pytest.mark.parametrize("architecture", yolo_table.NETWORKS)
def test_every_network_is_recognised_by_its_own_tensors(architecture: str, classes: int) -> None:
    for form in ("published", "ultralytics") if architecture.startswith("yolov9") else ("",):
        with torch.device("meta"):
            made = building.build(architecture, classes, {"head": form} if form else {})
        shapes = {name: tuple(value.shape) for name, value in renamed(made, architecture).items()}
        if architecture.startswith("yolov7"):
            head = yolo_names.key_map(architecture).layers["head"]
            shapes[f"{head}.anchor_grid"] = (3, 1, 3, 1, 1, 2)
        found = yolo_matches.exact(shapes)
        assert found is not None
        assert (found.network.name, found.classes) == (architecture, classes)
        assert found.parameters == sum(value.numel() for value in made.parameters())
        again = building.build(found.spec.architecture, classes, dict(found.arguments)) if not form else made
        assert again.state_dict().keys() == made.state_dict().keys()


def test_numbers_of_layers_that_are_no_yolo_are_nothing() -> None:
    assert yolo_matches.exact({"0.weight": (3, 3), "1.bias": (3,)}) is None
    assert yolo_matches.exact({f"{9**9}.weight": (3,)}) is None
    assert yolo_matches.exact({"layer1.weight": (3,)}) is None
    assert yolo_matches.nearest({"0.weight": (3, 3)}) == ()


def test_a_near_miss_is_refused_with_the_difference(state: dict[str, Any], tmp_path: Path) -> None:
    short = {name: value for name, value in state.items() if name != "model.22.cv2.0.2.bias"}
    place = written({"model": short}, tmp_path / "mine.pt")
    with pytest.raises(
        BadInput, match=r"nearest is signet/yolov8n: 1 missing \(model\.22\.cv2\.0\.2\.bias\)"
    ):
        resolve(place)
    found = guess(place)
    assert not isinstance(found, YoloGuess)


# --- a checkpoint without a card --------------------------------------------------------------------------


def test_a_pickled_checkpoint_needs_no_card_and_is_not_imported(
    state: dict[str, Any], module: Any, foreign: type, tmp_path: Path
) -> None:
    model = whole(state, foreign, names=dict(enumerate(LABELS)), yaml={"nc": 3, "head": [[1, 2]]})
    checkpoint = {
        "epoch": -1,
        "model": model,
        "ema": None,
        "train_args": {"imgsz": SIDE, "classes": None, "freeze": [1]},
        "license": "Words of a licence",
    }
    place = written(checkpoint, tmp_path / "best.pt")
    found = resolve(place)
    assert PACKAGE not in sys.modules
    assert (found.where, found.card.name, found.card.task) == ("file", "file/best", "detect")
    assert (found.card.labels, found.card.input_size) == (LABELS, (SIDE, SIDE))
    assert (found.card.licence.weights, found.card.licence.verdict) == ("Words of a licence", "restricted")
    assert found.card.parameters == sum(value.numel() for value in module.parameters())
    assert "a pickled model" in " ".join(found.card.lineage["read"])
    assert same(found, module)
    with load(found, engine="torch") as model:
        batch = model.prepare(made_images(2))
        outputs = model.run(batch)
        assert len(model(made_images(2))) == 2
    with torch.inference_mode():
        (expected,) = module(torch.from_numpy(np.asarray(batch.arrays)))
    np.testing.assert_allclose(outputs["predictions"], expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.large
def test_it_can_be_sealed_and_the_seal_keeps_what_it_stated(
    state: dict[str, Any], module: Any, tmp_path: Path
) -> None:
    checkpoint = {"model": state, "names": list(LABELS), "args": {"imgsz": SIDE}}
    sealed = seal(resolve(written(checkpoint, tmp_path / "best.pt")), out=tmp_path / "best.signet")
    assert sealed.card.labels == LABELS
    assert same(Pretrained(sealed.card, resolve(sealed.path).networks[1:], "", "seal"), module)


@pytest.mark.parametrize(
    "names",
    [
        None,
        {0: "a", 1: "b"},
        {0: "a", 1: "b", 3: "c"},
        {0: "a", 1: "b", 2: 3},
        {"0": "a", "1": "b", "2": "c"},
        ["a", "b"],
        ["a", "b", 3.0],
        "abc",
    ],
)
def test_names_that_are_not_those_of_its_classes_are_numbers_and_said_so(
    names: Any, state: dict[str, Any], tmp_path: Path
) -> None:
    card = resolve(written({"model": state, "names": names}, tmp_path / "mine.pt")).card
    assert card.labels is None
    assert "states no names of 3 classes" in card.lineage["labels"]


@pytest.mark.parametrize(
    ("side", "size"), [(320, 320), (100, 640), (-32, 640), ("320", 640), (2**40, 640), (None, 640)]
)
def test_the_size_of_the_training_is_taken_where_the_network_can_take_it(
    side: Any, size: int, state: dict[str, Any], tmp_path: Path
) -> None:
    found = resolve(written({"model": state, "train_args": {"imgsz": side}}, tmp_path / "mine.pt"))
    assert found.card.input_size == (size, size)


def test_a_checkpoint_with_two_models_is_not_chosen_from(
    state: dict[str, Any], foreign: type, tmp_path: Path
) -> None:
    model = whole(state, foreign, names=dict(enumerate(LABELS)))
    average = whole(state, foreign, names=dict(enumerate("abc")))
    checkpoint = {"model": model, "ema": average}
    place = written(checkpoint, tmp_path / "last.pt")
    with pytest.raises(BadRequest, match=r'several sets .*"tensors": "model"'):
        resolve(place)
    place.with_name("last.pt.card.json").write_text('{"tensors": "ema"}')
    assert resolve(place).card.labels == ("a", "b", "c")


# --- and with one -----------------------------------------------------------------------------------------


def test_a_short_card_says_otherwise_than_the_checkpoint(state: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = {"model": state, "names": list(LABELS), "train_args": {"imgsz": 320}}
    place = written(checkpoint, tmp_path / "mine.pt", {"labels": ["a", "b", "c"], "size": [64, 96]})
    card = resolve(place).card
    assert (card.labels, card.input_size) == (("a", "b", "c"), (64, 96))
    assert card.lineage["labels"] == card.lineage["size"] == "as mine.pt.card.json states"
    assert resolve(written(checkpoint, place, {"labels": None})).card.labels is None
    (tmp_path / "NAMES.txt").write_text("x\ny\nz\n")
    assert resolve(written(checkpoint, place, {"labels": {"file": "NAMES.txt"}})).card.labels == (
        "x",
        "y",
        "z",
    )


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"label": ["a"]}, "Did you mean 'labels'"),
        ({"labels": ["a"]}, "expected 3 labels"),
        ({"labels": [1, 2, 3]}, "list of names"),
        ({"labels": {"file": "../../names.txt"}}, "outside"),
        ({"size": 64}, r"'size' as \[height, width\], multiples of 32"),
        ({"size": [64, 65]}, "multiples of 32"),
        ({"size": [0, 0]}, "multiples of 32"),
        ({"tensors": 1}, "'tensors' to be a name"),
    ],
)
def test_a_short_card_is_read_strictly(card: Any, words: str, state: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadCard, match=words):
        resolve(written({"model": state}, tmp_path / "mine.pt", card))


def test_a_short_card_with_a_background_is_refused(state: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "NAMES.txt").write_text("nothing\nx\ny\n")
    card = {"labels": {"file": "NAMES.txt", "drop_first": True}}
    with pytest.raises(BadCard, match="is for heads with a background"):
        resolve(written({"model": state}, tmp_path / "mine.pt", card))


def test_a_whole_card_is_held_to_the_weights(state: dict[str, Any], module: Any, tmp_path: Path) -> None:
    place = written({"model": state, "names": list(LABELS)}, tmp_path / "mine.pt")
    stated = resolve(place).card.to_dict()
    known = {**stated, "name": "mine/cells", "licence": {"weights": "mit", "stated": True}}
    found = resolve(written({"model": state}, place, {**known, "weights_digest": None}))
    assert (found.card.name, found.card.licence.verdict) == ("mine/cells", "permissive")
    assert same(found, module)
    output = stated["output"]
    for change, words in (
        ({"weights_digest": "0" * 64}, "it is the card of weights with the sha256 0000"),
        ({"architecture": "yolov8s"}, "states the architecture 'yolov8s', but .* signet/yolov8n"),
        ({"output": {**output, "classes": 4}, "labels": None}, "4 classes, but the head .* has 3"),
        ({"task": "instances"}, "expected the task 'detect' and the head 'yolov8'"),
        ({"output": {**output, "head": "yolov5"}}, "got 'detect' and 'yolov5'"),
    ):
        changed = {**known, "weights_digest": None, **change}
        with pytest.raises(BadCard, match=words):
            resolve(written({"model": state}, place, changed))


# --- what is shown ----------------------------------------------------------------------------------------


def test_the_guess_says_what_it_is_and_where_each_part_is_from(state: dict[str, Any], tmp_path: Path) -> None:
    place = written({"model": state, "names": list(LABELS)}, tmp_path / "mine.pt")
    found = guess(place)
    assert isinstance(found, YoloGuess)
    text = "\n".join(found.lines())
    assert "certainly signet/yolov8n: detect, 3 classes: all its 298 tensors" in text
    assert "Labels: the 3 names that the file states." in text
    assert "Size: 640x640, its architecture's; the file states none." in text
    told = found.to_dict()
    assert (told["architecture"], told["sure"], told["labels"]) == ("signet/yolov8n", "certain", list(LABELS))
    written({"model": state}, place, told["card"])
    assert resolve(place).card.labels == LABELS
    assert guess(place) is None
