"""Published figures: each a fraction with a source, of a model that the catalogue has."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from signet.catalogue import facts, index
from signet.catalogue.systems import systems

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "src" / "signet" / "catalogue" / "data"


def indexed() -> set[str]:
    """Every name of the packaged files, also of zoos whose index is read elsewhere."""
    found = set(index.names())
    for path in DATA.glob("*.jsonl"):
        found |= {json.loads(line).get("name", "") for line in path.read_text("utf-8").splitlines()}
    return found


def test_every_claim_is_a_fraction_with_a_source() -> None:
    for name in facts.names():
        for claim in facts.claims_of(name):
            assert 0 <= claim.value <= 1, name
            assert claim.source
            assert claim.dataset in facts.DATASETS.values()
            assert claim.metric in ("top1", "top5", "zero_shot_top1")


def test_every_name_with_a_claim_is_in_the_catalogue() -> None:
    of_systems = {name for row in systems() for name in row.names}
    assert (
        set(facts.names())
        - indexed()
        - of_systems
        - {name for name in facts.names() if name.startswith("keras/")}
        == set()
    )


def test_no_setting_is_there_twice() -> None:
    for name in facts.names():
        claims = facts.claims_of(name)
        keys = [(claim.metric, claim.dataset, claim.source, claim.evaluation_size) for claim in claims]
        assert len(keys) == len(set(keys)), name


def test_every_value_of_the_file_has_a_source() -> None:
    lines = (DATA / "claims.csv").read_text("utf-8").splitlines()
    values = sum(bool(cell) for line in lines[1:] for cell in line.split(",")[6:])
    assert sum(len(facts.claims_of(name)) for name in facts.names()) == values


def test_figures_at_the_cards_own_size_come_first() -> None:
    name = "timm/resnet50.a1_in1k"
    assert facts.claims_of(name, (288, 288))[0].evaluation_size == 288
    assert facts.claims_of(name, (224, 224))[0].evaluation_size == 224
    assert facts.top1_of(name, (288, 288)) == 0.8124
    assert facts.top1_of(name) == 0.80382


def test_known_figures() -> None:
    """Against the pages that they were read from."""
    claims = {(c.metric, c.dataset): c for c in facts.claims_of("torchvision/vgg19.imagenet1k_v1")}
    assert claims["top1", "ImageNet-1k validation"].value == 0.72376
    assert facts.top1_of("keras/vgg19.imagenet") == 0.713
    coca = facts.claims_of("open_clip/coca_ViT-L-14.laion2b_s13b_b90k")
    assert coca[0].metric == "zero_shot_top1"
    assert coca[0].value == 0.7561
    assert facts.top1_of("open_clip/coca_ViT-L-14.laion2b_s13b_b90k") is None
    assert facts.gmacs_of("resnet50", (224, 224)) == 4.11
    assert facts.gmacs_of("resnet50", (225, 225)) is None
    assert facts.gmacs_of("nobody", (224, 224)) is None
    assert facts.claims_of("nobody") == ()


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gather_claims", ROOT / "tools" / "gather_claims.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_file_has_what_the_tool_gathers_here(tool: ModuleType) -> None:
    """torchvision's and the copied figures; timm's and open_clip's need their repositories."""
    pytest.importorskip("torchvision")
    known = tool.indexed(DATA)
    published, _ = tool.published_rows(ROOT / "tools" / "published_claims.csv", known)
    gathered = tool.text([*tool.torchvision_rows(known), *published]).splitlines()
    lines = (DATA / "claims.csv").read_text("utf-8").splitlines()
    assert set(gathered) <= set(lines)
    sources = json.loads((DATA / "claim_sources.json").read_text("utf-8"))
    kinds = {line.split(",")[1] for line in lines[1:]}
    assert kinds == set(sources)
    assert {line for line in lines[1:] if line.split(",")[1] == "torchvision"} <= set(gathered)


@pytest.mark.parametrize(
    ("percent", "fraction"), [("81.240", "0.8124"), ("0", "0"), ("100", "1"), ("7.5", "0.075")]
)
def test_percents_keep_their_digits(tool: ModuleType, percent: str, fraction: str) -> None:
    assert tool.fraction(percent) == fraction
