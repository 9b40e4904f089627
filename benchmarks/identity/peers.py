"""What every peer gives, and timm's and torchvision's own way to it.

Each `made` writes random weights into a mirror, in the file format of the library, and then lets the library
itself load that file, by the code with which it loads its published weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from safetensors.torch import save_file

from identity.alive import enliven
from identity.cases import Case
from signet.catalogue import index

CALIBRATION = 6


@dataclass(frozen=True)
class Peer:
    """A library with the weights in it.

    Attributes:
        answer: from prepared images, float32 (N, 3, H, W), to its logits or vectors, (N, C).
        pixels: from an image file to what it feeds its network, float32 (3, H, W).
        exact: its answers are those of the same code, so that they must be equal to the last bit.
        default_pixels: what its default preprocessing makes, where that does not resize with Pillow.
        levels: by how much one level of 255 changes a prepared value, (3, 1, 1).
        double: both networks in float64, from prepared images: (ours, theirs).
    """

    answer: Callable[[np.ndarray], np.ndarray]
    pixels: Callable[[Path], np.ndarray]
    exact: bool = True
    default_pixels: Callable[[Path], np.ndarray] | None = None
    levels: np.ndarray | None = None
    double: Callable[[Any, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None


def made(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    """The peer of a case, and the model's folder in the mirror."""
    match case.zoo:
        case "timm":
            return _timm(case, mirror, images)
        case "torchvision":
            return _torchvision(case, mirror, images)
        case "keras":
            from identity import peers_keras

            return peers_keras.made(case, mirror, images)
        case "signet":
            from identity import peers_own

            return peers_own.made(case, mirror, images)
        case "transformers":
            from identity import peers_towers

            return peers_towers.transformers(case, mirror, images)
        case _:
            from identity import peers_towers

            return peers_towers.open_clip(case, mirror, images)


def folder_of(mirror: Path, name: str, config: Mapping[str, Any], file: str | None = None) -> Path:
    """The model's folder, with its configuration; where the weights lie is stated if it is unusual."""
    folder = mirror / name
    folder.mkdir(parents=True)
    left_out = ("name", "file_md5", "file_sha256")  # of the published bytes, and these are others
    kept = {key: value for key, value in config.items() if key not in left_out}
    if file is not None:
        kept["weights"] = {"file": file}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def opened(path: Path) -> PillowImage.Image:
    """As the libraries' examples open a file."""
    return PillowImage.open(path).convert("RGB")


def batch_of(pixels: Callable[[Path], np.ndarray], images: Sequence[Path]) -> torch.Tensor:
    """Some images as the peer prepares them."""
    return torch.from_numpy(np.stack([pixels(path) for path in images[:CALIBRATION]]))


def answer_of(module: Any) -> Callable[[np.ndarray], np.ndarray]:
    """What a module of torch answers; the first of several."""

    def answer(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            # Engines feed arrays in C order; in another one, torch chooses other kernels.
            found = module(torch.from_numpy(np.ascontiguousarray(batch)))
            found = getattr(found, "logits", found)
            return (found[0] if isinstance(found, tuple) else found).numpy()

    return answer


def plain(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors as safetensors takes them: each with memory of its own."""
    return {key: value.detach().clone().contiguous() for key, value in state.items()}


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute exchanged: the library's download, for the file that it would have brought."""
    before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _timm(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    import timm

    config = index.config(case.name)
    tagged = case.name.removeprefix("timm/")
    # As timm validates its weights: at their test size.
    wanted = timm.data.resolve_data_config(
        pretrained_cfg=timm.get_pretrained_cfg(tagged).to_dict(), use_test_size=True
    )
    transform = timm.data.create_transform(**wanted)

    def pixels(path: Path) -> np.ndarray:
        return transform(opened(path)).numpy()

    arguments = {"num_classes": config["num_classes"], **(config.get("model_args") or {})}
    random = enliven(timm.create_model(tagged, **arguments), batch_of(pixels, images), case.name)
    folder = folder_of(mirror, case.name, config)
    save_file(plain(random.state_dict()), folder / "model.safetensors")
    overlay = {"file": str(folder / "model.safetensors"), "custom_load": False}
    module = timm.create_model(tagged, pretrained=True, pretrained_cfg_overlay=overlay, **arguments).eval()
    return Peer(answer_of(module), pixels)


def _torchvision(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    from torchvision import models
    from torchvision.models import WeightsEnum

    config = index.config(case.name)
    architecture, _, tag = case.name.removeprefix("torchvision/").partition(".")
    entry = models.get_model_weights(architecture)[tag.upper()]
    transform = entry.transforms()

    def pixels(path: Path) -> np.ndarray:
        return transform(opened(path)).numpy()

    built: dict[str, Any] = {"aux_logits": True, "init_weights": False} if _auxiliary(architecture) else {}
    if architecture.startswith("vit_"):
        built["image_size"] = entry.meta["min_size"][0]  # that of its own weights, not of the architecture
    random = enliven(
        models.get_model(architecture, weights=None, **built), batch_of(pixels, images), case.name
    )
    file = entry.url.rpartition("/")[2]
    folder = folder_of(mirror, case.name, config, file)
    torch.save(_as_published(architecture, random.state_dict()), folder / file)

    def state(*_: Any, **__: Any) -> Any:
        return torch.load(folder / file, weights_only=True)

    with replaced(WeightsEnum, "get_state_dict", state):
        module = models.get_model(architecture, weights=entry).eval()
    return Peer(answer_of(module), pixels)


def _auxiliary(architecture: str) -> bool:
    return architecture in ("googlenet", "inception_v3")


def _as_published(architecture: str, state: Any) -> Any:
    """The tensors under the names that they have in the published file.

    DenseNet's were written when `norm.1` could be a module's name.

    Source: torchvision `models.densenet._load_state_dict`.
    """
    if not architecture.startswith("densenet"):
        return state
    old = {}
    for key, value in state.items():
        head, layer, tail = key.rpartition("denselayer")
        number, _, rest = tail.partition(".")
        if layer and rest[:5] in ("norm1", "norm2", "conv1", "conv2"):
            old[f"{head}{layer}{number}.{rest[:4]}.{rest[4:]}"] = value
        else:
            old[key] = value
    # Which torch did not count yet.
    old = {key: value for key, value in old.items() if not key.endswith("num_batches_tracked")}
    return old
