"""Families, licences and systems: complete, honest about what is not known, and consistent with the index."""

from __future__ import annotations

import csv
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from signet.architectures.catalogue import ARCHITECTURES
from signet.architectures.yolo_table import NETWORKS
from signet.catalogue import index
from signet.catalogue.entry import measure_of
from signet.catalogue.families import families, family_of, training_data_of
from signet.catalogue.finding import find
from signet.catalogue.licences import licence_of, terms_of
from signet.catalogue.systems import NOT_PUBLIC, NOT_YET, PUBLIC, systems, systems_of, without_weights

FACTS = json.loads(files("signet.catalogue").joinpath("data/families.json").read_text("utf-8"))
CONFIGS = dict(index.configs())


def test_every_architecture_has_a_family() -> None:
    none = {
        config["architecture"]
        for name, config in CONFIGS.items()
        if not family_of(config["architecture"], name.split("/")[0]).name
    }
    assert none == set()
    assert family_of("no_such_net").name == ""


def test_every_prefix_leads_to_a_family_and_every_paper_is_listed() -> None:
    for entry in FACTS["architectures"].values():
        name, paper = (entry, FACTS["families"][entry]["paper"]) if isinstance(entry, str) else entry
        assert name in families()
        assert paper is None or paper in FACTS["papers"]
    for title, year in FACTS["papers"].values():
        assert title.strip() == title
        assert 2012 <= year <= 2026
    for paper, (_, year) in FACTS["papers"].items():
        if paper.startswith("arXiv:"):
            assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", paper)
            assert abs(2000 + int(paper[6:8]) - year) <= 1
    for family in FACTS["families"].values():
        assert family["good_for"].endswith(".")


@pytest.mark.parametrize(
    ("architecture", "family", "depth", "year"),
    [
        ("resnet50", "ResNet", 50, 2015),
        ("resnetv2_152x4_bit", "BiT", 152, 2019),
        ("resnet50x16_clip", "CLIP", None, 2021),
        ("seresnextaa101d_32x8d", "SE-ResNet", 101, 2017),
        ("wide_resnet50_2", "Wide ResNet", 50, 2016),
        ("vgg19_bn", "VGG", 19, 2014),
        ("densenet264", "DenseNet", 264, 2016),
        ("inception_v3", "Inception", 48, 2015),
        ("googlenet", "Inception", 22, 2014),
        ("inception_next_tiny", "InceptionNeXt", None, 2023),
        ("mobilenetv3_large_100", "MobileNet", None, 2019),
        ("vit_base_patch16_224", "ViT", 12, 2020),
        ("vit_base_patch16_clip_224", "CLIP", 12, 2021),
        ("vit_medium_patch16_gap_256", "ViT", None, 2020),
        ("vit_l_16", "ViT", 24, 2020),
        ("efficientnet_v2_s", "EfficientNetV2", None, 2021),
    ],
)
def test_known_families(architecture: str, family: str, depth: int | None, year: int) -> None:
    found = family_of(architecture)
    assert (found.name, found.depth, found.year) == (family, depth, year)
    assert (found.depth is None) == (found.depth_counts is None)


def test_a_zoo_may_give_a_name_another_meaning() -> None:
    assert family_of("coca_ViT-L-14", "open_clip").name == "CoCa"
    assert family_of("ViT-B-32", "open_clip").name == "CLIP"


def test_tags_tell_their_training_data() -> None:
    assert training_data_of("sw_e450") is None
    assert "JFT-300M (private data of Google)" in str(training_data_of("ns_jft_in1k"))
    both = str(training_data_of("laion2b_ft_in12k_in1k"))
    assert "ImageNet-12k, ImageNet-1k (ImageNet terms of access" in both
    assert "LAION-2B" in both


def test_no_torchvision_weight_is_reported_as_apache() -> None:
    for name, config in CONFIGS.items():
        if name.startswith("torchvision/") or re.search(r"\.tv2?_in1k$", name):
            licence = licence_of(name, config["pretrained_cfg"].get("license"))
            assert licence.weights in ("unknown", "cc-by-nc-4.0"), name
            assert licence.verdict != "permissive"
            assert licence.words


@pytest.mark.parametrize(
    ("name", "stated", "weights", "verdict"),
    [
        ("timm/resnet50.a1_in1k", "apache-2.0", "apache-2.0", "permissive"),
        ("timm/resnet50.gluon_in1k", "apache-2.0", "apache-2.0", "unknown"),
        ("timm/tf_efficientnet_b8.ra_in1k", "apache-2.0", "apache-2.0", "unknown"),
        ("timm/vit_base_patch16_clip_224.openai", "mit", "mit", "unknown"),
        ("timm/vit_base_patch16_clip_224.openai_ft_in1k", "apache-2.0", "apache-2.0", "permissive"),
        ("timm/convnextv2_tiny.fcmae_ft_in1k", "cc-by-nc-4.0", "cc-by-nc-4.0", "restricted"),
        ("timm/regnety_160.swag_ft_in1k", "cc-by-nc-4.0", "cc-by-nc-4.0", "restricted"),
        ("torchvision/vit_h_14.imagenet1k_swag_e2e_v1", None, "cc-by-nc-4.0", "restricted"),
        ("torchvision/resnet50.imagenet1k_v2", None, "unknown", "unknown"),
        ("timm/csatv2.r512_in1k", None, "unknown", "unknown"),
        ("keras/vgg19.imagenet", "cc-by-4.0", "cc-by-4.0", "permissive"),
        ("keras/xception.imagenet", None, "unknown", "unknown"),
        ("open_clip/coca_ViT-B-32.laion2b_s13b_b90k", None, "mit", "permissive"),
    ],
)
def test_licences(name: str, stated: str | None, weights: str, verdict: str) -> None:
    licence = licence_of(name, stated)
    assert (licence.weights, licence.verdict) == (weights, verdict)
    assert terms_of(name, stated).words


def test_every_row_of_the_list_is_there_with_its_cards() -> None:
    known = set(CONFIGS)
    for row in systems():
        assert row.status in (PUBLIC, NOT_PUBLIC, NOT_YET)
        assert row.names or row.own or row.status == NOT_YET, row.variant
        if row.status == NOT_PUBLIC:
            assert row.nearest, row.variant
            assert row.explains, row.variant
            assert not row.names
        zoos = tuple(f"{zoo}/" for zoo in index.ZOOS)
        carried = {name for name in (*row.names, row.nearest or "") if name.startswith(zoos)}
        if row.status != NOT_YET:
            assert carried - known == set(), row.variant


def test_every_yolo_that_is_built_has_a_row_with_its_counts() -> None:
    rows = {row.own.removeprefix("signet/"): row for row in systems() if row.system == "YOLO" and row.own}
    assert rows.keys() == NETWORKS.keys()
    for name, network in NETWORKS.items():
        row = rows[name]
        assert (row.status, row.task, row.year) == (NOT_PUBLIC, network.kind, ARCHITECTURES[name].year)
        assert row.parameters["learned"] == network.parameters
        distributes = network.family == "yolov8" and network.kind != "classify"
        assert row.parameters.get("with 16 constants") == (network.parameters + 16 if distributes else None)
        assert "docs/own-weights.md" in row.explains
        assert ("GPL-3.0" in row.explains, "AGPL-3.0" in row.explains) == (True, network.family == "yolov8")
    for row in systems():
        if row.status == NOT_YET and row.system == "YOLO":
            assert "not built here" in row.explains


def test_the_nearest_of_a_yolo_is_the_smallest_that_is_as_good_or_else_the_best() -> None:
    """Of those with a permissive licence, where a task has such."""
    for row in systems():
        if row.system != "YOLO":
            continue
        measure = measure_of(row.task)
        known = [found for found in find(row.task) if found.status == "downloadable" and found.params]
        known = [found for found in known if isinstance(found.key(measure), float)]
        known = [found for found in known if found.licence.verdict == "permissive"] or known
        (wanted,) = [figure.value for figure in row.published if figure.metric == measure]
        enough = [found for found in known if found.key(measure) >= wanted]
        if enough:
            best = min(enough, key=lambda found: (found.params, -found.key(measure), found.name))
        else:
            best = max(known, key=lambda found: found.key(measure))
        assert row.nearest == best.name, row.variant


def test_published_figures_of_yolo_are_those_of_the_table(shared: Path) -> None:
    with (shared / "data" / "published_models.csv").open(newline="", encoding="utf-8") as opened:
        table = {row["model"]: row for row in csv.DictReader(opened)}
    for row in systems():
        if row.system == "YOLO":
            figures = {figure.metric: figure.value for figure in row.published}
            stated = float(table[row.variant]["metric_value"]) / 100
            assert figures[measure_of(row.task)] == pytest.approx(stated), row.variant


def test_figures_of_the_systems_are_fractions_with_sources() -> None:
    for row in systems():
        for figure in row.published:
            assert 0 <= figure.value <= 1
            assert figure.source
        assert set(row.stated) <= {"params", "top1", "top5", "size_mb", "depth"}
        assert all(isinstance(value, int) and value > 0 for value in row.parameters.values())


def test_where_stated_and_published_differ_the_row_explains() -> None:
    """By more than half a point of accuracy, or by more than 5 % of the parameters."""
    for row in systems():
        top1 = [figure.value for figure in row.published if figure.metric == "top1"]
        stated = row.stated.get("top1")
        far = stated is not None and (not top1 or min(abs(stated - value) for value in top1) > 0.005)
        params = row.stated.get("params")
        counts = row.parameters.values()
        far |= bool(params and counts and min(abs(params - count) / count for count in counts) > 0.05)
        assert not far or row.explains, row.variant


def test_a_card_knows_its_row() -> None:
    (row,) = systems_of("torchvision/vgg19.imagenet1k_v1")
    assert row.stated == {"params": 144_000_000, "top1": 0.745, "top5": 0.9, "size_mb": 549, "depth": 26}
    assert row.parameters["torch"] == 143_667_240
    assert "dense" in row.explains
    assert systems_of("timm/beit3_base_patch16_224.in22k_ft_in1k") == ()
    names = [row.own for row in systems() if row.own]
    assert len(names) == len(set(names))
    assert "signet/coca_2b" in {row.own for row in without_weights()}
