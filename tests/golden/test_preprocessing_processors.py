"""Programs from `preprocessor_config.json`, beside the image processors of transformers on Pillow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image as PilImage

from signet.batches import Batch
from signet.catalogue import processors
from signet.errors import BadCard
from signet.images import Image
from signet.preprocessing import prepare
from signet.programs import Program

ONE_LEVEL = 1 / 255

# As the published files of well-known models state them, new and old forms.
STATED: dict[str, dict[str, Any]] = {
    "vit-base-patch16-224": {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "ViTFeatureExtractor",
        "resample": 2,
        "size": {"height": 224, "width": 224},
    },
    "vit, bare numbers": {"feature_extractor_type": "ViTFeatureExtractor", "size": 384, "resample": 3},
    "resnet-50": {
        "crop_pct": 0.875,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": 224,
    },
    "convnext, warped": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 384},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
    "convnextv2-tiny-288": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 288},
        "crop_pct": 0.95,
    },
    "dinov2-base": {
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "BitImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 256},
    },
    "beit-base": {"image_processor_type": "BeitImageProcessor", "size": {"height": 224, "width": 224}},
    "deit-base, old": {
        "feature_extractor_type": "DeiTFeatureExtractor",
        "size": 256,
        "crop_size": 224,
        "resample": 3,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "do_center_crop": True,
    },
    "levit-128S": {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 224}},
    "mobilenet_v1_0.75_192": {
        "image_processor_type": "MobileNetV1ImageProcessor",
        "size": {"shortest_edge": 219},
        "crop_size": {"height": 192, "width": 192},
    },
    "mobilenet_v2_1.0_224": {
        "image_processor_type": "MobileNetV2ImageProcessor",
        "size": {"shortest_edge": 256},
    },
    "mobilevit-small": {
        "image_processor_type": "MobileViTImageProcessor",
        "crop_size": {"height": 256, "width": 256},
        "do_flip_channel_order": True,
        "resample": 2,
        "size": {"shortest_edge": 288},
    },
    "poolformer_s12": {
        "image_processor_type": "PoolFormerImageProcessor",
        "crop_pct": 0.9,
        "size": {"shortest_edge": 224},
    },
    "pvt-tiny": {"image_processor_type": "PvtImageProcessor"},
    "mit-b0": {"image_processor_type": "SegformerImageProcessor", "size": {"height": 512, "width": 512}},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 224, "width": 224}},
    "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224}, "crop_size": 224},
    "efficientnet-b0": {
        "image_processor_type": "EfficientNetImageProcessor",
        "size": {"height": 224, "width": 224},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.47853944, 0.4732864, 0.47434163],
        "resample": 0,
        "include_top": True,
        "rescale_offset": False,
    },
    "detr, short side": {
        "image_processor_type": "DetrImageProcessor",
        "size": {"shortest_edge": 96, "longest_edge": 160},
        "do_pad": True,
        "format": "coco_detection",
    },
    "detr, long side, as older files say it": {
        "feature_extractor_type": "DetrFeatureExtractor",
        "size": 96,
        "max_size": 111,
        "format": "coco_detection",
    },
    "rt-detr": {"image_processor_type": "RTDetrImageProcessor", "size": {"height": 96, "width": 128}},
    "mask2former": {
        "image_processor_type": "Mask2FormerImageProcessor",
        "size": {"shortest_edge": 96, "longest_edge": 133},
        "size_divisor": 32,
        "ignore_index": 255,
    },
    "efficientnet, offset": {
        "image_processor_type": "EfficientNetImageProcessor",
        "rescale_factor": 1 / 127.5,
        "rescale_offset": True,
        "do_center_crop": True,
        "include_top": False,
    },
}


def kind_of(name: str) -> str:
    return processors.type_of(STATED[name])


def theirs(stated: dict[str, Any], image: Image) -> np.ndarray:
    """What transformers makes of a picture."""
    name = f"{processors.type_of(stated)}ImageProcessorPil"
    kept = {key: value for key, value in stated.items() if not key.endswith("_type")}
    values = getattr(transformers, name)(**kept)(PilImage.fromarray(image.pixels), return_tensors="np")
    return np.asarray(values["pixel_values"], np.float32)


def ours(stated: dict[str, Any], image: Image) -> np.ndarray:
    batch: Batch = prepare([image], processors.program(stated))
    return np.stack(list(batch.arrays)).astype(np.float32)


@pytest.mark.parametrize("name", STATED)
def test_pixels_are_those_of_transformers(name: str, real_images: list[Image]) -> None:
    for image in real_images:
        mine, peer = ours(STATED[name], image), theirs(STATED[name], image)
        assert mine.shape == peer.shape
        np.testing.assert_allclose(mine, peer, rtol=1e-5, atol=2e-6, err_msg=f"{name}: {image.source}")


@pytest.mark.parametrize("kind", processors.PROCESSORS)
def test_defaults_are_those_of_transformers(kind: str) -> None:
    own = processors.PROCESSORS[kind]
    peer = getattr(transformers, f"{kind}ImageProcessorPil")
    size = own.size
    expected = {"shortest_edge": size} if isinstance(size, int) else {"height": size[0], "width": size[1]}
    if own.longest:
        expected["longest_edge"] = own.longest
    assert getattr(peer, "size_divisor", None) == own.multiple
    assert peer.size == expected
    if own.do_center_crop:
        assert peer.crop_size == {"height": own.crop[0], "width": own.crop[1]}
    assert tuple(peer.image_mean) == own.mean
    assert tuple(peer.image_std) == own.std
    assert int(peer.resample) == own.resample
    for key in ("do_resize", "do_center_crop", "do_rescale"):
        assert bool(getattr(peer, key, False)) == getattr(own, key), key
    assert getattr(peer, "default_to_square", True) == own.square
    if own.special != "mobilevit":
        assert bool(peer.do_normalize) == own.do_normalize
    if own.special in ("convnext", "poolformer"):
        assert peer.crop_pct == own.crop_pct


@pytest.mark.parametrize("name", STATED)
def test_programs_survive_json(name: str) -> None:
    program = processors.program(STATED[name])
    assert Program.from_list(json.loads(json.dumps(program.to_list()))) == program
    assert (program.input_size() is None) == (processors.PROCESSORS[kind_of(name)].special == "detr")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({}, "expected 'image_processor_type'"),
        ({"image_processor_type": "ViTImageProcesor"}, "ViTImageProcessor"),
        ({"image_processor_type": "ImageGPTImageProcessor"}, "image processor"),
        ({"image_processor_type": "ViTImageProcessor", "cropp_pct": 0.9}, "crop_pct"),
        ({"image_processor_type": "ViTImageProcessor", "do_pad": True}, "may change the preprocessing"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"max_height": 5}}, "expected 'size'"),
        ({"image_processor_type": "ViTImageProcessor", "resample": 9}, "0 to 5"),
        ({"image_processor_type": "ViTImageProcessor", "image_mean": [1, 2]}, "three numbers"),
        ({"image_processor_type": "ViTImageProcessor", "do_resize": 1}, "true or false"),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"height": 2, "width": 2}},
            "shortest_edge",
        ),
    ],
)
def test_what_is_not_understood_is_refused(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(BadCard, match=words):
        processors.program(stated)
