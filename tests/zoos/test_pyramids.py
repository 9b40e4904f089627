"""Faster R-CNN and Mask R-CNN over any backbone of timm: built from data, filled, trained, traced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("torchvision")

from signet import tracing  # noqa: E402
from signet.batches import Batch  # noqa: E402
from signet.cards import InputSpec  # noqa: E402
from signet.engines import on_onnx, on_openvino  # noqa: E402
from signet.engines.contract import EngineSettings  # noqa: E402
from signet.errors import BadInput, BadRequest, UnknownName  # noqa: E402
from signet.geometry import Geometry  # noqa: E402
from signet.graphs.opening import open_graph  # noqa: E402
from signet.networks import ModuleSpec  # noqa: E402
from signet.preprocessing import finish  # noqa: E402
from signet.programs import Program  # noqa: E402
from signet.zoos import backbones, from_torchvision  # noqa: E402

TINY = "test_resnet"
FAMILIES = (
    "resnet18",
    "inception_v3",
    "mobilenetv3_small_050",
    "convnext_atto",
    "vgg11",
    "test_efficientnet",
)


def spec(architecture: str = "faster-rcnn", backbone: str = TINY, **arguments: Any) -> ModuleSpec:
    return ModuleSpec("torchvision", architecture, {"backbone": backbone, **arguments}, classes=3)


def restless(module: Any) -> Any:
    """Random weights that find something: no layer blows values up, and scores have all sizes."""
    torch.manual_seed(2)
    body = module.network.backbone.body.train()
    for part in body.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        body(torch.rand(2, 3, 128, 128))
    body.eval()
    with torch.no_grad():
        for name, value in module.network.named_parameters():
            if "cls_score" in name or "cls_logits" in name or "bbox_pred" in name:
                value.copy_(torch.randn_like(value) * 0.1)
    return module


@pytest.mark.parametrize("backbone", FAMILIES)
def test_every_family_gives_maps_of_falling_size(backbone: str) -> None:
    with torch.device("meta"):
        body = backbones.maps_of(backbone)
    assert set(body.feature_info.reduction()) <= set(backbones.REDUCTIONS)
    assert body.feature_info.reduction() == sorted(set(body.feature_info.reduction()))
    assert len(body.feature_info.reduction()) >= 4


@pytest.mark.parametrize("backbone", ["resnet18", "inception_v3", "mobilenetv3_small_050"])
def test_it_finds_boxes_in_prepared_pixels(backbone: str) -> None:
    module = restless(from_torchvision.build(spec(backbone=backbone, box_score_thresh=0.0), None))
    with torch.inference_mode():
        boxes, scores, classes = module(torch.rand(2, 3, 128, 160))
    assert boxes.shape == (2, 100, 4)
    assert (scores > 0).sum() > 0
    assert boxes.min() >= 0
    assert boxes[..., 2].max() <= 160
    assert boxes[..., 3].max() <= 128
    assert set(classes.unique().tolist()) <= {0.0, 1.0, 2.0}


def test_it_learns_with_masks() -> None:
    module = from_torchvision.build(spec("mask-rcnn"), None).train()
    masks = torch.zeros(1, 64, 96, dtype=torch.uint8)
    masks[0, 10:40, 10:50] = 1
    target = {"boxes": torch.tensor([[10.0, 10, 50, 40]]), "labels": torch.tensor([1]), "masks": masks}
    losses = module.losses([torch.rand(3, 64, 96)], [target])
    assert "loss_mask" in losses
    sum(losses.values()).backward()
    missing = [name for name, value in module.named_parameters() if value.grad is None]
    assert not missing


def test_a_picture_without_objects_teaches_what_is_background() -> None:
    module = from_torchvision.build(spec("mask-rcnn"), None).train()
    nothing = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 64, 96, dtype=torch.uint8),
    }
    losses = module.losses(torch.rand(1, 3, 64, 96), [nothing])
    assert all(value.isfinite() for value in losses.values())
    assert losses["loss_classifier"].detach() > 0
    sum(losses.values()).backward()


def test_a_classifiers_weights_find_their_places(tmp_path: Path) -> None:
    """Of networks whose stages timm renames (ConvNeXt), wraps (none here) or leaves (ResNet)."""
    for backbone in ("test_convnext", "test_efficientnet", TINY):
        torch.manual_seed(0)
        whole = timm.create_model(backbone, pretrained=False, num_classes=5).eval()
        module = from_torchvision.build(spec(backbone=backbone), None)
        body = module.network.backbone.body
        backbones.fill(body, whole, backbone)
        images = torch.rand(1, 3, 96, 96)
        with torch.inference_mode():
            maps = whole.forward_intermediates(images, intermediates_only=True)
            last = body(images)[-1]
        assert any(one.shape == last.shape and torch.allclose(one, last, atol=1e-5) for one in maps), backbone


def test_another_networks_weights_are_refused() -> None:
    body = backbones.maps_of(TINY)
    other = timm.create_model("test_efficientnet", pretrained=False)
    with pytest.raises(BadInput, match=r"the same network as the backbone; missing conv1"):
        backbones.fill(body, other, "timm/test_efficientnet")


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "test_vit"])
def test_a_network_with_maps_of_one_size_is_refused(backbone: str) -> None:
    with pytest.raises(BadRequest, match="maps of several sizes"):
        backbones.maps_of(backbone)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(UnknownName, match="resnet50"):
        from_torchvision.build(spec(backbone="resnet5"), None)


def test_anchors_are_as_many_as_levels() -> None:
    module = from_torchvision.build(spec(anchors=[8, 16, 32, 64, 128]), None)
    assert module.network.rpn.anchor_generator.sizes == ((8,), (16,), (32,), (64,), (128,))
    with pytest.raises(BadInput, match="one for each level"):
        from_torchvision.build(spec(anchors=[8, 16]), None)


def test_what_was_trained_loads_again(tmp_path: Path) -> None:
    module = restless(from_torchvision.build(spec("mask-rcnn"), None))
    torch.save(module.state_dict(), tmp_path / "own.pth")
    again = from_torchvision.build(spec("mask-rcnn"), tmp_path / "own.pth")
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for one, other in zip(module(images), again(images), strict=True):
            assert torch.equal(one, other)


@pytest.mark.large
def test_the_graph_finds_what_the_module_finds(tmp_path: Path) -> None:
    """On both engines, for a picture of another size than the one that the graph was made with."""
    what = spec("mask-rcnn", box_score_thresh=0.0, box_detections_per_img=20, rpn_pre_nms_top_n_test=50)
    module = restless(from_torchvision.build(what, None))
    weights = tmp_path / "weights.pth"
    torch.save(module.state_dict(), weights)
    source = from_torchvision.module_source(what, weights, "a" * 64, (96, 128))
    assert source.outputs == ("boxes", "scores", "classes", "masks")
    tracing.export(source, tmp_path / "graph.onnx")
    graph = open_graph(tmp_path / "graph.onnx")
    program = Program.from_list(
        [{"step": "read"}, {"step": "type"}, {"step": "range", "scale": 1 / 255}, {"step": "layout"}]
    )
    spec_of_input = InputSpec("images", shape=(None, 3, None, None))
    for engine in (
        on_onnx.open_graph(graph, EngineSettings()),
        on_openvino.open_graph(graph, spec_of_input, program, EngineSettings()),
    ):
        for size in ((96, 128), (80, 144)):
            pictures = np.random.default_rng(1).integers(0, 256, (2, *size, 3), np.uint8)
            batch = Batch(pictures, (Geometry.of(size),) * 2, ("",) * 2, program.split()[1])
            finished = finish(batch)
            found = engine.run(batch if engine.fuses else finished)
            with torch.inference_mode():
                expected = module(torch.from_numpy(np.asarray(finished.arrays)))
            assert (expected[1] > 0).sum() > 10
            for name, values in zip(source.outputs, expected, strict=True):
                np.testing.assert_allclose(
                    found[name], values.numpy(), atol=2e-2 if name == "boxes" else 1e-3
                )
