"""A tiny model of every zoo in a mirror, with random weights in the file format of its library."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from signet.catalogue import index
from signet.engines.contract import EngineSettings
from signet.models import load
from signet.resolving import resolve
from signet.testing import made_images
from signet.zoos import by_name

State = dict[str, Any]
OPEN_CLIP_SETTINGS = "strict-ViT.json"
"""The tiny architecture, as open_clip has its own; other processes have to add it too."""


class Mirrored:
    """A model that lies in a mirror: its config, its tensors, and the names of the ones that are changed.

    Attributes:
        name: what it is asked for.
        folder: of it.
        file: the weights.
        head: the tensor whose first axis is the classes.
        inner: a tensor in the middle.
    """

    def __init__(self, name: str, folder: Path, file: str, head: str, inner: str) -> None:
        self.name, self.folder, self.file = name, folder, folder / file
        self.head, self.inner = head, inner

    def config(self, **changes: Any) -> None:
        place = self.folder / "config.json"
        place.write_text(json.dumps({**json.loads(place.read_text()), **changes}))

    def open(self) -> Any:
        """Load it on torch, and answer."""
        found = resolve(self.name, offline=True)
        with load(found, engine="torch", settings=EngineSettings(threads=1)) as model:
            return model(made_images(1))

    def change(self, change: Callable[[State], None]) -> None:
        """Rewrite the file with other tensors."""
        if self.file.suffix == ".h5":
            return _change_h5(self.file, change)
        from safetensors.torch import load_file, save_file

        tensors = self.file.suffix == ".safetensors"
        state = dict(load_file(self.file) if tensors else torch.load(self.file, weights_only=True))
        change(state)
        save_file(state, self.file, {"format": "pt"}) if tensors else torch.save(state, self.file)
        return None


def _change_h5(file: Path, change: Callable[[State], None]) -> None:
    import h5py

    with h5py.File(file, "r+") as opened:
        found: list[str] = []
        opened.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
        before = {key: torch.from_numpy(opened[key][()]) for key in found}
        state = dict(before)
        change(state)
        for key in before.keys() - state.keys():
            del opened[key]
        for key, value in state.items():
            if value is not before.get(key):
                if key in before:
                    del opened[key]
                opened[key] = value.numpy()


def _random(spec: Any, zoo: str, architecture: str = "") -> State:
    torch.manual_seed(7)
    module = by_name.zoo(zoo, architecture).build(spec, None)
    return {key: value.clone() for key, value in module.state_dict().items()}


def _written(mirror: Path, name: str, config: Mapping[str, Any], state: State, file: str) -> Path:
    from safetensors.torch import save_file

    folder = mirror / name
    folder.mkdir(parents=True)
    plain = {key: value for key, value in config.items() if key != "name"}
    (folder / "config.json").write_text(json.dumps({**plain, "weights": {"file": file}}))
    save_file(state, folder / file) if file.endswith("safetensors") else torch.save(state, folder / file)
    return folder


def timm(mirror: Path) -> Mirrored:
    name = "timm/test_resnet.r160_in1k"
    config = index.config(name)
    state = _random(by_name.zoo("timm").spec_of(config), "timm")
    folder = _written(mirror, name, config, state, "model.safetensors")
    return Mirrored(name, folder, "model.safetensors", "fc.weight", "layer1.0.conv1.weight")


def torchvision(mirror: Path) -> Mirrored:
    name = "torchvision/squeezenet1_1.imagenet1k_v1"
    config = index.config(name)
    state = _random(by_name.zoo("torchvision").spec_of(config), "torchvision")
    folder = _written(mirror, name, config, state, "squeezenet1_1-b8a52dc0.pth")
    return Mirrored(
        name, folder, "squeezenet1_1-b8a52dc0.pth", "classifier.1.weight", "features.3.squeeze.weight"
    )


def transformers(mirror: Path) -> Mirrored:
    library = pytest.importorskip("transformers")
    config = library.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        num_labels=5,
    )
    folder = mirror / "transformers" / "some" / "vit"
    library.ViTForImageClassification(config).save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    inner = (
        "vit.encoder.layer.0.output.dense.weight"  # its name in files; the library calls it mlp.fc2 by now
    )
    found = Mirrored("transformers/some/vit", folder, "model.safetensors", "classifier.weight", inner)
    return found


def open_clip(mirror: Path) -> Mirrored:
    library = pytest.importorskip("open_clip")
    folder = mirror / "open_clip" / "strict-ViT.own"
    mirror.mkdir(exist_ok=True)
    settings = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    place = mirror / OPEN_CLIP_SETTINGS
    place.write_text(json.dumps(settings))
    library.add_model_config(place)
    from signet.zoos import from_openclip

    state = from_openclip.empty(
        library, library.get_model_config("strict-ViT"), quick_gelu=False
    ).state_dict()
    stated = {"tag": "own", "input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {
        "library": "open_clip",
        "architecture": "strict-ViT",
        "embedding_width": 16,
        "pretrained_cfg": stated,
    }
    state = {key: value.clone() for key, value in state.items()}
    _written(mirror, "open_clip/strict-ViT.own", config, state, "open_clip_model.safetensors")
    inner = "visual.transformer.resblocks.0.mlp.c_fc.weight"
    return Mirrored("open_clip/strict-ViT.own", folder, "open_clip_model.safetensors", "", inner)


def signet(mirror: Path) -> Mirrored:
    stated = {"input_size": [3, 64, 64], "classifier": "head"}
    config = {
        "library": "signet",
        "architecture": "efficientnet",
        "model_args": {"width": 0.3, "depth": 0.3},
        "num_classes": 5,
        "pretrained_cfg": stated,
    }
    spec = by_name.zoo("signet", "efficientnet").spec_of(config)
    state = _random(spec, "signet", "efficientnet")
    folder = _written(mirror, "signet/efficientnet", config, state, "model.safetensors")
    inner = [key for key, value in state.items() if value.ndim == 4][5]
    return Mirrored("signet/efficientnet", folder, "model.safetensors", "head.weight", inner)


def keras(mirror: Path) -> Mirrored:
    for package in ("keras", "h5py"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    import h5py

    from signet.zoos import keras_import

    library = keras_import.imported("the tests")
    from keras.src.legacy.saving import legacy_h5_format

    name, file = "keras/mobilenet_025_128.imagenet", "mobilenet.h5"
    config = {
        key: value for key, value in index.config(name).items() if key not in ("file_md5", "file_sha256")
    }
    with keras_import.building(library):
        made = library.applications.MobileNet(
            alpha=0.25, input_shape=(128, 128, 3), weights=None, classifier_activation=None
        )
    folder = _written(mirror, name, config, {}, file)
    with h5py.File(folder / file, "w") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's own, of numpy
        legacy_h5_format.save_weights_to_hdf5_group(opened, made)
    with h5py.File(folder / file) as opened:
        found: list[str] = []
        opened.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
    head = next(key for key in found if "conv_preds" in key and "kernel" in key)
    inner = next(key for key in found if "conv_pw_3" in key and "kernel" in key)
    return Mirrored(name, folder, file, head, inner)


def smp(mirror: Path) -> Mirrored:
    pytest.importorskip("segmentation_models_pytorch")
    program = [{"step": "read"}, {"step": "resize", "size": [64, 64], "fit": "stretch"}]
    program += [{"step": "type"}, {"step": "range", "scale": 1 / 255}, {"step": "layout"}]
    config = {
        "library": "smp",
        "architecture": "unet",
        "model_args": {"encoder": "test_resnet"},
        "num_classes": 5,
        "task": "segment",
        "program": program,
        "output": {"head": "pixel_logits", "tensor": "logits", "classes": 5},
        "labels": ["road", "sky", "tree", "car", "wall"],
    }
    state = _random(by_name.zoo("smp").spec_of(config), "smp")
    state = {key.removeprefix("network."): value for key, value in state.items()}
    name, file = "smp/unet", "model.safetensors"
    folder = _written(mirror, name, config, state, file)
    inner = next(key for key, value in state.items() if "decoder" in key and value.ndim == 4)
    head = next(key for key in state if key.endswith("segmentation_head.0.weight"))
    return Mirrored(name, folder, file, head, inner)


ZOOS = {zoo.__name__: zoo for zoo in (timm, torchvision, transformers, open_clip, signet, keras, smp)}
