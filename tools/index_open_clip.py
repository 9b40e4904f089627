"""Write the packaged index of open_clip's pretrained models, from the installed package.

    python tools/index_open_clip.py src/signet/catalogue/data/open_clip.jsonl

One line for each pair of architecture and tag whose weights are on the hub and whose text tower is
open_clip's own. Nothing is downloaded: parameters are counted on the meta device.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg

from signet.zoos.from_openclip import empty, own_words


def entries() -> Iterator[dict[str, Any]]:
    """Every usable pair, sorted by name."""
    for architecture, tag in sorted(open_clip.list_pretrained()):
        settings = open_clip.get_model_config(architecture)
        stated = get_pretrained_cfg(architecture, tag)
        if settings is None or not stated or settings["text_cfg"].get("hf_model_name"):
            continue
        repository, _, file = str(stated.get("hf_hub") or "").rpartition("/")
        if not repository:
            continue
        counted = count(architecture)
        if counted is None:
            continue
        size = settings["vision_cfg"]["image_size"]
        height, width = (size, size) if isinstance(size, int) else size
        cfg = {
            "tag": tag,
            "hf_hub_id": repository,
            "input_size": [3, height, width],
            "mean": list(stated["mean"]),
            "std": list(stated["std"]),
            "interpolation": stated["interpolation"],
            "resize_mode": stated["resize_mode"],
            "quick_gelu": bool(stated.get("quick_gelu", False)),
            "own_words": own_words(settings),
            "sigmoid": "init_logit_bias" in settings,
        }
        if file:
            cfg["hf_hub_filename"] = file
        yield {
            "name": f"open_clip/{architecture}.{tag}",
            "library": "open_clip",
            "architecture": architecture,
            "num_classes": 0,
            "parameters": counted,
            "embedding_width": settings["embed_dim"],
            "pretrained_cfg": cfg,
        }


def count(architecture: str) -> int | None:
    """Trainable values of both towers; None for one that needs something that is not installed."""
    with torch.device("meta"):
        try:
            module = empty(open_clip, open_clip.get_model_config(architecture), quick_gelu=False)
        except (
            AssertionError,
            ImportError,
            NotImplementedError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            print(f"{architecture}: left out, cannot be built: {str(error).splitlines()[0][:100]}")
            return None
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    lines = [json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in entries()]
    file.write_text("\n".join(lines) + "\n")
    print(f"open_clip: {len(lines)} entries")


if __name__ == "__main__":
    main()
