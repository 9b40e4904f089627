"""The one-stage detector over any backbone of timm: built from data, filled, trained, traced."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
from safetensors.torch import save_file  # noqa: E402

from signet import tracing  # noqa: E402
from signet.batches import Batch  # noqa: E402
from signet.cards import InputSpec  # noqa: E402
from signet.engines import on_onnx, on_openvino  # noqa: E402
from signet.engines.contract import EngineSettings  # noqa: E402
from signet.errors import BadInput, BadRequest, UnknownName  # noqa: E402
from signet.geometry import Geometry  # noqa: E402
from signet.graphs.opening import open_graph  # noqa: E402
from signet.hub import WeightFiles  # noqa: E402
from signet.networks import ModuleSpec  # noqa: E402
from signet.preprocessing import finish  # noqa: E402
from signet.programs import Program  # noqa: E402
from signet.zoos import by_name, from_architectures, one_stage  # noqa: E402

TINY = "test_resnet"
SIZE = (64, 96)
FAMILIES = (
    "resnet18",
    "inception_v3",
    "mobilenetv2_035",
    "mobilenetv3_small_050",
    "convnext_atto",
    "vgg11",
    "swin_tiny_patch4_window7_224",
)


def spec(backbone: str = TINY, classes: int = 3, **arguments: Any) -> ModuleSpec:
    return ModuleSpec("signet", "yolo", {"backbone": backbone, **arguments}, classes)


def target(masks: bool = False) -> dict[str, Any]:
    found = {"boxes": torch.tensor([[10.0, 10, 50, 40], [60, 4, 90, 60]]), "labels": torch.tensor([2, 0])}
    if masks:
        found["masks"] = torch.zeros(2, *SIZE, dtype=torch.uint8)
        found["masks"][0, 10:40, 10:50] = 1
    return found


def stirred(module: Any) -> Any:
    """Random statistics, and scores of all sizes."""
    torch.manual_seed(2)
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if value.is_floating_point() and not key.endswith("mean.weight"):
                noise = 0.05 * torch.randn_like(value)
                value.add_(noise.abs() if key.endswith("running_var") else noise)
    return module.eval()


@pytest.mark.parametrize("backbone", FAMILIES)
def test_every_family_gives_maps_of_the_sides_divided(backbone: str) -> None:
    """Inception's own maps lack rows at the border; windows of Swin are told the size."""
    size = (96, 128)
    arguments = {"backbone_arguments": {"img_size": size}} if backbone.startswith("swin") else {}
    with torch.device("meta"):
        module = one_stage.one_stage_network(spec(backbone, **arguments)).eval()
        maps = module.backbone(torch.zeros(1, 3, *size))
        (answers,) = module(torch.zeros(1, 3, *size))
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 12, 16), (128, 6, 8), (256, 3, 4)]
    assert answers.shape == (1, 4 + 3, 12 * 16 + 6 * 8 + 3 * 4)


@pytest.mark.parametrize("instances", [False, True])
@pytest.mark.parametrize("backbone", [TINY, "test_convnext"])
def test_all_of_it_learns(backbone: str, instances: bool) -> None:
    module = from_architectures.build(spec(backbone, instances=instances), None).train()
    losses = module.losses(torch.rand(2, 3, *SIZE), [target(instances)] * 2)
    assert set(losses) == {"boxes", "distances", "classes"} | ({"masks"} if instances else set())
    torch.stack(list(losses.values())).sum().backward()
    missing = [name for name, value in module.named_parameters() if value.grad is None]
    assert not missing


@pytest.mark.parametrize("instances", [False, True])
def test_boxes_begin_five_cells_wide_on_each_map(instances: bool) -> None:
    """Of what sees nothing: small ones on the fine map, large ones on the coarse one."""
    head = from_architectures.build(spec(instances=instances), None).head
    maps = [
        torch.zeros(1, width, 96 // s, 96 // s) for width, s in zip((64, 128, 256), (8, 16, 32), strict=True)
    ]
    with torch.inference_mode():
        sides = (head.detect if instances else head)(maps)[0, 2:4]
    for stride, part in zip((8, 16, 32), sides.split([144, 36, 9], dim=1), strict=True):
        assert torch.allclose(part / stride, torch.full_like(part, 4.9), atol=0.1)


def test_a_classifiers_weights_find_their_places() -> None:
    for backbone in ("test_convnext", TINY):
        torch.manual_seed(0)
        whole = timm.create_model(backbone, pretrained=False, num_classes=5).eval()
        module = from_architectures.build(spec(backbone), None)
        one_stage.fill_backbone(module, whole, backbone)
        images = torch.rand(1, 3, 96, 96)
        with torch.inference_mode():
            maps = whole.forward_intermediates(images, intermediates_only=True)
            last = module.backbone.body(images)[-1]
            if module.backbone.channels_last:
                last = last.permute(0, 3, 1, 2)
        assert any(one.shape == last.shape and torch.allclose(one, last, atol=1e-5) for one in maps), backbone


@pytest.mark.parametrize("instances", [False, True])
def test_what_was_trained_loads_again_strictly(instances: bool, tmp_path: Path) -> None:
    module = stirred(from_architectures.build(spec(instances=instances), None))
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    written = json.loads(json.dumps(spec(instances=instances).to_dict()))
    zoo = by_name.zoo(written["zoo"], written["architecture"])
    source = zoo.module_source(ModuleSpec(**written), tmp_path / "own.safetensors", "a" * 64, SIZE)
    assert source.answers == (("predictions", "prototypes") if instances else ("predictions",))
    images = torch.rand(1, 3, *SIZE)
    with torch.inference_mode():
        for one, other in zip(module(images), source.build()(images), strict=True):
            assert torch.equal(one, other)
    with pytest.raises(BadInput, match="yolo over test_resnet"):
        from_architectures.build(spec(instances=not instances), tmp_path / "own.safetensors")
    with pytest.raises(BadInput, match="yolo over test_resnet"):
        from_architectures.build(spec(classes=4, instances=instances), tmp_path / "own.safetensors")


def test_a_folder_with_a_config_is_a_model(tmp_path: Path) -> None:
    module = stirred(from_architectures.build(spec(), None))
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    config = {
        "library": "signet",
        "architecture": "yolo",
        "model_args": {"backbone": TINY},
        "num_classes": 3,
        "task": "detect",
        "program": [
            {"step": "read"},
            {"step": "resize", "size": list(SIZE), "fit": "stretch"},
            {"step": "type"},
            {"step": "range", "scale": 1 / 255},
            {"step": "layout"},
        ],
        "output": {
            "head": "yolov8",
            "tensor": "predictions",
            "classes": 3,
            "nms": {"iou": 0.7, "class_wise": True},
        },
        "labels": ["red", "white", "platelet"],
    }
    found = WeightFiles(config, tmp_path / "model.safetensors", "a" * 64, "unknown", "folder")
    model = from_architectures.pretrained("signet/yolo", config, found)
    assert (model.card.task, model.card.labels, model.card.input_size) == (
        "detect",
        tuple(config["labels"]),
        SIZE,
    )
    (source,) = model.networks
    with torch.inference_mode():
        images = torch.rand(1, 3, *SIZE)
        assert torch.equal(source.build()(images)[0], module(images)[0])


@pytest.mark.large
@pytest.mark.parametrize("backbone", ["mobilenetv2_035", "test_convnext"])
def test_the_graph_answers_as_the_module(backbone: str, tmp_path: Path) -> None:
    """On both engines, one of them with the preprocessing in its network."""
    what = spec(backbone, instances=True)
    module = stirred(from_architectures.build(what, None))
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    source = from_architectures.module_source(what, tmp_path / "own.safetensors", "a" * 64, SIZE)
    tracing.export(source, tmp_path / "graph.onnx")
    graph = open_graph(tmp_path / "graph.onnx")
    program = Program.from_list(
        [{"step": "read"}, {"step": "type"}, {"step": "range", "scale": 1 / 255}, {"step": "layout"}]
    )
    pictures = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), np.uint8)
    batch = Batch(pictures, (Geometry.of(SIZE),) * 2, ("",) * 2, program.split()[1])
    finished = finish(batch)
    with torch.inference_mode():
        expected = module(torch.from_numpy(np.asarray(finished.arrays)))
    for engine in (
        on_onnx.open_graph(graph, EngineSettings()),
        on_openvino.open_graph(graph, InputSpec("images", shape=(None, 3, *SIZE)), program, EngineSettings()),
    ):
        found = engine.run(batch if engine.fuses else finished)
        for name, values in zip(source.outputs, expected, strict=True):
            np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-4, atol=1e-3)


def test_what_cannot_be_built_is_refused_in_words() -> None:
    with pytest.raises(UnknownName, match="resnet50"):
        from_architectures.build(spec("resnet5"), None)
    with pytest.raises(BadRequest, match="maps of several sizes"):
        from_architectures.build(spec("vit_tiny_patch16_224"), None)
    with pytest.raises(BadRequest, match=r"expected 1 class or more, got 0"):
        from_architectures.build(spec(classes=0), None)
    with pytest.raises(
        BadInput, match=r"no other arguments than backbone, backbone_arguments, instances, got depth"
    ):
        from_architectures.build(spec(depth=3), None)
    coarse = dataclasses.replace(
        spec(), arguments={"backbone": TINY, "backbone_arguments": {"output_stride": 8}}
    )
    with pytest.raises(BadRequest, match=r"expected maps at strides 8, 16 and 32"):
        from_architectures.build(coarse, None)
