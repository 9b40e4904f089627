"""Write the packaged signatures of timm's and torchvision's architectures, from the installed packages.

    python tools/index_signatures.py src/signet/catalogue/data

`signatures.csv`: one line for each architecture of the index, from empty networks (on the meta device where
the library can): digests and sketch of its tensors, the names of its head, and for architectures with equal
tensors whether they compute the same: each is filled with the same random weights, in float64, and answers
the same random picture. `npz_files.csv`: which file of the authors of BiT and ViT holds which weights.
"""

from __future__ import annotations

import argparse
import base64
import csv
import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from signet.catalogue import index, signatures
from signet.catalogue.signatures import Shapes

ZOOS = ("timm", "torchvision")
LARGEST = 450_000_000
"""Values of a network that is still run in float64; above it, equal tensors count as other functions."""
SAME = 1e-8
"""Of the greatest answer: rounding in float64 is below 1e-12, another epsilon of a norm above 1e-7."""
WITHOUT_AUXILIARY = ("torchvision/googlenet:aux_logits=false", "torchvision/inception_v3:aux_logits=false")
"""torchvision gives its pretrained GoogLeNet without the heads that only the training had."""
BIT = ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")


def build(name: str, classes: int) -> Any:
    """An empty network."""
    zoo, _, architecture = name.partition(":")[0].partition("/")
    if zoo == "timm":
        import timm

        return timm.create_model(architecture, pretrained=False, num_classes=classes)
    from torchvision import models

    auxiliary = architecture in ("googlenet", "inception_v3")
    arguments = {"aux_logits": ":" not in name, "init_weights": False} if auxiliary else {}
    return models.get_model(architecture, weights=None, num_classes=classes, **arguments)


def shapes_of(name: str, classes: int) -> Shapes:
    """Names and shapes of all tensors."""
    try:
        with torch.device("meta"):
            module = build(name, classes)
    except (NotImplementedError, RuntimeError, TypeError, ValueError):
        module = build(name, classes)  # it reads values while it is built
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def row_of(name: str) -> tuple[Shapes, tuple[str, ...], str]:
    """The shapes with an open head, the names of the head, and the digest without one."""
    many, few = shapes_of(name, 1000), shapes_of(name, 7)
    head = tuple(key for key in many if many[key] != few[key])
    assert many.keys() == few.keys(), name
    assert all(many[key] == (1000, *few[key][1:]) for key in head), name
    headless = signatures.digest_of(shapes_of(name, 0)) if name.startswith("timm/") else ""
    return signatures.opened(many, head), head, headless


def functions(names: Sequence[str]) -> Mapping[str, int]:
    """A number for each of these architectures with equal tensors; equal numbers, equal answers."""
    torch.manual_seed(0)
    size = min(size_of(name) for name in names)
    picture = torch.randn(2, 3, size, size, dtype=torch.float64)
    known: list[Any] = []
    found: dict[str, int] = {}
    state: dict[str, Any] | None = None
    for name in names:
        module = build(name, 10).eval()
        if sum(value.numel() for value in module.parameters()) > LARGEST:
            return {name: place for place, name in enumerate(names)}
        module.double()
        if state is None:
            randomise(module)
            state = module.state_dict()
        module.load_state_dict(state)
        try:
            with torch.inference_mode():
                answer = module(picture)
        except (AssertionError, RuntimeError):
            answer = None  # made for another size
        if name in WITHOUT_AUXILIARY:
            answer = None  # it exists in two forms (transform_input), of which this is one
        found[name] = number_of(answer, known)
        del module
        gc.collect()
    return found


def randomise(module: Any) -> None:
    """Every value counts: no layer scale near 0, no branch whose last norm is 0."""
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            if value.ndim > 1:
                value.add_(0.02 * torch.randn_like(value))
            elif key.endswith(("bias", "running_mean")):
                value.copy_(0.1 * torch.randn_like(value))
            else:
                value.copy_(0.5 + torch.rand_like(value))


def number_of(answer: Any, known: list[Any]) -> int:
    """The place of the first equal answer; a new one for an answer that nobody gave."""
    if answer is not None:
        assert torch.isfinite(answer).all()
        assert (answer[0] - answer[1]).abs().max() > SAME * answer.abs().max(), "the picture must count"
    for place, other in enumerate(known):
        if answer is None or other is None or answer.shape != other.shape:
            continue
        if (answer - other).abs().max() <= SAME * other.abs().max():
            return place
    known.append(answer)
    return len(known) - 1


def size_of(name: str) -> int:
    """The side of the pictures that an architecture was made for."""
    zoo, _, architecture = name.partition("/")
    if zoo == "torchvision":
        return 224
    import timm

    return int(timm.get_pretrained_cfg(architecture).input_size[-1])


def rows() -> Iterator[tuple[str | int, ...]]:
    """The lines of `signatures.csv`."""
    entries = Counter(
        f"{config['library']}/{config['architecture']}"
        for _, config in index.configs()
        if "task" not in config
    )
    listed = (name for name in entries if name.startswith(tuple(f"{zoo}/" for zoo in ZOOS)))
    names = sorted((*listed, *WITHOUT_AUXILIARY))
    found = {name: row_of(name) for name in names}
    digests = {name: signatures.digest_of(shapes) for name, (shapes, _, _) in found.items()}
    numbers: dict[str, int] = {}
    for digest in dict.fromkeys(digests.values()):
        group = [name for name in names if digests[name] == digest]
        numbers |= functions(group) if len(group) > 1 else dict.fromkeys(group, 0)
        if len(group) > 1:
            print(*(f"{name}={numbers[name]}" for name in group), flush=True)
    for name, (shapes, head, headless) in found.items():
        sketch = base64.b85encode(signatures.sketch_of(shapes).astype("<u2").tobytes()).decode()
        weights = entries[name.partition(":")[0]]
        yield name, digests[name], headless, " ".join(head), numbers[name], weights, sketch


def npz_files() -> Iterator[tuple[str, str]]:
    """File name and index entry. The names of BiT's files are those of its README.

    Source: google-research/big_transfer, README, "How to use"; timm's own record of where its ViTs are from.
    """
    import timm

    for size in BIT:
        yield f"BiT-M-R{size}.npz", f"timm/resnetv2_{size}_bit.goog_in21k"
        yield f"BiT-M-R{size}-ILSVRC2012.npz", f"timm/resnetv2_{size}_bit.goog_in21k_ft_in1k"
    for name in timm.list_pretrained("vit_*_patch*"):
        address = timm.get_pretrained_cfg(name).url or ""
        # Other folders have files of one name with other weights (ViT-B_16.npz).
        if "/augreg/" in address and address.endswith(".npz"):
            yield address.rsplit("/", 1)[1], f"timm/{name}"


def main() -> None:
    """Write the two files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    tables: dict[str, tuple[Sequence[str], list[tuple[str | int, ...]]]] = {
        "npz_files.csv": (("file", "like"), list(npz_files())),
        "signatures.csv": (
            ("name", "digest", "headless", "head", "function", "entries", "sketch"),
            list(rows()),
        ),
    }
    for file, (titles, lines) in tables.items():
        with (folder / file).open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerows([titles, *lines])
        print(f"{file}: {len(lines)} lines")


if __name__ == "__main__":
    main()
