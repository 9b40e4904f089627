"""Write what others published about the catalogue's models: accuracies, and multiply-adds by image size.

    python tools/gather_claims.py --timm RESULTS_FOLDER --timm-version "aa4b585, 2026-08-08" \
        --open-clip RESULTS.csv PROFILE.csv --open-clip-version "89fb801, 2026-06-27" \
        src/signet/catalogue/data

RESULTS_FOLDER is `results/` of the timm repository, RESULTS.csv and PROFILE.csv are
`docs/openclip_results.csv` and `docs/model_profile.csv` of the open_clip repository. The figures of
torchvision come from the installed package, the others from `tools/published_claims.csv`, which people
write and review. Three files are written: `claims.csv`, `claim_sources.json` and `costs.csv`.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

DATASETS = {
    "1k": "ImageNet-1k validation",
    "v2": "ImageNet-V2 matched-frequency",
    "real": "ImageNet-ReaL",
    "a": "ImageNet-A",
    "r": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
}
TIMM_FILES = {
    "1k": "results-imagenet.csv",
    "v2": "results-imagenetv2-matched-frequency.csv",
    "real": "results-imagenet-real.csv",
    "a": "results-imagenet-a.csv",
    "r": "results-imagenet-r.csv",
    "sketch": "results-sketch.csv",
}
OPEN_CLIP_COLUMNS = {
    "1k": "ImageNet 1k",
    "v2": "ImageNet v2",
    "a": "ImageNet-A",
    "r": "ImageNet-R",
    "sketch": "ImageNet Sketch",
}
METRICS = ("top1", "top5")
HEADER = (
    "name",
    "source",
    "size",
    "crop",
    "interpolation",
    "protocol",
    *(f"{dataset}.{metric}" for dataset in DATASETS for metric in METRICS),
)


@dataclass
class Row:
    """One model, measured in one way: fractions by `dataset.metric`."""

    name: str
    source: str
    size: str = ""
    crop: str = ""
    interpolation: str = ""
    protocol: str = ""
    values: dict[str, str] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """In the order of HEADER."""
        start = [self.name, self.source, self.size, self.crop, self.interpolation, self.protocol]
        return start + [self.values.get(column, "") for column in HEADER[6:]]


def fraction(percent: str) -> str:
    """Percent as printed, as a fraction with the same digits."""
    return format((Decimal(percent) / 100).normalize(), "f")


def timm_rows(folder: Path, known: Mapping[str, object]) -> Iterator[Row]:
    """One row for each weight and setting of the result files."""
    rows: dict[tuple[str, ...], Row] = {}
    for dataset, file in TIMM_FILES.items():
        for line in csv.DictReader((folder / file).read_text("utf-8").splitlines()):
            name = f"timm/{line['model']}"
            if name not in known:
                continue
            setting = (
                name,
                line["img_size"],
                line["crop_pct"].rstrip("0").rstrip("."),
                line["interpolation"],
            )
            row = rows.setdefault(setting, Row(name, "timm", *setting[1:]))
            for metric in METRICS:
                row.values[f"{dataset}.{metric}"] = fraction(line[metric])
    yield from rows.values()


def costs(folder: Path, known: Mapping[str, object]) -> dict[tuple[str, int], tuple[str, str]]:
    """(architecture, size) to (GMACs, millions of activations); where files differ, the newest is right."""
    architectures = {name.split("/", 1)[1].split(".")[0] for name in known if name.startswith("timm/")}
    found: dict[tuple[str, int], tuple[str, str]] = {}
    for path in sorted(folder.glob("benchmark-infer-*.csv"), key=_age):
        for line in csv.DictReader(path.read_text("utf-8").splitlines()):
            architecture, _, _ = line["model"].partition(".")
            gmacs = line.get("infer_gmacs")
            if architecture in architectures and gmacs and float(gmacs) > 0:
                key = (architecture, int(line["infer_img_size"]))
                found.setdefault(key, (gmacs, line["infer_macts"]))
    return found


def _age(path: Path) -> tuple[int, str]:
    version = re.search(r"-pt(\d)(\d+)-", path.name)
    major, minor = version.groups() if version else ("0", "0")
    return -(100 * int(major) + int(minor.ljust(2, "0")[:2])), path.name


def torchvision_rows(known: Mapping[str, object]) -> Iterator[Row]:
    """Every indexed weight entry of the installed torchvision."""
    import torchvision
    from torchvision.models import get_model_weights, list_models

    for architecture in sorted(list_models(module=torchvision.models)):
        for weight in get_model_weights(architecture):
            name = f"torchvision/{architecture}.{weight.name.lower()}"
            metrics = weight.meta.get("_metrics", {}).get("ImageNet-1K")
            if not metrics or name not in known:
                continue
            transforms = weight.transforms()
            crop, resized = transforms.crop_size[0], transforms.resize_size[0]
            yield Row(
                name=name,
                source="torchvision",
                size=str(crop),
                crop=format(crop / resized, ".3f").rstrip("0").rstrip("."),
                interpolation=transforms.interpolation.value,
                values={
                    "1k.top1": fraction(str(metrics["acc@1"])),
                    "1k.top5": fraction(str(metrics["acc@5"])),
                },
            )


def torchvision_version() -> str:
    """Of the installed package, without its build."""
    import torchvision

    return str(torchvision.__version__).partition("+")[0]


def open_clip_rows(results: Path, profile: Path, known: Mapping[str, object]) -> Iterator[Row]:
    """Zero-shot accuracies of what the index has of open_clip."""
    sizes = {
        line["model"]: line["image_size"] for line in csv.DictReader(profile.read_text("utf-8").splitlines())
    }
    seen = set()
    for line in csv.DictReader(results.read_text("utf-8").splitlines()):
        name = f"open_clip/{line['name']}.{line['pretrained']}"
        if name not in known or name in seen:
            continue
        seen.add(name)
        values = {
            f"{dataset}.top1": format(Decimal(line[column]).normalize(), "f")
            for dataset, column in OPEN_CLIP_COLUMNS.items()
            if line.get(column)
        }
        yield Row(name, "open_clip", size=sizes.get(line["name"], ""), protocol="zero-shot", values=values)


def published_rows(path: Path, known: Mapping[str, object]) -> tuple[list[Row], dict[str, str]]:
    """The figures that people copied, and the words of their sources.

    A name is found in the index whatever its underscores ("keras/resnet50v2" is "keras/resnet50_v2").
    """
    rows, sources = [], {}
    spelt = {name.replace("_", ""): name for name in known}
    for line in csv.DictReader(path.read_text("utf-8").splitlines()):
        sources[line["source"]] = line["words"]
        values = {f"1k.{metric}": fraction(line[metric]) for metric in METRICS if line[metric]}
        name = spelt.get(line["name"].replace("_", ""), line["name"])
        rows.append(Row(name, line["source"], line["size"], line["crop"], line["interpolation"], "", values))
    return rows, sources


def text(rows: list[Row]) -> str:
    """The file: by name, then source, then size."""
    rows = sorted(rows, key=lambda row: (row.name, row.source, int(row.size or 0), row.crop))
    return "\n".join([",".join(HEADER), *(",".join(row.cells()) for row in rows)]) + "\n"


def indexed(folder: Path) -> dict[str, object]:
    """Every name of the packaged index files."""
    found: dict[str, object] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            name = json.loads(line).get("name")
            if name:
                found[name] = True
    return found


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--timm", type=Path, required=True)
    parser.add_argument("--timm-version", required=True)
    parser.add_argument("--open-clip", type=Path, nargs=2, required=True)
    parser.add_argument("--open-clip-version", required=True)
    given = parser.parse_args()
    known = indexed(given.folder)
    published, words = published_rows(Path(__file__).with_name("published_claims.csv"), known)
    rows = [
        *timm_rows(given.timm, known),
        *torchvision_rows(known),
        *open_clip_rows(*given.open_clip, known),
        *published,
    ]
    sources: dict[str, dict[str, str]] = {
        "timm": {key: f"timm results/{file} @{given.timm_version}" for key, file in TIMM_FILES.items()},
        "torchvision": {"1k": f"torchvision {torchvision_version()} weight entry"},
        "open_clip": dict.fromkeys(
            OPEN_CLIP_COLUMNS, f"open_clip docs/openclip_results.csv @{given.open_clip_version}"
        ),
        **{key: {"1k": value} for key, value in words.items()},
    }
    (given.folder / "claims.csv").write_text(text(rows), "utf-8")
    (given.folder / "claim_sources.json").write_text(json.dumps(sources, indent=1) + "\n", "utf-8")
    lines = ["architecture,size,gmacs,activations"]
    for (architecture, size), (gmacs, activations) in sorted(costs(given.timm, known).items()):
        lines.append(f"{architecture},{size},{gmacs},{activations}")
    (given.folder / "costs.csv").write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{len(rows)} rows of claims, {len(lines) - 1} costs")


if __name__ == "__main__":
    main()
