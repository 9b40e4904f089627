"""Which architectures are compared, over all zoos: each kind of layer and of preprocessing at least once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One architecture with one weight entry.

    Attributes:
        name: what Signet is asked for.
        engines: other engines, besides torch.
        settings: what the peer needs to know: a configuration, a form of file, an independent class.
    """

    name: str
    engines: tuple[str, ...] = ("openvino",)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def zoo(self) -> str:
        """The part before the first slash."""
        return self.name.partition("/")[0]


BOTH = ("openvino", "onnx")
_TIMM_BOTH = {
    "resnet18.a1_in1k",
    "resnetv2_50x1_bit.goog_distilled_in1k",
    "levit_128s.fb_dist_in1k",
    "convnextv2_atto.fcmae_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "test_efficientnet.r160_in1k",
}
TIMM = [
    "resnet18.a1_in1k",
    "resnetv2_50x1_bit.goog_distilled_in1k",
    "mobilenetv3_small_100.lamb_in1k",
    "mobilenetv4_conv_small.e2400_r224_in1k",
    "tf_efficientnetv2_b0.in1k",
    "regnety_002.pycls_in1k",
    "convnext_atto.d2_in1k",
    "convnextv2_atto.fcmae_ft_in1k",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "deit_tiny_distilled_patch16_224.fb_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "levit_128s.fb_dist_in1k",
    "inception_v4.tf_in1k",
    "repvgg_a0.rvgg_in1k",
    "ghostnet_100.in1k",
    "dla34.in1k",
    "hrnet_w18_small.gluon_in1k",
    "edgenext_xx_small.in1k",
    "coat_lite_tiny.in1k",
    "cait_xxs24_224.fb_dist_in1k",
    "xcit_nano_12_p8_224.fb_in1k",
    "beit_base_patch16_224.in22k_ft_in22k_in1k",
    "fastvit_t8.apple_in1k",
    "eca_nfnet_l0.ra2_in1k",
    "rexnet_100.nav_in1k",
    "mobilevit_xxs.cvnets_in1k",
    "tf_mobilenetv3_small_075.in1k",
    "test_resnet.r160_in1k",
    "test_vit.r160_in1k",
    "test_efficientnet.r160_in1k",
    "skresnet18.ra_in1k",
    "hiera_tiny_224.mae_in1k_ft_in1k",
    "tiny_vit_5m_224.in1k",
    "crossvit_tiny_240.in1k",
]
TORCHVISION = [
    "alexnet.imagenet1k_v1",
    "convnext_tiny.imagenet1k_v1",
    "densenet121.imagenet1k_v1",
    "googlenet.imagenet1k_v1",
    "inception_v3.imagenet1k_v1",
    "mnasnet0_5.imagenet1k_v1",
    "mobilenet_v3_small.imagenet1k_v1",
    "regnet_y_400mf.imagenet1k_v2",
    "resnet18.imagenet1k_v1",
    "shufflenet_v2_x0_5.imagenet1k_v1",
    "squeezenet1_1.imagenet1k_v1",
    "swin_v2_t.imagenet1k_v1",
    "vit_b_16.imagenet1k_v1",
    "vit_b_16.imagenet1k_swag_e2e_v1",
]
_TORCHVISION_BOTH = {"googlenet.imagenet1k_v1", "mobilenet_v3_small.imagenet1k_v1"}
OPEN_CLIP = [
    "RN50.openai",
    "ViT-B-32.laion2b_s34b_b79k",
    "coca_ViT-B-32.laion2b_s13b_b90k",
    "MobileCLIP-S1.datacompdr",
    "ViT-B-16-SigLIP.webli",
]
_KERAS_BOTH = {"mobilenetv2_035_96", "efficientnetb0"}
KERAS = [
    "mobilenet_025_128",
    "mobilenetv2_035_96",
    "mobilenetv3small",
    "mobilenetv3small_minimalistic",
    "efficientnetb0",
    "efficientnetv2b0",
    "resnet50",
    "resnet50v2",
    "densenet121",
    "vgg16",
    "inceptionresnetv2",
    "inceptionv3",
    "xception",
    "convnexttiny",
]
OWN: tuple[Case, ...] = (
    Case("signet/densenet264"),
    Case("signet/efficientnet_b0", settings={"timm": "tf_efficientnet_b0"}),
    Case("signet/efficientnet_b2", settings={"timm": "tf_efficientnet_b2"}),
    Case(
        "signet/efficientnet_b1",
        BOTH,
        settings={
            "timm": "efficientnet_b1",
            "arguments": {"padding": "symmetric", "epsilon": 1e-5},
        },
    ),
    Case("signet/nasnet_a_large", settings={"arguments": {"borders": "keras"}}),
)

_CNN = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_SMALL_VIT = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 3, "intermediate_size": 192}


def _processor(kind: str, size: Any, **more: Any) -> dict[str, Any]:
    return {"image_processor_type": f"{kind}ImageProcessor", "size": size, **more}


def _transformers(
    name: str, kind: str, config: Mapping[str, Any], processor: Mapping[str, Any], **more: Any
) -> Case:
    settings = {"model_type": kind, "config": config, "processor": processor}
    return Case(f"transformers/{name}", settings=settings, **more)


_SQUARE = {"height": 224, "width": 224}
TRANSFORMERS: tuple[Case, ...] = (
    # Full size, as the published configurations are.
    _transformers("google/vit-base-patch16-224", "vit", {}, _processor("ViT", _SQUARE, resample=2, **_HALF)),
    _transformers(
        "microsoft/resnet-50",
        "resnet",
        {},
        _processor("ConvNext", {"shortest_edge": 224}, crop_pct=0.875, resample=3, **_CNN),
    ),
    _transformers(
        "facebook/convnext-tiny-224",
        "convnext",
        {},
        _processor("ConvNext", {"shortest_edge": 224}, crop_pct=0.875, resample=3, **_CNN),
        engines=BOTH,
    ),
    _transformers(
        "google/mobilenet_v2_1.0_224",
        "mobilenet_v2",
        {"num_labels": 1001, "background": True},
        _processor("MobileNetV2", {"shortest_edge": 256}, crop_size=_SQUARE, resample=2, **_HALF),
    ),
    _transformers(
        "facebook/levit-128S",
        "levit",
        {},
        _processor("Levit", {"shortest_edge": 224}, **_CNN),
    ),
    _transformers(
        "facebook/deit-tiny-distilled-patch16-224",
        "deit",
        {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "teacher": True},
        _processor("DeiT", {"height": 256, "width": 256}, crop_size=_SQUARE, resample=3, **_CNN),
    ),
    # Small configurations.
    _transformers(
        "facebook/dinov2-small",
        "dinov2",
        {**_SMALL_VIT, "image_size": 224, "patch_size": 14, "num_labels": 11},
        _processor("Bit", {"shortest_edge": 256}, crop_size=_SQUARE, do_center_crop=True, resample=3, **_CNN),
    ),
    _transformers(
        "microsoft/beit-base",
        "beit",
        {**_SMALL_VIT, "num_labels": 17, "use_relative_position_bias": True},
        _processor("Beit", _SQUARE, **_HALF),
    ),
    _transformers(
        "google/bit-50",
        "bit",
        {"hidden_sizes": [128, 128, 256, 256], "depths": [1, 2, 1, 1], "embedding_size": 32, "num_labels": 9},
        _processor("Bit", {"shortest_edge": 256}, crop_size=_SQUARE, resample=3, **_HALF),
        engines=BOTH,
    ),
    _transformers(
        "facebook/convnextv2-tiny-22k-288",
        "convnextv2",
        {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 2, 1]},
        _processor("ConvNext", {"shortest_edge": 288}, crop_pct=0.95, **_CNN),
    ),
    _transformers(
        "microsoft/swin-tiny-patch4-window7-224",
        "swin",
        {"embed_dim": 48, "depths": [1, 2], "num_heads": [3, 6]},
        _processor("ViT", _SQUARE, resample=3, **_CNN),
    ),
    _transformers(
        "apple/mobilevit-small",
        "mobilevit",
        {"hidden_sizes": [48, 64, 80]},
        _processor(
            "MobileViT",
            {"shortest_edge": 288},
            crop_size={"height": 256, "width": 256},
            do_flip_channel_order=True,
            resample=2,
        ),
    ),
    _transformers(
        "sail/poolformer_s12",
        "poolformer",
        {"hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 2, 1]},
        _processor("PoolFormer", {"shortest_edge": 224}, crop_pct=0.9, **_CNN),
    ),
    _transformers(
        "facebook/regnet-y-040",
        "regnet",
        {"embedding_size": 32, "depths": [1, 1, 2, 1], "hidden_sizes": [32, 64, 96, 128], "groups_width": 16},
        _processor("ConvNext", {"shortest_edge": 224}, crop_pct=0.875, **_CNN),
    ),
    _transformers(
        "nvidia/mit-b0",
        "segformer",
        {},
        _processor("Segformer", {"height": 256, "width": 256}, **_CNN),
    ),
    _transformers(
        "google/efficientnet-b0",
        "efficientnet",
        {"image_size": 224, "depth_coefficient": 1.0, "width_coefficient": 1.0, "hidden_dim": 1280},
        _processor(
            "EfficientNet",
            _SQUARE,
            image_mean=[0.485, 0.456, 0.406],
            image_std=[0.47853944, 0.4732864, 0.47434163],
            resample=0,
            include_top=True,
            rescale_offset=False,
        ),
    ),
)


def _named(zoo: str, names: list[str], both: set[str]) -> list[Case]:
    return [Case(f"{zoo}/{name}", BOTH if name in both else ("openvino",)) for name in names]


CASES: tuple[Case, ...] = (
    *_named("timm", TIMM, _TIMM_BOTH),
    *_named("torchvision", TORCHVISION, _TORCHVISION_BOTH),
    *TRANSFORMERS,
    *_named("open_clip", OPEN_CLIP, set()),
    *OWN,
    *_named("keras", [f"{name}.imagenet" for name in KERAS], {f"{name}.imagenet" for name in _KERAS_BOTH}),
)
"""All of them."""


def case(name: str) -> Case:
    """The case of a name."""
    (found,) = (each for each in CASES if each.name == name)
    return found
