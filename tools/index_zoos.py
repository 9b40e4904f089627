"""Write the packaged index of what timm and torchvision carry, from the installed packages.

    python tools/index_zoos.py src/signet/catalogue/data

The product never asks a zoo what it has: it reads these files, so that finding a model and reading its
preprocessing needs no torch. `tests/catalogue/test_index.py` fails when they are older than the zoos.
One line for each pretrained classifier, in the form of a pretrained folder's `config.json`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
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
                "name": f"torchvision/{architecture}.{weight.name.lower()}",
                "library": "torchvision",
                "architecture": architecture,
                "num_classes": len(weight.meta["categories"]),
                "parameters": weight.meta["num_params"],
                "gmacs": weight.meta.get("_ops"),
                # torchvision states megabytes of 2^20 bytes, to a thousandth.
                "tensor_bytes": round(weight.meta["_file_size"] * 2**20),
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
