"""The packaged signatures: they are those of the installed zoos, small, and read without them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from itertools import groupby

import numpy as np
import pytest

from signet.catalogue import index, signatures
from signet.catalogue.signatures import Shapes

SAMPLE = (
    "timm/resnet18",
    "timm/vit_tiny_patch16_224",
    "timm/levit_128s",
    "timm/efficientnet_b0",
    "timm/resnetv2_50x1_bit",
    "timm/test_vit",
    "torchvision/mobilenet_v3_small",
    "torchvision/maxvit_t",
    "torchvision/swin_t",
    "torchvision/squeezenet1_1",
)


def shapes_of(name: str, classes: int) -> Shapes:
    torch = pytest.importorskip("torch")
    zoo, _, architecture = name.partition("/")
    with torch.device("meta"):
        if zoo == "timm":
            module = pytest.importorskip("timm").create_model(architecture, num_classes=classes)
        else:
            models = pytest.importorskip("torchvision").models
            module = models.get_model(architecture, weights=None, num_classes=classes)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def test_every_architecture_of_the_index_has_a_signature() -> None:
    wanted = {
        f"{config['library']}/{config['architecture']}"
        for _, config in index.configs()
        # Of a detector or segmenter's tensors nobody has to guess what they are: they need a card anyway.
        if config["library"] in ("timm", "torchvision") and "task" not in config
    }
    assert {row.architecture for row in signatures.signatures().values()} == wanted


def test_they_are_small() -> None:
    data = files("signet.catalogue").joinpath("data")
    assert sum(len(data.joinpath(f).read_bytes()) for f in ("signatures.csv", "npz_files.csv")) < 300_000


@pytest.mark.parametrize("name", SAMPLE)
def test_a_network_of_any_number_of_classes_is_found_by_its_tensors(name: str) -> None:
    for classes in (1000, 17, 1):
        found = {match.signature.name: match.classes for match in signatures.exact(shapes_of(name, classes))}
        assert found[name] == classes
    if name.startswith("timm/"):
        found = {match.signature.name: match.classes for match in signatures.exact(shapes_of(name, 0))}
        assert found[name] == 0


@pytest.mark.parametrize("name", SAMPLE)
def test_a_changed_network_is_near_and_not_exact(name: str) -> None:
    shapes = dict(shapes_of(name, 5))
    assert signatures.nearest(shapes)[0].digest == signatures.signatures()[name].digest
    first = min(shapes)
    shapes[f"{first}.more"] = shapes.pop(first)
    assert signatures.exact(shapes) == ()
    assert signatures.nearest(shapes)[0].digest == signatures.signatures()[name].digest


def test_heads_that_do_not_agree_are_no_match() -> None:
    shapes = dict(shapes_of("timm/resnet18", 5))
    assert signatures.exact({**shapes, "fc.bias": (6,)}) == ()
    assert signatures.exact({**shapes, "fc.bias": ()}) == ()
    assert signatures.exact({**shapes, "fc.weight": (5, 1024)}) == ()
    assert signatures.exact({}) == ()


SAME = [
    ("timm/resnet50", "torchvision/resnet50"),
    ("timm/deit_tiny_patch16_224", "timm/vit_tiny_patch16_224"),
]
DIFFERENT = [
    ("timm/resnet50", "timm/resnetaa50"),  # another pooling
    ("timm/resnet50", "timm/resnetblur50"),
    ("timm/efficientnet_b0", "timm/tf_efficientnet_b0"),  # another padding and epsilon
    ("timm/mobilenetv3_large_100", "timm/tf_mobilenetv3_large_100"),
    ("timm/vit_base_patch16_clip_224", "timm/vit_base_patch16_clip_quickgelu_224"),
    ("timm/swinv2_tiny_window8_256", "timm/swinv2_tiny_window16_256"),
]


@pytest.mark.parametrize(("first", "second"), [*SAME, *DIFFERENT])
def test_equal_tensors_are_equal_functions_only_where_they_are(first: str, second: str) -> None:
    known = signatures.signatures()
    assert known[first].digest == known[second].digest
    assert (known[first].function == known[second].function) == ((first, second) in SAME)


def test_equal_tensors_with_equal_functions_answer_alike() -> None:
    """The table again, for one small group, from the networks themselves."""
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.manual_seed(0)
    names = ("mobilenetv3_small_075", "tf_mobilenetv3_small_075", "mobilenetv3_small_075")
    modules = [timm.create_model(name, num_classes=4).eval() for name in names]
    for module in modules[1:]:
        module.load_state_dict(modules[0].state_dict())
    with torch.inference_mode():
        first, second, third = (module(torch.ones(1, 3, 64, 64)) for module in modules)
    assert torch.equal(first, third)
    assert not torch.allclose(first, second)


def test_preference_is_timm_then_the_most_weights() -> None:
    names = [match.signature.name for match in signatures.exact(shapes_of("timm/resnet50", 9))]
    assert names[0] == "timm/resnet50"
    assert names[-1] == "torchvision/resnet50"


def test_sketches_tell_families_apart() -> None:
    rows = list(signatures.signatures().values())
    assert all(row.sketch.shape == (signatures.SKETCH_LENGTH,) for row in rows)
    unlike = [
        float(np.mean(row.sketch == signatures.signatures()["timm/resnet18"].sketch))
        for row in rows
        if row.name.startswith("timm/vit_")
    ]
    assert max(unlike) < 0.1
    ordered = sorted(rows, key=lambda row: row.digest)
    for _, group in groupby(ordered, key=lambda row: row.digest):
        assert len({row.sketch.tobytes() for row in group}) == 1


def test_looking_up_needs_no_torch() -> None:
    shapes = {name: list(shape) for name, shape in shapes_of("timm/resnet18", 3).items()}
    script = (
        "import json, sys\n"
        "from signet.catalogue import signatures\n"
        "shapes = {name: tuple(shape) for name, shape in json.load(sys.stdin).items()}\n"
        "print(signatures.exact(shapes)[0].signature.name)\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(shapes), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "timm/resnet18"
