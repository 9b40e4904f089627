"""The published table is whole, and the figures that rest on it come out again."""

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from signet.catalogue import facts
from signet.choosing import published
from signet.errors import UnknownName

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("transfer_table", ROOT / "benchmarks" / "transfer_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_ten_networks_on_each_of_eight_datasets_in_one_order() -> None:
    assert len(published.datasets()) == 8
    orders = {tuple(row.name for row in published.on_dataset(name)) for name in published.datasets()}
    assert [len(order) for order in orders] == [10]
    for row in published.transfers():
        assert 0.5 < row.fine_tuned < 1
        assert set(row.scores) == {"h_score", "leep", "logme", "nce"} - (
            {"nce"} if row.dataset == "DTD" else set()
        )


def test_the_names_and_accuracies_are_those_of_the_catalogue() -> None:
    for row in published.on_dataset("Pets"):
        assert facts.top1_of(row.name) == pytest.approx(row.imagenet_top1, abs=1e-4), row.name


def test_every_figure_is_that_of_the_source(shared: Path) -> None:
    with (shared / "data" / "transfer_table_tllib.csv").open(encoding="utf-8") as stream:
        theirs = list(csv.DictReader(stream))
    assert len(theirs) == len(published.transfers())
    for row, printed in zip(published.transfers(), theirs, strict=True):
        assert (row.dataset, row.model) == (printed["dataset"], printed["model"])
        assert row.fine_tuned == pytest.approx(float(printed["finetuned_acc"]) / 100)
        assert row.imagenet_top1 == pytest.approx(float(printed["imagenet_top1_torchvision_v1"]) / 100)
        for name, column in (("h_score", "hscore"), ("leep", "leep"), ("logme", "logme"), ("nce", "nce")):
            assert row.scores.get(name, float(printed[column])) == float(printed[column])


def test_an_unknown_dataset_is_refused_with_the_near_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'CIFAR10'"):
        published.on_dataset("CIFAR-10")


@pytest.mark.parametrize(
    ("rule", "tau"),
    [
        ("ImageNet top-1", 0.72),
        ("LogME", 0.67),
        ("LEEP", 0.42),
        ("H-score", 0.65),
        ("prior: accuracy on the other datasets", 0.75),
        ("prior + LogME", 0.78),
    ],
)
def test_the_published_comparison_is_reproduced(benchmark_module: ModuleType, rule: str, tau: float) -> None:
    found = benchmark_module.taus(benchmark_module.RULES[rule])
    assert len(found) == 8
    assert sum(found.values()) / 8 == pytest.approx(tau, abs=0.01)


def test_a_rule_never_sees_the_dataset_it_is_held_to(
    benchmark_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [benchmark_module.RULES["prior + LogME"], benchmark_module.weighted_top1_and_logme]
    before = [rule("Pets") for rule in rules]
    real = benchmark_module.accuracy
    monkeypatch.setattr(
        benchmark_module, "accuracy", lambda name: real(name)[::-1] if name == "Pets" else real(name)
    )
    for rule, values in zip(rules, before, strict=True):
        assert (rule("Pets") == values).all()
        assert (rule("Cars") != values).any()


def test_the_kept_result_is_what_the_benchmark_gives(benchmark_module: ModuleType) -> None:
    with benchmark_module.OUT.open(encoding="utf-8") as stream:
        kept = list(csv.DictReader(stream))
    assert [{name: str(value) for name, value in row.items()} for row in benchmark_module.rows()] == kept
