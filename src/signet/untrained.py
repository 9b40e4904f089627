"""A catalogue name's network with random weights: for what pretraining is worth, for speed, and from scratch.

Nothing is looked up or downloaded. What comes out says of itself that it knows nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from signet.catalogue import configs, entries, index
from signet.errors import UnknownName
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.zoos import by_name

ORIGIN = "random weights: it knows nothing"


def untrained(name: str) -> Pretrained:
    """The network of a name, not trained, with the preprocessing of its weight entry.

    Its weights come from torch's own generator, so `torch.manual_seed` before `build` makes them again.

    Args:
        name: one of the index, `signet/ARCHITECTURE`, or `signet/efficientnet:width=1.1,depth=1.2,size=240`.

    Raises:
        UnknownName: no such name, or no single one; carries near misses.
        BadRequest: an argument of the name is out of range.
    """
    zoo, _, rest = name.partition("/")
    if zoo == "signet":
        return _own(name, rest)
    full = index.full_name(name)
    config = index.config(full)
    library = str(config["library"])
    builder = by_name.zoo(library)
    if builder is None:
        raise UnknownName("zoo", library, by_name.LIBRARIES)
    card = entries.card(full, config, None, "unknown", ORIGIN)
    return _pretrained(builder, builder.spec_of(config), card)


def _own(name: str, rest: str) -> Pretrained:
    """Signet's own: no weights state a preprocessing, so it is that of most, at the architecture's size."""
    from signet.architectures import building, yolo_table
    from signet.zoos import from_architectures

    asked = building.parse_name(rest)
    spec = from_architectures.spec_named(rest)
    config = {
        "architecture": asked.architecture,
        "num_classes": spec.classes,
        "pretrained_cfg": {
            "input_size": [3, asked.size, asked.size],
            "classifier": spec.classifier,
            "crop_pct": 0.875,
            "interpolation": "bicubic",
        },
    }
    if asked.architecture in yolo_table.NETWORKS:
        config["pretrained_cfg"] = {"input_size": [3, asked.size, asked.size]}
    whole = from_architectures.completed(config)
    card = configs.card(name, whole, None, "unknown", ORIGIN)
    return _pretrained(from_architectures, spec, card)


def _pretrained(builder: Any, spec: ModuleSpec, card: Any) -> Pretrained:
    text = json.dumps(["untrained", spec.to_dict()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    made: ModuleSource = builder.module_source(spec, Path(), digest, card.input_size or (224, 224))
    source = dataclasses.replace(made, build=partial(builder.build, spec, None), weights=None)
    return Pretrained(card, (source,), configs.digest_with(digest, card), "untrained")
