"""transformers' and open_clip's own way from a folder to logits, and from an image to pixels."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from identity.alive import enliven
from identity.cases import Case
from identity.peers import Peer, answer_of, batch_of, folder_of, opened, plain, replaced
from signet.catalogue import index


def transformers(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    """A folder as `save_pretrained` writes it, with an image-processor file as the hub has it."""
    import transformers as library

    folder = mirror / case.name
    folder.mkdir(parents=True)
    processor = case.settings["processor"]
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    settings = {"num_labels": 1000, **case.settings["config"]}
    teacher, background = settings.pop("teacher", False), settings.pop("background", False)
    if background:
        names = ["background", *(f"class {number}" for number in range(1, settings["num_labels"]))]
        settings["id2label"] = dict(enumerate(names))
    config = library.AutoConfig.for_model(case.settings["model_type"], **settings)
    kind = library.AutoModelForImageClassification._model_mapping[type(config)]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    network = next(each for each in kinds if each.__name__.endswith("Teacher") == teacher)
    # The one that resizes with Pillow, as Signet does; and the one that is the default beside torchvision.
    exact = getattr(library, f"{processor['image_processor_type']}Pil").from_pretrained(folder)
    default = library.AutoImageProcessor.from_pretrained(folder)

    def pixels(path: Path) -> np.ndarray:
        return np.asarray(exact(opened(path), return_tensors="np")["pixel_values"][0], np.float32)

    def default_pixels(path: Path) -> np.ndarray:
        return np.asarray(default(opened(path), return_tensors="pt")["pixel_values"][0], np.float32)

    random = enliven(network(config), batch_of(pixels, images), case.name)
    random.save_pretrained(folder)
    module = network.from_pretrained(folder).eval()
    scale = np.full((3, 1, 1), processor.get("rescale_factor", 1 / 255))
    std = getattr(exact, "image_std", None) if getattr(exact, "do_normalize", False) else None
    if std is not None:
        scale = scale / np.asarray(std).reshape(3, 1, 1)
        if getattr(exact, "include_top", False):
            scale = scale / np.asarray(std).reshape(3, 1, 1)
    same = type(default) is type(exact)
    return Peer(answer_of(module), pixels, default_pixels=None if same else default_pixels, levels=scale)


def open_clip(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    """The weights of a whole CLIP; compared are its image tower's vectors, before they are normalised."""
    import open_clip as library

    config = index.config(case.name)
    architecture, _, tag = case.name.removeprefix("open_clip/").partition(".")
    # open_clip builds what the architecture's name says, and warns where the weights were trained otherwise.
    quick = bool(config["pretrained_cfg"].get("quick_gelu"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        random = library.create_model(architecture, force_quick_gelu=quick, pretrained_text=False)
    stated = library.get_pretrained_cfg(architecture, tag)
    preprocess = {"size": random.visual.image_size}
    preprocess |= {
        key: stated[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in stated
    }
    known = library.transform.merge_preprocess_dict(library.transform.PreprocessCfg(), preprocess)
    transform = library.transform.image_transform_v2(library.transform.PreprocessCfg(**known), is_train=False)

    def pixels(path: Path) -> np.ndarray:
        return transform(opened(path)).numpy()

    batch = batch_of(pixels, images)
    enliven(random.visual, batch, case.name)
    folder = folder_of(mirror, case.name, config, "open_clip_model.safetensors")
    file = folder / "open_clip_model.safetensors"
    save_file(plain(random.state_dict()), file)
    with replaced(library.factory, "download_pretrained", lambda *_, **__: str(file)):
        module, _, own = library.create_model_and_transforms(
            architecture, pretrained=tag, force_quick_gelu=quick, require_pretrained=True
        )
    module.eval()

    def own_pixels(path: Path) -> np.ndarray:
        return own(opened(path)).numpy()

    return Peer(answer_of(_Tower(module)), own_pixels)


class _Tower(torch.nn.Module):
    """`encode_image`, not normalised."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, images_N3HW: torch.Tensor) -> torch.Tensor:
        """To float32 (N, D)."""
        if hasattr(self.module, "_encode_image"):  # CoCa, which normalises unless it is told not to
            vectors = self.module._encode_image(images_N3HW, normalize=False)[0]
        else:
            vectors = self.module.encode_image(images_N3HW, normalize=False)
        return vectors
