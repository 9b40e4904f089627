"""torchvision's detectors and segmenters: by name they find what torchvision's own find in a picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torchvision.models import detection, get_model, get_model_weights, segmentation  # noqa: E402
from torchvision.models.detection.roi_heads import paste_masks_in_image  # noqa: E402

from signet.catalogue import index  # noqa: E402
from signet.errors import BadInput, UnknownName  # noqa: E402
from signet.hub import WeightFiles  # noqa: E402
from signet.images import Image  # noqa: E402
from signet.networks import ModuleSource, ModuleSpec, Pretrained  # noqa: E402
from signet.preprocessing import prepare  # noqa: E402
from signet.programs import Program  # noqa: E402
from signet.steps import Resize  # noqa: E402
from signet.zoos import from_torchvision  # noqa: E402

DENSE = {
    name: config
    for name, config in index.configs()
    if name.startswith("torchvision/") and config.get("task") in ("detect", "instances", "segment")
}
DETECTORS = [name for name, config in DENSE.items() if config["task"] != "segment"]
SEGMENTERS = [name for name, config in DENSE.items() if config["task"] == "segment"]
QUICK = {
    "torchvision/fasterrcnn_mobilenet_v3_large_320_fpn.coco_v1",
    "torchvision/retinanet_resnet50_fpn_v2.coco_v1",
    "torchvision/ssdlite320_mobilenet_v3_large.coco_v1",
    "torchvision/lraspp_mobilenet_v3_large.coco_with_voc_labels_v1",
    "torchvision/deeplabv3_mobilenet_v3_large.coco_with_voc_labels_v1",
}
SHORT, LONGEST = 96, 140
"""Instead of 800 and 1333, in torchvision's network as in our program."""


def entries(names: list[str]) -> list[Any]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.large) for name in names]


@pytest.fixture
def picture() -> Image:
    """Blocks of colours, of odd sides."""
    blocks = np.random.default_rng(4).integers(0, 256, (9, 12, 3), np.uint8)
    return Image(blocks.repeat(9, axis=0).repeat(13, axis=1)[:75, :151], "made")


def found(name: str, folder: Path) -> tuple[Pretrained, Any]:
    """The model with random weights in a file as torchvision publishes them, and torchvision's own module."""
    config = DENSE[name]
    file = folder / "weights.pth"
    torch.save(random_state(from_torchvision.spec_of(config)), file)
    files = WeightFiles(config, file, "a" * 64, "unknown", "folder")
    return from_torchvision.pretrained(name, config, files), their_own(name, file)


def random_state(spec: ModuleSpec) -> dict[str, Any]:
    """Tensors that give scores far apart, so that no two detections change places."""
    torch.manual_seed(3)
    state = from_torchvision.build(spec, None).network.state_dict()
    for key, value in state.items():
        if not value.is_floating_point():
            continue
        if "running_var" in key:
            value.copy_(torch.rand_like(value) + 0.5)
        elif value.dim() == 1:
            value.add_(torch.randn_like(value) * 0.1)
        elif "cls_score" in key:
            value.copy_(torch.randn_like(value))
        elif any(part in key for part in ("cls_logits", "classification_head")):
            value.copy_(torch.randn_like(value) * (0.3 if "ssd" in spec.architecture else 0.05))
    return dict(state)


def their_own(name: str, file: Path) -> Any:
    """As a user of torchvision gets it by the name of the weights; only the download is ours."""
    config = DENSE[name]
    tag = config["pretrained_cfg"]["tag"].upper()
    weight = get_model_weights(config["architecture"])[tag]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(weight), "get_state_dict", lambda *_, **__: torch.load(file, weights_only=True))
        network = get_model(config["architecture"], weights=weight).eval()
    if config["task"] != "segment" and network.transform.fixed_size is None:
        network.transform.min_size, network.transform.max_size = (SHORT,), LONGEST
    return network


def smaller(program: Program) -> Program:
    """The same steps, to fewer pixels."""
    return Program(
        tuple(
            dataclasses.replace(step, short=SHORT, longest=LONGEST)
            if isinstance(step, Resize) and step.lengths == "factor"
            else step
            for step in program.steps
        )
    )


def test_every_entry_of_torchvision_is_in_the_index() -> None:
    """When this fails: python tools/index_zoos.py src/signet/catalogue/data"""
    there = {
        f"torchvision/{architecture}.{weight.name.lower()}"
        for place in (detection, segmentation)
        for architecture in dir(place)
        if architecture.islower()
        and callable(getattr(place, architecture))
        and "keypoint" not in architecture
        for weight in get_model_weights(getattr(place, architecture))
    }
    assert set(DENSE) == there


@pytest.mark.parametrize("name", DETECTORS)
def test_the_program_states_what_the_network_did_to_pictures(name: str) -> None:
    config = DENSE[name]
    with torch.device("meta"):
        does = get_model(config["architecture"], weights=None, weights_backbone=None).transform
    resize, normalise = (
        next(row for row in config["program"] if row["step"] == step) for step in ("resize", "normalise")
    )
    assert (normalise["mean"], normalise["std"]) == (list(does.image_mean), list(does.image_std))
    assert not resize["antialias"]
    if does.fixed_size is None:
        assert (resize["short"], resize["longest"]) == (does.min_size[-1], does.max_size)
    else:
        assert resize["size"] == list(does.fixed_size)


@pytest.mark.parametrize("name", entries(DETECTORS))
def test_what_is_found_is_what_torchvision_finds(name: str, tmp_path: Path, picture: Image) -> None:
    """The prepared pixels to a rounding; of the same pixels, the same detections in the same order.

    Between the two a comparison would say little: in a network with random weights a rounding changes which
    of two boxes suppresses the other.
    """
    model, theirs = found(name, tmp_path)
    (source,) = model.networks
    assert isinstance(source, ModuleSource)
    batch = prepare([picture], smaller(model.card.program))
    pixels = torch.from_numpy(picture.pixels.copy()).permute(2, 0, 1) / 255
    with torch.inference_mode():
        listed, _ = theirs.transform([pixels])
        ((height, width),) = listed.image_sizes
        prepared = listed.tensors[..., :height, :width]
        rounding = 1e-4 * float(prepared.abs().max())
        np.testing.assert_allclose(np.asarray(batch.arrays), prepared.numpy(), rtol=0, atol=rounding)
        answer = source.build()(prepared)
        (expected,) = theirs([pixels])
    outputs = {key: value[0].numpy() for key, value in zip(source.outputs, answer, strict=True)}
    count = len(expected["boxes"])
    assert count > 5, "this test compares nothing"
    assert not outputs["scores"][count:].any()
    boxes = home(outputs["boxes"][:count], batch.geometry[0])
    np.testing.assert_allclose(outputs["scores"][:count], expected["scores"].numpy(), atol=1e-6)
    np.testing.assert_array_equal(outputs["classes"][:count], expected["labels"].numpy())
    np.testing.assert_allclose(boxes, expected["boxes"].numpy(), atol=1e-3)
    if "masks" in outputs:
        cells = torch.from_numpy(outputs["masks"][:count, None])
        pasted = paste_masks_in_image(cells, torch.from_numpy(boxes).float(), picture.size)
        assert (pasted - expected["masks"]).abs().mean() < 1e-4


def home(boxes: np.ndarray, geometry: Any) -> np.ndarray:
    return geometry.to_original(boxes.reshape(-1, 2, 2).astype(np.float64)).reshape(-1, 4)


@pytest.mark.parametrize("name", entries(SEGMENTERS))
def test_logits_are_those_of_torchvision(name: str, tmp_path: Path, picture: Image) -> None:
    from PIL import Image as PillowImage

    model, theirs = found(name, tmp_path)
    (source,) = model.networks
    assert source.outputs == ("logits",)
    rows = [{**row, "short": 96} if row["step"] == "resize" else row for row in DENSE[name]["program"]]
    batch = prepare([picture], Program.from_list(rows))
    transforms = get_model_weights(DENSE[name]["architecture"])["COCO_WITH_VOC_LABELS_V1"].transforms()
    transforms.resize_size = [96]
    taken = transforms(PillowImage.fromarray(picture.pixels))[None]
    np.testing.assert_allclose(np.asarray(batch.arrays), taken.numpy(), atol=1e-6)
    with torch.inference_mode():
        answer, expected = source.build()(taken), theirs(taken)["out"]
    assert expected.std() > 1e-4
    assert torch.equal(answer, expected)
    assert model.card.labels is not None
    assert (model.card.labels[0], len(model.card.labels)) == ("background", answer.shape[1])


@pytest.mark.parametrize("name", sorted(QUICK))
def test_parameters_are_as_many_as_torchvision_states(name: str) -> None:
    with torch.device("meta"):
        module = from_torchvision.build(from_torchvision.spec_of(DENSE[name]), None)
    assert sum(value.numel() for value in module.parameters()) == DENSE[name]["parameters"]


def test_a_batch_is_its_pictures_one_by_one() -> None:
    spec = from_torchvision.spec_of(DENSE["torchvision/ssdlite320_mobilenet_v3_large.coco_v1"])
    module = from_torchvision.build(spec, None)
    module.network.load_state_dict(random_state(spec))
    # Noise: in a picture of even blocks many boxes have one score, and a rounding chooses among them.
    batch = torch.randn(2, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together, alone = module(batch), module(batch[1:])
    np.testing.assert_allclose(together[1][1, :10], alone[1][0, :10], atol=1e-4)
    assert not torch.allclose(together[1][0, :10], together[1][1, :10], atol=1e-6)


def test_training_gives_the_losses_of_torchvision(picture: Image) -> None:
    """In the prepared frame: nothing resizes the targets a second time."""
    spec = from_torchvision.spec_of(DENSE["torchvision/fasterrcnn_mobilenet_v3_large_320_fpn.coco_v1"])
    module = from_torchvision.build(dataclasses.replace(spec, classes=3), None).train()
    pictures = [torch.rand(3, 64, 96), torch.rand(3, 80, 64)]
    targets = [
        {"boxes": torch.tensor([[4.0, 5, 40, 50]]), "labels": torch.tensor([0])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = module.losses(pictures, targets)
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    sum(losses.values()).backward()
    assert module.network.roi_heads.box_predictor.cls_score.weight.grad.abs().sum() > 0
    assert torch.equal(targets[0]["boxes"], torch.tensor([[4.0, 5, 40, 50]]))


@pytest.mark.parametrize(
    "name",
    [
        "torchvision/fasterrcnn_mobilenet_v3_large_320_fpn.coco_v1",
        "torchvision/ssdlite320_mobilenet_v3_large.coco_v1",
        pytest.param("torchvision/retinanet_resnet50_fpn_v2.coco_v1", marks=pytest.mark.large),
    ],
)
def test_labels_of_targets_begin_at_0_as_those_of_answers(name: str) -> None:
    """Of all losses, those of torchvision's own labels from 1 on, and a box without area teaches nothing."""
    spec = dataclasses.replace(from_torchvision.spec_of(DENSE[name]), classes=3)
    module = from_torchvision.build(spec, None).train()
    boxes = torch.tensor([[4.0, 5, 40, 50], [30, 30, 30, 60]])
    side = 320 if "ssdlite" in name else 96
    pictures = torch.rand(2, 3, side, side)

    def drawn(given: Any) -> dict[str, Any]:
        torch.manual_seed(0)  # Region networks draw the places that they learn.
        with torch.no_grad():
            found: dict[str, Any] = given()
        return found

    for label in (0, 1):
        ours = [{"boxes": boxes, "labels": torch.tensor([label, 1 - label])}] * 2
        theirs = [{"boxes": boxes[:1], "labels": torch.tensor([label + 1])} for _ in pictures]
        expected = drawn(lambda theirs=theirs: module.network(list(pictures), theirs))
        for key, value in drawn(lambda ours=ours: module.losses(pictures, ours)).items():
            torch.testing.assert_close(value, expected[key])
    with pytest.raises(BadInput, match=r"target 0: expected labels from 0 to 1, got 2 to 2"):
        module.losses(pictures, [{"boxes": boxes[:1], "labels": torch.tensor([2])}] * 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("classifier.4.weight"), r"Missing key.*classifier\.4\.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "Unexpected key.*extra"),
        (lambda state: state.update({"classifier.4.bias": torch.zeros(3)}), "size mismatch"),
    ],
)
def test_tensors_fit_exactly_or_are_refused(tmp_path: Path, change: Any, words: str) -> None:
    spec = from_torchvision.spec_of(DENSE["torchvision/deeplabv3_mobilenet_v3_large.coco_with_voc_labels_v1"])
    state = from_torchvision.build(spec, None).network.state_dict()
    change(state)
    torch.save(dict(state), tmp_path / "weights.pth")
    with pytest.raises(BadInput, match=f"(?s){words}"):
        from_torchvision.build(spec, tmp_path / "weights.pth")


def test_what_was_saved_of_the_wrapped_module_loads_too(tmp_path: Path) -> None:
    """A fine-tuning saves the module that it trained."""
    spec = from_torchvision.spec_of(DENSE["torchvision/lraspp_mobilenet_v3_large.coco_with_voc_labels_v1"])
    module = from_torchvision.build(spec, None)
    torch.save(module.state_dict(), tmp_path / "own.pth")
    again = from_torchvision.build(spec, tmp_path / "own.pth").state_dict()
    assert all(torch.equal(again[key], value) for key, value in module.state_dict().items())


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(UnknownName, match="maskrcnn_resnet50_fpn"):
        from_torchvision.build(ModuleSpec("torchvision", "maskrcnn_resnet51_fpn", classes=91), None)


def test_arguments_that_would_download_are_refused() -> None:
    spec = ModuleSpec("torchvision", "fcn_resnet50", {"weights_backbone": "IMAGENET1K_V1"}, classes=21)
    with pytest.raises(BadInput, match="weights_backbone"):
        from_torchvision.build(spec, None)
