"""transformers' detectors and segmenters, small ones with random weights: they answer as their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from PIL import Image as PillowImage  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from signet import answers, running  # noqa: E402
from signet.batches import Outputs  # noqa: E402
from signet.engines.contract import EngineSettings  # noqa: E402
from signet.errors import BadCard, BadInput  # noqa: E402
from signet.hub import WeightFiles  # noqa: E402
from signet.images import Image  # noqa: E402
from signet.networks import ModuleSource, Pretrained  # noqa: E402
from signet.preprocessing import finish, prepare  # noqa: E402
from signet.zoos import from_transformers  # noqa: E402

RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 16, 32],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage4"],
}
SWIN = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 4,
    "image_size": 64,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
RT = {
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 16, 32],
    "decoder_in_channels": [32, 32, 32],
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "decoder_layers": 2,
    "decoder_ffn_dim": 32,
    "num_queries": 12,
}
RT_RESNET = {**RESNET, "model_type": "rt_detr_resnet", "out_features": ["stage2", "stage3", "stage4"]}
HGNET = {
    "model_type": "hgnet_v2",
    "stem_channels": [3, 8, 8],
    "hidden_sizes": [16, 16, 16, 32],
    "stage_in_channels": [8, 16, 16, 16],
    "stage_mid_channels": [4, 4, 4, 4],
    "stage_out_channels": [16, 16, 16, 32],
    "stage_num_blocks": [1, 1, 1, 1],
    "stage_numb_of_layers": [1, 1, 1, 1],
    "out_features": ["stage2", "stage3", "stage4"],
}
SMALL_DETR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_queries": 10,
    "backbone_config": RESNET,
    "use_timm_backbone": False,
}
DEFORMABLE = {
    **SMALL_DETR,
    "decoder_layers": 2,
    "backbone_config": {**RESNET, "out_features": ["stage2", "stage3", "stage4"]},
}
MASKS = {
    "backbone_config": SWIN,
    "feature_size": 32,
    "mask_feature_size": 32,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "dim_feedforward": 32,
    "num_attention_heads": 2,
    "num_queries": 10,
}
SEGFORMER = {"hidden_sizes": [8, 16, 16, 32], "depths": [1] * 4, "decoder_hidden_size": 16}
UPERNET = {
    "backbone_config": {**RESNET, "out_features": ["stage1", "stage2", "stage3", "stage4"]},
    "hidden_size": 16,
    "use_auxiliary_head": False,
}

# Model type, class, image processor, settings that make it small, task and head.
FAMILIES: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "detr": ("DetrForObjectDetection", "Detr", SMALL_DETR, "detect", "detr"),
    "conditional_detr": (
        "ConditionalDetrForObjectDetection",
        "ConditionalDetr",
        SMALL_DETR,
        "detect",
        "rtdetr",
    ),
    "deformable_detr": (
        "DeformableDetrForObjectDetection",
        "DeformableDetr",
        DEFORMABLE,
        "detect",
        "rtdetr",
    ),
    "rt_detr": (
        "RTDetrForObjectDetection",
        "RTDetr",
        {**RT, "backbone_config": RT_RESNET},
        "detect",
        "rtdetr",
    ),
    "rt_detr_v2": (
        "RTDetrV2ForObjectDetection",
        "RTDetr",
        {**RT, "backbone_config": RT_RESNET},
        "detect",
        "rtdetr",
    ),
    "d_fine": ("DFineForObjectDetection", "RTDetr", {**RT, "backbone_config": HGNET}, "detect", "rtdetr"),
    "mask2former": ("Mask2FormerForUniversalSegmentation", "Mask2Former", MASKS, "instances", "mask2former"),
    "segformer": ("SegformerForSemanticSegmentation", "Segformer", SEGFORMER, "segment", "pixel_logits"),
    "upernet": ("UperNetForSemanticSegmentation", "Segformer", UPERNET, "segment", "pixel_logits"),
}
LABELS = {0: "cat", 1: "dog", 2: "cow"}


def folder_of(place: Path, kind: str) -> tuple[Path, Any]:
    """A folder as the hub has it, and the library's own module."""
    name, processor, settings, _, _ = FAMILIES[kind]
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(kind, **settings, id2label=LABELS, label2id={})
    module = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for key, value in module.named_parameters():
            if value.dim() == 1 and "norm" not in key:
                value.add_(torch.randn_like(value) * 0.1)
            if "class_predictor.weight" in key or "mask_embedder" in key:
                value.copy_(torch.randn_like(value))  # so that the labels of a picture differ
    module.save_pretrained(place)
    size = {"height": 64, "width": 96}
    if processor in ("Detr", "ConditionalDetr", "DeformableDetr", "Mask2Former"):
        size = {"shortest_edge": 64, "longest_edge": 96}
    stated = {"image_processor_type": f"{processor}ImageProcessor", "size": size}
    (place / "preprocessor_config.json").write_text(json.dumps(stated))
    return place, module


def loaded(place: Path, name: str = "transformers/some/one", **changes: Any) -> Pretrained:
    config = {**json.loads((place / "config.json").read_text()), **changes}
    found = WeightFiles(config, place / "model.safetensors", "a" * 64, "unknown", "folder")
    return from_transformers.pretrained(name, config, found)


def pictures(*size: int) -> Any:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


def tensors(found: Any) -> tuple[Any, ...]:
    """The raw outputs of the library's own module, in the order of ours."""
    if hasattr(found, "pred_boxes"):
        return found.logits, found.pred_boxes
    if hasattr(found, "masks_queries_logits"):
        return found.class_queries_logits, found.masks_queries_logits
    return (found.logits,)


@pytest.mark.parametrize("kind", FAMILIES)
def test_outputs_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    place, peer = folder_of(tmp_path, kind)
    model = loaded(place)
    name, _, _, task, head = FAMILIES[kind]
    assert (model.card.task, model.card.output.head, model.card.labels) == (task, head, ("cat", "dog", "cow"))
    assert (model.card.architecture, model.card.output.classes) == (name, 3)
    (source,) = model.networks
    assert isinstance(source, ModuleSource)
    module = source.build()
    images = pictures(64, 96)
    with torch.inference_mode():
        answer, expected = module(images), tensors(peer(pixel_values=images))
    answer = answer if isinstance(answer, tuple) else (answer,)
    assert len(answer) == len(source.outputs)
    for mine, other in zip(answer, expected, strict=True):
        assert other.std() > 1e-4
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)


def test_a_repository_of_semantic_masks_answers_for_pixels(tmp_path: Path) -> None:
    place, peer = folder_of(tmp_path, "mask2former")
    model = loaded(place, "transformers/some/mask2former-tiny-semantic")
    assert (model.card.task, model.card.output.head) == ("segment", "pixel_logits")
    (source,) = model.networks
    images = pictures(64, 96)
    with torch.inference_mode():
        answer, found = source.build()(images), peer(pixel_values=images)
    processor = transformers.Mask2FormerImageProcessorPil()
    expected = processor.post_process_semantic_segmentation(found)
    assert torch.equal(answer.argmax(1), torch.stack(expected))
    assert len({int(value) for value in expected[0].unique()}) > 1, "this test compares nothing"


PEERS = {"detr": "Detr", "conditional_detr": "ConditionalDetr", "rt_detr": "RTDetr"}


@pytest.mark.parametrize("kind", PEERS)
def test_answers_are_those_of_the_librarys_own_processing(kind: str, tmp_path: Path) -> None:
    """From the picture's file to boxes in its pixels, beside transformers' pipeline of two steps."""
    place, peer = folder_of(tmp_path, kind)
    model = loaded(place)
    picture = Image(np.random.default_rng(2).integers(0, 256, (75, 131, 3), np.uint8), "made")
    batch = prepare([picture], model.card.program)
    processor = getattr(transformers, f"{PEERS[kind]}ImageProcessorPil").from_pretrained(place)
    taken = processor(PillowImage.fromarray(picture.pixels), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        found = peer(pixel_values=taken)
        arrays = model.networks[0].build()(torch.from_numpy(np.asarray(batch.arrays)))
    (expected,) = processor.post_process_object_detection(found, threshold=0.0, target_sizes=[picture.size])
    named = {name: values.numpy() for name, values in zip(("logits", "boxes"), arrays, strict=True)}
    (boxes,) = answers.answer(Outputs(named), model.card, batch)
    order = expected["scores"].argsort(descending=True, stable=True)
    count = min(len(boxes), len(order))
    assert count >= 10
    np.testing.assert_allclose(boxes.scores[:count], expected["scores"][order][:count], atol=1e-4)
    clipped = expected["boxes"][order].numpy().clip(0, [131, 75, 131, 75])
    for place_of, box in enumerate(boxes.xyxy):
        score, label = boxes.scores[place_of], boxes.indices[place_of]
        near = np.abs(expected["scores"][order].numpy() - score) < 1e-4
        near &= expected["labels"][order].numpy() == label
        assert np.abs(clipped[near] - box).max(axis=1).min() < 0.01


def spread(place: Path, module: Any) -> None:
    """Weights that answer otherwise for each query and cell: of equal ones a rounding picks the best."""
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() > 1:
                scale = (1.5 / value[0].numel()) ** 0.5
                value.copy_(torch.randn(value.shape, generator=drawn) * scale)
            elif "norm" not in name:
                value.copy_(torch.randn(value.shape, generator=drawn) * 0.3)
        for name, value in module.named_buffers():
            if name.endswith("running_var"):
                value.fill_(0.3)  # with 1 all cells of a deep map would be nearly the same
    module.save_pretrained(place)


def stretched(place: Path) -> None:
    """One size for all pictures: some networks can be a graph for one size only."""
    stated = json.loads((place / "preprocessor_config.json").read_text())
    size = {"height": 64, "width": 96}
    (place / "preprocessor_config.json").write_text(json.dumps({**stated, "size": size}))


GRAPHS = (
    "detr",
    "conditional_detr",
    "deformable_detr of one size",
    "rt_detr",
    "rt_detr_v2",
    "d_fine",
    "segformer",
    "upernet",
)


@pytest.mark.large
@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_answers_as_the_module_on_every_engine(name: str, tmp_path: Path) -> None:
    kind, _, one_size = name.partition(" ")
    place, peer = folder_of(tmp_path / "model", kind)
    spread(place, peer)
    if one_size:
        stretched(place)
    model = loaded(place, f"transformers/some/{one_size}")
    (source,) = model.networks
    assert isinstance(source, ModuleSource)
    assert source.free_size == (kind in ("detr", "conditional_detr"))
    module = source.build()
    random = np.random.default_rng(2)
    for engine_name in ("onnx", "openvino"):
        settings = EngineSettings(threads=1, cache=tmp_path / "cache")
        engine = running.start(model, engine_name, "fp32", settings).engine
        for size in ((48, 70), (90, 60)):
            picture = Image(random.integers(0, 256, (*size, 3), np.uint8), "made")
            batch = prepare([picture, picture], model.card.program, fuse=engine.fuses)
            found = engine.run(batch)
            with torch.inference_mode():
                expected = module(torch.from_numpy(np.asarray(finish(batch).arrays)))
            for output, values in zip(
                source.outputs, expected if isinstance(expected, tuple) else (expected,), strict=True
            ):
                # UperNet's logits are hundreds: a rounding is a share of them.
                allowed = 1e-4 * max(1.0, float(values.abs().max()))
                assert values.std(1).mean() > 5e-4, "this test compares nothing"
                np.testing.assert_allclose(found[output], values, rtol=0, atol=allowed, err_msg=output)
        engine.close()


def test_what_was_saved_with_our_wrapper_loads(tmp_path: Path) -> None:
    place, peer = folder_of(tmp_path, "segformer")
    (source,) = loaded(place).networks
    save_file(source.build().state_dict(), place / "model.safetensors")
    images = pictures(64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(place).networks[0].build()(images), peer(pixel_values=images).logits)


def test_tensors_fit_exactly_or_are_refused(tmp_path: Path) -> None:
    place, _ = folder_of(tmp_path, "detr")
    state = load_file(place / "model.safetensors")
    del state["bbox_predictor.layers.0.bias"]
    save_file(state, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"missing bbox_predictor\.layers\.0\.bias \(1\)"):
        loaded(place).networks[0].build()


def test_no_backbone_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published configs of DETR ask for timm's pretrained backbone; its weights are in DETR's file."""
    timm = pytest.importorskip("timm")
    asked: list[bool] = []
    create = timm.create_model

    def watched(*args: Any, **kwargs: Any) -> Any:
        asked.append(bool(kwargs.get("pretrained")))
        return create(*args, **kwargs)

    monkeypatch.setattr(timm, "create_model", watched)
    old = {
        **SMALL_DETR,
        "backbone": "test_resnet",
        "use_timm_backbone": True,
        "use_pretrained_backbone": True,
    }
    del old["backbone_config"]
    config = {
        "model_type": "detr",
        "architectures": ["DetrForObjectDetection"],
        **old,
        "id2label": {"0": "a"},
    }
    from_transformers.build(from_transformers.spec_of(config), None)
    assert asked == [False]


@pytest.mark.parametrize("name", ["DetrForSegmentation", "YolosForObjectDetection", "Mask2FormerModel"])
def test_what_is_not_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    place, _ = folder_of(tmp_path, "segformer")
    with pytest.raises(BadCard, match=r"no detector or segmenter that is known.*DetrForObjectDetection"):
        loaded(place, architectures=[name])
