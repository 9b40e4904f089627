"""Detectors and segmenters of the index, whose entries write out what a classifier's leave to rules.

Beside the keys that every entry has, such a one states its `task`, its `program` and `output` in the form of
a card, and its `labels` as a packaged list's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from signet.cards import TASKS, Card, Claim, DigestTrust, InputSpec, Licence
from signet.catalogue.families import family_of
from signet.errors import BadCard, UnknownName
from signet.naming import shown
from signet.programs import Program

LABELS = ("coco_80", "coco_90", "voc_21")
"""Packaged lists of names: COCO's 80 categories, its 90 category numbers from 1 on, of which 10 were never
used, and Pascal VOC's 20 classes behind the background."""
SOURCE = "torchvision weight entry"
_METRICS = {
    "box_map": ("ap", "COCO val2017"),
    "mask_map": ("mask_ap", "COCO val2017"),
    "miou": ("miou", "COCO val2017, the 20 classes of Pascal VOC"),
    "pixel_acc": ("pixel_accuracy", "COCO val2017, the 20 classes of Pascal VOC"),
}
"""torchvision's names of figures to ours, with the data set that each was measured on."""
_KEYS = ("program", "output", "labels")


def card(name: str, config: Mapping[str, Any], digest: str | None, trust: DigestTrust, origin: str) -> Card:
    """The card that an entry states; the arguments are those of `configs.card`.

    Raises:
        BadCard: a key is missing, or has a value that is not understood.
    """
    missing = [key for key in _KEYS if key not in config]
    if config["task"] not in TASKS or missing:
        raise BadCard(
            f"config.json: expected a 'task' of {', '.join(TASKS)} together with {', '.join(_KEYS)}; "
            f"got the task {shown(config['task'])}{' without ' + ', '.join(missing) if missing else ''}."
        )
    program = Program.from_list(config["program"])
    stated = Card.from_dict(
        {
            "format": {"major": 1, "minor": 0},
            "name": name,
            "task": config["task"],
            "program": config["program"],
            "output": config["output"],
            "labels": names(config["labels"]),
        }
    )
    licence = str((config.get("pretrained_cfg") or {}).get("license") or "unknown")
    size = program.input_size() or (None, None)
    return Card(
        name=name,
        task=stated.task,
        program=program,
        output=stated.output,
        inputs=(InputSpec(name="images", shape=(None, 3, *size)),),
        labels=stated.labels,
        family=family_of(config["architecture"]).name,
        architecture=config["architecture"],
        licence=Licence(weights=licence.split(" ", maxsplit=1)[0], stated=licence != "unknown"),
        origin=origin,
        claims=claims(config),
        parameters=config.get("parameters"),
        gmacs=config.get("gmacs"),
        weights_digest=digest,
        digest_trust=trust,
    )


def claims(config: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The figures that an entry states, as fractions."""
    return tuple(
        Claim(_METRICS[key][0], round(value / 100, 6), _METRICS[key][1], SOURCE)
        for key, value in (config.get("claims") or {}).items()
        if key in _METRICS
    )


def names(stated: object) -> list[str]:
    """A list of labels: the names themselves, or those of a packaged list.

    Raises:
        BadCard: neither.
    """
    if isinstance(stated, list | tuple) and all(isinstance(name, str) for name in stated):
        return list(stated)
    if stated not in LABELS:
        raise BadCard(
            str(UnknownName("list of labels", shown(stated), LABELS, f"Known: {', '.join(LABELS)}."))
        )
    return files("signet.catalogue").joinpath(f"data/{stated}.txt").read_text("utf-8").splitlines()
