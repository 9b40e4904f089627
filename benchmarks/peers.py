"""One system, one model, one list of images, in a process of its own: prints its rate as JSON.

    python benchmarks/peers.py timm resnet50 LIST

Every system is used as its own documentation says for many images on a processor, with random weights
(speed does not depend on them), and gives the first label of each image. Decoding, resizing, network and
top-1 are all inside the measured time; building the model and one warm-up pass over 16 images are not.
Processor time is of the process and of its children, which timm's DataLoader reads with.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

Classify = Callable[[list[str]], list[int]]
BATCH = 16


def with_timm(name: str) -> Classify:
    """Timm: `create_model`, `create_transform`, `create_loader`'s plain equivalent, a DataLoader."""
    import timm
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    model = timm.create_model({"resnet50": "resnet50", "mobilenet_v2": "mobilenetv2_100"}[name]).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)

    class Files(Dataset):  # type: ignore[type-arg]
        def __init__(self, paths: list[str]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, place: int) -> torch.Tensor:
            return transform(Image.open(self.paths[place]).convert("RGB"))

    def classify(paths: list[str]) -> list[int]:
        loader = DataLoader(Files(paths), batch_size=BATCH, num_workers=2)
        with torch.inference_mode():
            return [index for batch in loader for index in model(batch).argmax(1).tolist()]

    return classify


def with_torchvision(name: str) -> Classify:
    """Torchvision: a tight loop: decode, the weight entry's transforms, one batch at a time."""
    import torch
    from torchvision import models
    from torchvision.io import ImageReadMode, decode_image

    model = models.get_model(name, weights=None).eval()
    transform = models.get_model_weights(name).DEFAULT.transforms()

    def classify(paths: list[str]) -> list[int]:
        found: list[int] = []
        with torch.inference_mode():
            for start in range(0, len(paths), BATCH):
                images = [decode_image(path, ImageReadMode.RGB) for path in paths[start : start + BATCH]]
                batch = torch.stack([transform(image) for image in images])
                found += model(batch).argmax(1).tolist()
        return found

    return classify


def with_transformers(name: str) -> Classify:
    """Transformers: the image-classification pipeline over a list of paths, in batches."""
    import transformers
    from transformers import pipeline

    if name == "resnet50":
        model = transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000))
        processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875)
    else:
        config = transformers.MobileNetV2Config(num_labels=1000)
        model = transformers.MobileNetV2ForImageClassification(config)
        processor = transformers.MobileNetV2ImageProcessor(
            size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}
        )
    pipe = pipeline("image-classification", model=model.eval(), image_processor=processor, device="cpu")

    def classify(paths: list[str]) -> list[int]:
        answers = pipe(paths, top_k=1, batch_size=BATCH)
        return [int(answer[0]["label"].split("_")[-1]) for answer in answers]

    return classify


def with_signet(name: str, precision: str) -> Classify:
    """Signet: `load` and `stream`, precision stated."""
    from signet import load
    from signet.streaming import predictions, settings_for

    model = load(Path(name), engine="openvino", precision=precision, settings=settings_for(many=True))

    def classify(paths: list[str]) -> list[int]:
        return [int(answered.answer.top(1).indices[0]) for answered in predictions(model, paths)]

    return classify


def processor_seconds() -> float:
    """Of this process and of those that it started and saw end."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Measure one system."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "system",
        choices=("timm", "torchvision", "transformers", "signet-fp32", "signet-bf16", "signet-int8"),
    )
    parser.add_argument("model", help="resnet50, mobilenet_v2, or for signet a model's path")
    parser.add_argument("list", type=Path, help="file with one image path a line")
    chosen = parser.parse_args()
    paths = chosen.list.read_text().splitlines()
    begin = time.perf_counter()
    if chosen.system.startswith("signet"):
        classify = with_signet(chosen.model, chosen.system.split("-")[1])
    else:
        systems = {"timm": with_timm, "torchvision": with_torchvision, "transformers": with_transformers}
        classify = systems[chosen.system](chosen.model)
    classify(paths[:BATCH])
    spent, ready = processor_seconds(), time.perf_counter()
    labels = classify(paths)
    seconds = time.perf_counter() - ready
    result = {
        "images_per_second": len(labels) / seconds,
        "processor_seconds": processor_seconds() - spent,
        "start_seconds": ready - begin,
        "count": len(labels),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
