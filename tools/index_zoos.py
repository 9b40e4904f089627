"""Write the packaged index of what timm and torchvision carry, from the installed packages.

    python tools/index_zoos.py src/signet/catalogue/data

The product never asks a zoo what it has: it reads these files, so that finding a model and reading its
preprocessing needs no torch. `tests/catalogue/test_index.py` fails when they are older than the zoos.
One line for each pretrained weight, in the form of a pretrained folder's `config.json`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch

TIMM_KEYS_NOT_KEPT = ("file", "state_dict", "source", "architecture", "notes", "description")
TOWERS = re.compile(r"clip|_mci|^vit_pe_core_")
"""Architectures and tags of image-text models. Where such a one has a "head", it is the projection into the
space that pictures share with words, and its outputs are no classes."""
MOST_DIMENSIONS = 2048
"""Classes of timm's weights are 1,000 or more than 10,000; projections are narrower than this."""


def timm_entries() -> Iterator[dict[str, Any]]:
    """Every pretrained classifier of timm, and the image towers with a projection."""
    import timm

    counts: dict[tuple[str, int], dict[str, int | None]] = {}
    for name in sorted(timm.list_pretrained()):
        stated = timm.get_pretrained_cfg(name).to_dict()
        outputs = stated.get("num_classes")
        if not outputs or not has_weights(stated):
            continue
        key = stated["architecture"], outputs
        if key not in counts:
            counts[key] = count_timm(*key)
        kept = {key: value for key, value in stated.items() if key not in TIMM_KEYS_NOT_KEPT}
        if stated.get("hf_hub_id"):
            kept.pop("url", None)
        entry = {
            "name": f"timm/{name}",
            "library": "timm",
            "architecture": stated["architecture"],
            "num_classes": outputs,
            **counts[key],
            "pretrained_cfg": kept,
        }
        yield {**entry, "embedding_width": outputs} if is_tower(name, outputs) else entry


def has_weights(stated: Mapping[str, Any]) -> bool:
    """Whether the hub or an https address has the weights that a timm config describes."""
    return bool(stated.get("hf_hub_id")) or str(stated.get("url") or "").startswith("https://")


def is_tower(name: str, outputs: int) -> bool:
    """Whether the outputs of a timm model are the dimensions of an embedding, and not classes.

    Raises:
        ValueError: the number of outputs is one that neither rule knows; look at it, then state what it is.
    """
    if outputs == 1000 or outputs > MOST_DIMENSIONS:
        return False
    if not TOWERS.search(name) and not re.search(r"\.(openai|laion|dfn|metaclip|datacomp)", name):
        raise ValueError(f"{name} has {outputs} outputs: neither classes nor a projection that is known")
    return True


def count_timm(architecture: str, outputs: int) -> dict[str, int | None]:
    """Trainable values and bytes of the tensors of an architecture, counted on the meta device.

    Both are None where timm cannot build it there.
    """
    import timm

    try:
        with torch.device("meta"):
            module = timm.create_model(architecture, num_classes=outputs)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError):
        return {"parameters": None, "tensor_bytes": None}
    values = module.state_dict().values()
    return {
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "tensor_bytes": sum(value.numel() * value.element_size() for value in values),
    }


def torchvision_entries() -> Iterator[dict[str, Any]]:
    """Every weight entry of torchvision's classifiers, its transforms written out."""
    import torchvision
    from torchvision.models import get_model_weights, list_models

    for architecture in sorted(list_models(module=torchvision.models)):
        for weight in get_model_weights(architecture):
            if weight.meta["categories"] is None:
                continue  # features only: not a classifier
            transforms = weight.transforms()
            metrics = weight.meta.get("_metrics", {}).get("ImageNet-1K", {})
            yield {
                **stated_of(architecture, weight, metrics),
                "pretrained_cfg": {
                    "tag": weight.name.lower(),
                    "url": weight.url,
                    "input_size": [3, transforms.crop_size[0], transforms.crop_size[0]],
                    "resize_mode": "short",
                    "resize_size": transforms.resize_size[0],
                    "crop_mode": "center",
                    "crop_size": [transforms.crop_size[0]] * 2,
                    "interpolation": transforms.interpolation.value,
                    "mean": transforms.mean,
                    "std": transforms.std,
                    "num_classes": len(weight.meta["categories"]),
                },
            }


def stated_of(architecture: str, weight: Any, metrics: Mapping[str, float]) -> dict[str, Any]:
    """What a weight entry of torchvision says of itself, whatever it is for."""
    return {
        "name": f"torchvision/{architecture}.{weight.name.lower()}",
        "library": "torchvision",
        "architecture": architecture,
        "num_classes": len(weight.meta["categories"]),
        "parameters": weight.meta["num_params"],
        "gmacs": weight.meta.get("_ops"),
        # torchvision states megabytes of 2^20 bytes, to a thousandth.
        "tensor_bytes": round(weight.meta["_file_size"] * 2**20),
        "claims": dict(metrics),
    }


FROZEN_WITHOUT_EPSILON = (
    "fasterrcnn_resnet50_fpn.coco_v1",
    "maskrcnn_resnet50_fpn.coco_v1",
    "retinanet_resnet50_fpn.coco_v1",
)
"""Weights from before torchvision's frozen batch normalisation had an epsilon.

Source: `overwrite_eps(model, 0.0)` in torchvision's builders. `tests/zoos/test_torchvision_dense.py` compares
each with torchvision's own module."""


def torchvision_dense_entries() -> Iterator[dict[str, Any]]:
    """Every weight entry of torchvision's detectors and segmenters, what they do to a picture written out."""
    from torchvision.models import detection, get_model, get_model_weights, list_models, segmentation

    for architecture in sorted([*list_models(module=detection), *list_models(module=segmentation)]):
        if architecture.startswith("keypointrcnn_"):
            continue
        module = get_model(architecture, weights=None, weights_backbone=None)
        for weight in get_model_weights(architecture):
            name = f"{architecture}.{weight.name.lower()}"
            size = getattr(getattr(module, "transform", None), "fixed_size", None)
            # Some entries list one data set, some none for a network without masks.
            (metrics,) = weight.meta["_metrics"].values()
            entry = {
                **stated_of(architecture, weight, metrics),
                **(pixel_contract(weight) if hasattr(module, "classifier") else box_contract(module, weight)),
                "pretrained_cfg": {
                    "tag": weight.name.lower(),
                    "url": weight.url,
                    **({"input_size": [3, *size]} if size else {}),
                },
            }
            yield {**entry, "model_args": {"epsilon": 0.0}} if name in FROZEN_WITHOUT_EPSILON else entry


def box_contract(module: Any, weight: Any) -> dict[str, Any]:
    """Task, program, output and labels of a detector.

    torchvision's detectors resize the normalised picture without antialias. Numbers of a straight line stay
    the same either way, so the normalisation comes last here, where an engine can do it.
    """
    does = module.transform
    if does.fixed_size is None:
        resize = {
            "fit": "short",
            "short": does.min_size[-1],
            "longest": does.max_size,
            "lengths": "factor",
        }
    else:
        resize = {"fit": "stretch", "size": list(does.fixed_size)}
    masks = getattr(getattr(module, "roi_heads", None), "mask_head", None) is not None
    labels = weight.meta["categories"]
    assert (labels[0], len(labels)) == ("__background__", 91), labels
    return {
        "task": "instances" if masks else "detect",
        "program": [
            {"step": "read"},
            # Before the resize, so that it is one of floats.
            {"step": "type", "dtype": "float32"},
            {"step": "resize", "filter": "bilinear", "antialias": False, **resize},
            *normalised(does.image_mean, does.image_std),
        ],
        "output": {
            "head": "mask_rcnn" if masks else "boxes",
            "tensor": "boxes",
            "classes": 91,
            "drop_first": True,
        },
        "labels": "coco_90",
    }


def pixel_contract(weight: Any) -> dict[str, Any]:
    """Task, program, output and labels of a segmenter."""
    does = weight.transforms()
    assert len(weight.meta["categories"]) == 21
    (short,) = does.resize_size
    return {
        "task": "segment",
        "program": [
            {"step": "read"},
            {"step": "resize", "fit": "short", "short": short, "filter": does.interpolation.value},
            *normalised(does.mean, does.std),
        ],
        "output": {"head": "pixel_logits", "tensor": "logits", "classes": 21, "background_index": 0},
        "labels": "voc_21",
    }


def normalised(mean: Any, std: Any) -> list[dict[str, Any]]:
    """The steps from bytes to what a network of torchvision takes."""
    return [
        {"step": "type", "dtype": "float32"},
        {"step": "range", "scale": 1 / 255},
        {"step": "normalise", "mean": list(mean), "std": list(std)},
        {"step": "layout", "order": "NCHW"},
    ]


def coco_labels() -> list[str]:
    """Names of COCO's category numbers from 1 to 90; ten of them were never used."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    return list(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:])


def voc_labels() -> list[str]:
    """Pascal VOC's names, the background first."""
    from torchvision.models.segmentation import FCN_ResNet50_Weights

    return ["background", *FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"][1:]]


def imagenet_labels() -> list[str]:
    """The 1,000 names, in index order; torchvision tells the two cranes and the two maillots apart."""
    from torchvision.models import ResNet50_Weights

    return list(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])


def main() -> None:
    """Write the index and the lists of labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for zoo, entries in (
        ("torchvision", chain(torchvision_entries(), torchvision_dense_entries())),
        ("timm", timm_entries()),
    ):
        lines = [json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in entries]
        (folder / f"{zoo}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{zoo}: {len(lines)} entries")
    lists = {"imagenet_1k": imagenet_labels(), "coco_90": coco_labels(), "voc_21": voc_labels()}
    for name, labels in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(labels) + "\n")


if __name__ == "__main__":
    main()
