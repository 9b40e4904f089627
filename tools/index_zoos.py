"""Write the packaged index of what timm and torchvision carry, from the installed packages.

    python tools/index_zoos.py src/signet/catalogue/data

The product never asks a zoo what it has: it reads these files, so that finding a model and reading its
preprocessing needs no torch. `tests/catalogue/test_index.py` fails when they are older than the zoos.
One line for each pretrained classifier, in the form of a pretrained folder's `config.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

TIMM_KEYS_NOT_KEPT = ("url", "file", "state_dict", "source", "architecture", "notes", "description")


def timm_entries() -> Iterator[dict[str, Any]]:
    """Every pretrained classifier of timm with weights on the hub."""
    import timm

    counts: dict[str, int | None] = {}
    for name in sorted(timm.list_pretrained()):
        stated = timm.get_pretrained_cfg(name).to_dict()
        if not stated.get("num_classes") or not stated.get("hf_hub_id"):
            continue
        architecture = stated["architecture"]
        if architecture not in counts:
            counts[architecture] = count_timm(architecture)
        kept = {key: value for key, value in stated.items() if key not in TIMM_KEYS_NOT_KEPT}
        yield {
            "name": f"timm/{name}",
            "library": "timm",
            "architecture": architecture,
            "num_classes": stated["num_classes"],
            "parameters": counts[architecture] if stated["num_classes"] == 1000 else None,
            "pretrained_cfg": kept,
        }


def count_timm(architecture: str) -> int | None:
    """Trainable values of an architecture with a head of 1,000 classes, counted on the meta device."""
    import timm

    try:
        with torch.device("meta"):
            module = timm.create_model(architecture, num_classes=1000)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError):
        return None
    return sum(parameter.numel() for parameter in module.parameters())


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
                "name": f"torchvision/{architecture}.{weight.name.lower()}",
                "library": "torchvision",
                "architecture": architecture,
                "num_classes": len(weight.meta["categories"]),
                "parameters": weight.meta["num_params"],
                "gmacs": weight.meta.get("_ops"),
                "claims": dict(metrics),
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


def imagenet_labels() -> list[str]:
    """The 1,000 names, in index order; torchvision tells the two cranes and the two maillots apart."""
    from torchvision.models import ResNet50_Weights

    return list(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for zoo, entries in (("torchvision", torchvision_entries()), ("timm", timm_entries())):
        lines = [json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in entries]
        (folder / f"{zoo}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{zoo}: {len(lines)} entries")
    (folder / "imagenet_1k.txt").write_text("\n".join(imagenet_labels()) + "\n")


if __name__ == "__main__":
    main()
