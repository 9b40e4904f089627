"""The graph that is sealed is the network that learned."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from signet.errors import CheckFailed
from signet.finetuning import adapting
from signet.recipes import Recipe


def held(monkeypatch: pytest.MonkeyPatch, task: str, metrics: dict[str, float], measured: float) -> None:
    """Compare a figure of the training with what a graph is said to reach."""
    figures = {name: SimpleNamespace(value=value) for name, value in metrics.items()}
    asked: list[Recipe] = []

    def answered(_: Any, recipe: Recipe, *__: Any) -> Any:
        asked.append(recipe)
        return SimpleNamespace(metrics=figures)

    monkeypatch.setattr(adapting, "_asked", answered)
    run: Any = SimpleNamespace(
        adaptation=SimpleNamespace(figures=("miou",) if task == "segment" else ("ap", "ap50")),
        recipe=Recipe(precision="bf16"),
        parts=SimpleNamespace(validation=None),
        work=SimpleNamespace(folder=Path("run")),
    )
    card: Any = SimpleNamespace(name="cells", task=task)
    graph: Any = None
    adapting._hold_to_training(run, card, graph, measured)
    assert [recipe.precision for recipe in asked] == ["fp32"]


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("detect", {"ap": 0.612, "ap50": 0.9}),
        ("instances", {"ap": 0.1, "mask_ap": 0.612}),
        ("segment", {"miou": 0.612}),
    ],
)
def test_a_graph_that_answers_as_the_training_did_is_sealed(
    monkeypatch: pytest.MonkeyPatch, task: str, metrics: dict[str, float]
) -> None:
    held(monkeypatch, task, metrics, 0.61)
    with pytest.raises(CheckFailed, match=r"0\.7000\), got 0\.6120\. Nothing was sealed"):
        held(monkeypatch, task, metrics, 0.70)


def test_nothing_found_is_a_figure_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    held(monkeypatch, "detect", {}, 0.0)
    held(monkeypatch, "detect", {"ap": float("nan")}, 0.0)
    with pytest.raises(CheckFailed, match=r"got 0\.0000"):
        held(monkeypatch, "detect", {}, 0.3)
