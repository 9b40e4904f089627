"""Libraries for pretrained networks, each used as its own documentation says; run by a Python that has them.

Weights are random: what is asked is who notices a mistake, not how well a network answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from faults.pipelines import SIDE

Picture = Image.Image
View = Callable[..., Any]
"""A picture, and settings of this table that are not as they should be, to float32 (1, 3, H, W).

    filter: "bilinear", "bicubic"; size: what is resized to, an int (short side) or (H, W); crop: the part in
    the middle; mean, std: of the normalisation; normalised, scaled, antialias: whether it is done.
"""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN: Mapping[str, Any] = {
    "filter": "bilinear",
    "size": 256,
    "crop": SIDE,
    "mean": MEAN,
    "std": STD,
    "normalised": True,
    "scaled": True,
    "antialias": True,
}


@dataclass(frozen=True)
class Adapter:
    """One library.

    Attributes:
        name: of it.
        module: a small network with random weights, ready to answer; settings of the architecture can be
            changed where it has them.
        opened: how it opens a file.
        view: its own preprocessing.
        logits: what it answers, for a module and a view.
        saved: a module's weights to a file or folder.
        loaded: the same from there; raises, or says, what it finds wrong.
        head: how the tensors of the last layer are called.
        datasets: a folder SPLIT/CLASS/FILE to what a training and a validation see, each (view, class).
        impossible: by fault, why the documented way leaves no room for it.
        absent: by fault, why it has nothing of the kind.
    """

    name: str
    module: Callable[..., Any]
    opened: Callable[[Path], Picture]
    view: View
    logits: Callable[[Any, Any], Any]
    saved: Callable[[Any, Path], Path]
    loaded: Callable[[Any, Path], Any]
    head: str
    datasets: Callable[..., tuple[Sequence[Any], Sequence[Any]]]
    impossible: Mapping[str, str]
    absent: Mapping[str, str]


NO_DETECTOR = "it has no detector"
_ALWAYS = {"no antialias": "pictures are resized by Pillow, always with antialias"}
_OF_DETECTORS = (
    "letterbox rounded",
    "letterbox centred",
    "another NMS threshold",
    "boxes not flipped back",
    "answers as xywh",
    "labels by identifier",
    "boxes not flipped with the image",
    "xywh for xyxy",
    "identifiers remapped wrongly",
)


def _rgb(path: Path) -> Picture:
    return Image.open(path).convert("RGB")


def _state_saved(module: Any, to: Path) -> Path:
    from safetensors.torch import save_file

    save_file({name: value.contiguous().clone() for name, value in module.state_dict().items()}, to)
    return to


def _state_loaded(module: Any, source: Path) -> Any:
    from safetensors.torch import load_file

    module.load_state_dict(load_file(source))
    return module.eval()


def _folders(root: Path, learned: Any, judged: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    from torchvision.datasets import ImageFolder

    return ImageFolder(root / "train", learned), ImageFolder(root / "val", judged)


def timm() -> Adapter:
    """`create_model`, `create_transform`, `load_checkpoint`, `create_dataset`."""
    import timm as library
    import torch

    def module(**settings: Any) -> Any:
        return library.create_model("mobilenetv2_050", pretrained=False, **settings).eval()

    def transform(**changes: Any) -> Any:
        asked = {**PLAIN, **changes}
        size = asked["size"]
        share = asked["crop"] / (size if isinstance(size, int) else size[0])
        return library.data.create_transform(
            input_size=(3, asked["crop"], asked["crop"]), interpolation=asked["filter"],
            mean=asked["mean"], std=asked["std"], crop_pct=share, normalize=asked["normalised"],
            crop_mode="center" if isinstance(size, int) else "squash",
            is_training=asked.get("augmented", False), use_prefetcher=not asked["scaled"],
        )  # fmt: skip

    def view(picture: Picture, **changes: Any) -> Any:
        return torch.as_tensor(transform(**changes)(picture))[None].float()

    def loaded(module: Any, source: Path) -> Any:
        library.models.load_checkpoint(module, str(source))
        return module.eval()

    def datasets(root: Path, **changes: Any) -> tuple[Sequence[Any], Sequence[Any]]:
        made = [library.data.create_dataset("", root=root, split=split) for split in ("train", "val")]
        made[0].transform, made[1].transform = transform(augmented=True), transform(**changes)
        return made[0], made[1]

    return Adapter(
        "timm", module, _rgb, view, lambda net, shown: net(shown), _state_saved, loaded, "classifier.",
        datasets, _ALWAYS, dict.fromkeys(_OF_DETECTORS, NO_DETECTOR),
    )  # fmt: skip


def torchvision() -> Adapter:
    """`get_model`, the classification preset of its weights, `ImageFolder`, `load_state_dict`."""
    import torch
    from torchvision import models, transforms
    from torchvision.transforms import functional
    from torchvision.transforms._presets import ImageClassification

    filters = {
        "bilinear": functional.InterpolationMode.BILINEAR,
        "bicubic": functional.InterpolationMode.BICUBIC,
    }

    def view(picture: Picture, **changes: Any) -> Any:
        asked = {**PLAIN, **changes}
        preset = ImageClassification(
            crop_size=asked["crop"], resize_size=asked["size"], mean=asked["mean"], std=asked["std"],
            interpolation=filters[asked["filter"]], antialias=asked["antialias"],
        )  # fmt: skip
        if asked["normalised"] and asked["scaled"] and isinstance(asked["size"], int):
            shown = picture if asked["antialias"] else functional.pil_to_tensor(picture)
            return preset(shown)[None]
        steps: list[Any] = [transforms.Resize(asked["size"]), transforms.CenterCrop(asked["crop"])]
        steps.append(transforms.ToTensor() if asked["scaled"] else transforms.PILToTensor())
        steps.append(transforms.ConvertImageDtype(torch.float32) if asked["scaled"] else lambda x: x.float())
        if asked["normalised"]:
            steps.append(transforms.Normalize(asked["mean"], asked["std"]))
        return transforms.Compose(steps)(picture)[None]

    def datasets(root: Path, *, augmented: bool = False) -> tuple[Sequence[Any], Sequence[Any]]:
        random = transforms.Compose(
            [transforms.RandomResizedCrop(SIDE), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        )
        return _folders(root, random, random if augmented else lambda shown: view(shown)[0])

    return Adapter(
        "torchvision",
        lambda **settings: models.get_model("mobilenet_v2", weights=None, **settings).eval(),
        _rgb, view, lambda net, shown: net(shown), _state_saved, _state_loaded, "classifier.", datasets,
        {}, dict.fromkeys(("letterbox rounded", "letterbox centred"), "its detectors fit no letterbox"),
    )  # fmt: skip


def transformers() -> Adapter:
    """A processor and a model by `from_pretrained`, pictures by `load_image`."""
    import torch
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor
    from transformers.image_utils import load_image

    def module(**settings: Any) -> Any:
        config = MobileNetV2Config(num_labels=1000, depth_multiplier=0.35, **settings)
        return MobileNetV2ForImageClassification(config).eval()

    def view(picture: Picture, **changes: Any) -> Any:
        asked = {**PLAIN, **changes}
        size = asked["size"]
        side = (
            {"shortest_edge": size}
            if isinstance(size, int)
            else dict(zip(("height", "width"), size, strict=True))
        )
        processor = MobileNetV2ImageProcessor(
            size=side, crop_size={"height": asked["crop"], "width": asked["crop"]},
            resample=Image.Resampling[asked["filter"].upper()], image_mean=asked["mean"],
            image_std=asked["std"], do_normalize=asked["normalised"], do_rescale=asked["scaled"],
        )  # fmt: skip
        return processor(picture, return_tensors="pt")["pixel_values"]

    def saved(module: Any, to: Path) -> Path:
        folder = to.with_suffix("")
        module.save_pretrained(folder)
        return folder

    def loaded(module: Any, source: Path) -> Any:
        del module
        return MobileNetV2ForImageClassification.from_pretrained(source)

    def datasets(root: Path, *, augmented: bool = False) -> tuple[Sequence[Any], Sequence[Any]]:
        from torchvision import transforms as tv

        random = tv.Compose([tv.RandomResizedCrop(SIDE), tv.RandomHorizontalFlip(), tv.ToTensor()])
        return _folders(root, random, random if augmented else lambda shown: view(shown)[0])

    return Adapter(
        "transformers", module, lambda path: load_image(str(path)), view,
        lambda net, shown: net(pixel_values=torch.as_tensor(shown)).logits, saved, loaded, "classifier.",
        datasets,
        {
            "EXIF ignored": "`load_image` turns the picture",
            "no antialias": "the processor has no such setting",
        },
        {
            "another NMS threshold": "DETR and its kin suppress nothing",
            "letterbox rounded": "DETR and its kin are fitted into no letterbox",
            "letterbox centred": "DETR and its kin are fitted into no letterbox",
        },
    )  # fmt: skip


def fastai() -> Adapter:
    """`PILImage`, its transforms, `ImageDataLoaders.from_folder`, and a network of torchvision."""
    from fastai.vision import all as library

    base = torchvision()

    def view(picture: Picture, **changes: Any) -> Any:
        asked = {**PLAIN, **changes}
        size = asked["size"]
        square = isinstance(size, int)
        method = library.ResizeMethod.Crop if square else library.ResizeMethod.Squish
        filters = (Image.Resampling[asked["filter"].upper()], Image.Resampling.NEAREST)
        steps = [library.Resize(size, method=method, resamples=filters), library.CropPad(asked["crop"])]
        steps += [library.ToTensor(), library.IntToFloatTensor(div=255.0 if asked["scaled"] else 1.0)]
        if asked["normalised"]:
            steps.append(library.Normalize.from_stats(asked["mean"], asked["std"], cuda=False))
        shown: Any = library.PILImage(picture)
        for step in steps:
            # `ToTensor` leaves out the axis of the batch, which the steps after it expect.
            shown = step(shown, split_idx=1)
            shown = shown[None] if isinstance(step, library.ToTensor) else shown
        return shown.as_subclass(_tensor())

    def datasets(root: Path) -> tuple[Sequence[Any], Sequence[Any]]:
        loaders = library.ImageDataLoaders.from_folder(
            root, train="train", valid="val", bs=4, num_workers=0, item_tfms=library.RandomResizedCrop(SIDE)
        )
        learned, judged = (part.one_batch() for part in (loaders.train, loaders.valid))
        return _pairs(*learned), _pairs(*judged)

    return Adapter(
        "fastai", base.module, library.PILImage.create, view, base.logits, base.saved,
        base.loaded, base.head, datasets,
        {
            **_ALWAYS,
            "augmentation in validation": "a random transform does nothing random to validation items",
            "train mode at inference": "`Learner.predict` calls `eval()`",
            "no normalisation": "`vision_learner` normalises as its network learned",
            "boxes not flipped with the image": "a flip takes the boxes of a `BBoxBlock` with it",
        },
        {name: NO_DETECTOR for name in _OF_DETECTORS if name != "boxes not flipped with the image"},
    )  # fmt: skip


def _pairs(shown: Any, classes: Any) -> Sequence[Any]:
    """A batch of fastai as views and classes, in torch's own type."""
    return [(view.as_subclass(_tensor()), int(label)) for view, label in zip(shown, classes, strict=True)]


def _tensor() -> Any:
    import torch

    return torch.Tensor


LIBRARIES: Mapping[str, Callable[[], Adapter]] = {
    "timm": timm,
    "torchvision": torchvision,
    "transformers": transformers,
    "fastai": fastai,
}
