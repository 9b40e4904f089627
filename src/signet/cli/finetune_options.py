"""The options of `signet finetune` that no other command has: most are a setting of the recipe, and win."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from signet.cli import options as o


class StrategyName(enum.StrEnum):
    """How much of the model is trained."""

    auto = "auto"
    probe = "probe"
    head = "head"
    partial = "partial"
    full = "full"
    scratch = "scratch"
    gradual = "gradual"
    probe_then_finetune = "probe-then-finetune"
    lora = "lora"


class PresetName(enum.StrEnum):
    """A recipe for a purpose."""

    few_shot = "few-shot"
    bit_hyperrule = "bit-hyperrule"


class HeadName(enum.StrEnum):
    """What is put on the backbone."""

    auto = "auto"
    linear = "linear"
    mlp = "mlp"
    unet = "unet"
    fpn = "fpn"
    deeplabv3plus = "deeplabv3plus"
    yolo = "yolo"
    faster_rcnn = "faster-rcnn"
    mask_rcnn = "mask-rcnn"


class AdaptationName(enum.StrEnum):
    """How the result is adapted to the images of --target."""

    auto = "auto"
    none = "none"
    adabn = "adabn"
    coral = "coral"
    tent = "tent"


class TrackerName(enum.StrEnum):
    """Where the figures of each epoch go besides the curves."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"


DatasetPath = Annotated[
    Path, typer.Argument(metavar="DATASET", help="Images with classes, boxes, masks or labelled pixels.")
]
Out = Annotated[Path, typer.Option("--out", help="The seal to write: X.signet.")]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="Every setting, as TOML.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting of the recipe; may be repeated."),
]
Preset = Annotated[
    PresetName | None,
    typer.Option("--preset", help="Settings for a purpose; what you set yourself wins."),
]
Search = Annotated[
    float | None,
    typer.Option("--search", metavar="SECONDS", help="Time to try rates, augmentation and stages in first."),
]
Strategy = Annotated[StrategyName | None, typer.Option("--strategy", help="What is trained.")]
Head = Annotated[
    HeadName | None,
    typer.Option("--head", help="linear, mlp for classes; unet ... for pixels; yolo ... for objects."),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option("--freeze", metavar="STAGE", help="A stage that stays as it is; may be repeated."),
]
AllowRate = Annotated[
    bool, typer.Option("--allow-rate", help="Learn at rates that are known to destroy such a network, too.")
]
FindRate = Annotated[
    bool,
    typer.Option("--find-rate", help="Try learning rates on a copy, say which is good, and train nothing."),
]
Golden = Annotated[
    o.GoldenKind | None, typer.Option("--golden", help="own: a few of your images go into the seal.")
]
RandomBaseline = Annotated[
    bool, typer.Option("--random-baseline", help="Train from random weights, too, to compare with.")
]
Target = Annotated[
    Path | None,
    typer.Option("--target", help="Images of another kind to adapt to; their labels decide nothing."),
]
Adaptation = Annotated[
    AdaptationName | None, typer.Option("--adaptation", help="How; auto: what those images speak for.")
]
Tracker = Annotated[
    TrackerName | None,
    typer.Option("--tracker", help="Write the figures to X.tensorboard/ or X.mlflow/, too, on this disk."),
]
Processes = Annotated[
    int | None,
    typer.Option("--processes", min=1, help="Processes that train together, each a share of every step."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
Budget = Annotated[float | None, typer.Option("--budget", help="Seconds that it may take.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")]
NoAudit = Annotated[
    bool, typer.Option("--no-audit", help="Do not look for broken files, copies and leaks first.")
]
