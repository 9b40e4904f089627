"""Benchmarks: what was measured is kept by all that it depends on, and pages say what they are made of."""

from __future__ import annotations

import argparse
import csv
import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def network(folder: Path, weights: bytes, config: str = "{}") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_a_network_is_known_by_its_weights_and_its_preprocessing(tmp_path: Path) -> None:
    systems: Any = importlib.import_module("tuning.systems")
    one = systems.model_digest(network(tmp_path / "one", b"1"))
    assert systems.model_digest(network(tmp_path / "same", b"1")) == one
    assert systems.model_digest(network(tmp_path / "weights", b"2")) != one
    assert systems.model_digest(network(tmp_path / "size", b"1", '{"input_size": 160}')) != one


def test_a_finished_run_of_signet_is_one_of_its_code_and_a_peers_is_not(tmp_path: Path) -> None:
    small_data: Any = importlib.import_module("small_data")
    places = {}
    for program in ("signet", "linear probe"):
        cell = small_data.Cell("birds", 5, program)
        for source in ("aaaa", "bbbb"):
            chosen = argparse.Namespace(runs=tmp_path, source=source)
            places[program, source] = small_data.kept(cell, 0, chosen)
    assert places["signet", "aaaa"] != places["signet", "bbbb"]
    assert places["linear probe", "aaaa"] == places["linear probe", "bbbb"]
    assert small_data.source_digest() == small_data.source_digest()


def test_a_page_of_rows_that_were_measured_apart_names_every_date_and_version(tmp_path: Path) -> None:
    page: Any = importlib.import_module("choosing_page")
    with (ROOT / "benchmarks" / "results" / "choosing.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    rows[-1] |= {"date": "2031-02-03", "processor": "another", "versions": "signet 9"}
    table = tmp_path / "choosing.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    page.write_page(table)
    text = table.with_suffix(".md").read_text("utf-8")
    for key in ("date", "processor", "versions"):
        assert rows[0][key] in text
        assert rows[-1][key] in text


def test_the_page_from_file_to_label_sets_each_system_beside_signet_and_tells_the_share() -> None:
    end_to_end: Any = importlib.import_module("end_to_end")

    def rows(*rates: float) -> list[dict[str, float]]:
        return [
            {"images_per_second": rate, "processor_seconds": 250 * 2 / rate, "count": 250} for rate in rates
        ]

    ceiling = {"read": 2000.0, "resize": 2000.0, "network": 125.0, "together": 111.1, "share": 0.9}
    stages = {"read": 1.0, "resize": 1.0, "network": 16.0, "answer": 0.0}
    speed = {"images_per_second": 100.0, "stages": stages, "ceiling": ceiling}
    model = {
        "rows": {
            ("timm", "fp32"): rows(19.0, 20.0),
            ("transformers", "fp32"): [{"error": "not installed"}],
            ("signet", "bf16"): rows(100.0, 90.0),
            ("signet", "int8"): rows(180.0, 200.0),
        },
        "stages": {"bf16": speed},
        "words": "random weights",
    }
    page = end_to_end.report({"count": 250, "models": {"resnet50": model}})
    assert "| timm | fp32 | 20.0 | 102.6 | 5.0x | 4.9x | 10.0x | 9.7x |" in page
    assert "| transformers | fp32 | failed | | | | | |" in page
    assert "| bf16 | 2000 | 2000 | 125 | 111 | 100 | 90% |" in page
