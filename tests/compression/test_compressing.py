"""`compress`: what passes is a seal that answers on both engines; what collapses is refused, then rescued."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import signet
from signet.compression import Compressed, Gate, compress, compression_page
from signet.datasets import open_dataset
from signet.errors import AlreadyExists, BadDataset, BadRequest, UnknownName
from signet.evidence import decoded
from signet.graphs.opening import is_quantized, open_graph
from signet.reporting import render
from signet.seals import Expected, Seal, open_seal


def test_that_int8_passes_and_is_a_seal_of_its_own(plain: Compressed, sealed: Seal, place) -> None:
    parent = open_seal(place.seal("plain"))
    assert plain.passed
    assert plain.parent == parent.digest != sealed.digest
    assert plain.chosen.ruling.count == 30
    assert plain.chosen.ruling.alike >= 29
    assert plain.chosen.floats == ()
    assert plain.costs == ()
    assert plain.calibration["images"] == 12
    assert is_quantized(open_graph(sealed.graphs["image"]))
    assert sealed.weights is None
    made = sealed.card.lineage["compressed"]
    assert made["parent"]["digest"] == parent.digest
    assert made["gate"]["passed"] is True
    assert sealed.card.program == parent.card.program
    assert sealed.card.labels == parent.card.labels


def test_that_its_evidence_is_of_int8_and_holds_on_both_engines(plain: Compressed, sealed: Seal) -> None:
    assert set(plain.verdicts) == {"onnx", "openvino"}
    assert all(verdict.ok and verdict.precision == "int8" for verdict in plain.verdicts.values())
    assert Expected.from_file(sealed.expected).reference.endswith(" int8")


def test_that_auto_runs_it_in_int8_and_says_why(sealed: Seal) -> None:
    with signet.load(sealed.path) as model:
        assert model.engine.precision == "int8"
        assert "the graph is quantized" in model.running.why


def test_that_its_answers_are_those_of_integers_near_those_of_floats(sealed: Seal, place) -> None:
    image = next(iter(sorted(place.others.iterdir())))
    found = []
    for path in (place.seal("plain"), sealed.path):
        with signet.load(path, engine="onnx") as model:
            picture = decoded(image, model.card.program)
            found.append(model.run(model.prepare([picture]))["scores"])
    apart = np.abs(found[0] - found[1]).max()
    assert 0 < apart < 0.05 * np.abs(found[0]).max()


def test_that_mixed_precision_rescues_it_by_the_layer_that_costs(rescued: Compressed) -> None:
    plain = rescued.frontier[0].ruling
    assert plain.drop.value > 0.3
    assert plain.faults()[0].startswith("top1 drops by")
    assert rescued.passed
    assert rescued.seal is not None
    assert rescued.costs[0].layer == "judge"
    assert rescued.costs[0].error > 10 * rescued.costs[1].error
    assert "judge" in rescued.chosen.floats
    assert is_quantized(open_graph(rescued.seal.graphs["image"]))
    assert all(verdict.ok for verdict in rescued.verdicts.values())
    assert any("networks on the same images" in note for note in rescued.notes)


def test_that_the_json_says_all_that_was_measured(rescued: Compressed) -> None:
    found = json.loads(json.dumps(rescued.to_dict()))
    assert found["seal"].endswith("mixed.signet")
    assert found["before"]["metrics"]["top1"]["value"] > 0.9
    assert found["drop"]["metric"] == "top1"
    assert found["drop"]["low"] <= found["drop"]["value"] <= found["drop"]["high"]
    assert found["flips"]["alike"] == rescued.chosen.ruling.alike
    assert found["gate"]["passed"] is True
    assert found["frontier"][0]["passed"] is False
    assert found["speedup"] > 0
    assert found["size_ratio"] > 0


def test_that_the_page_shows_before_after_and_what_cost(rescued: Compressed) -> None:
    page = render(compression_page(rescued))
    for words in ("Before and after", "Everything that was tried", "Which layers cost", "judge", "Verified"):
        assert words in page
    refused = dataclasses.replace(rescued, seal=None, chosen=rescued.frontier[0])
    assert "Refused: nothing was written" in render(compression_page(refused))


def test_what_is_refused_before_any_work(place, sealed: Seal, tmp_path: Path) -> None:
    settings = place.settings()
    with pytest.raises(AlreadyExists):
        compress(place.seal("plain"), place.data, out=sealed.path, settings=settings)
    with pytest.raises(UnknownName, match="int8"):
        compress(place.seal("plain"), place.data, to="int4", out=tmp_path / "a.signet", settings=settings)
    with pytest.raises(BadRequest, match="quantized already"):
        compress(sealed.path, place.data, out=tmp_path / "a.signet", settings=settings)
    same = place.settings(calibration=place.data.paths)
    with pytest.raises(BadRequest, match="all of them do both"):
        compress(place.seal("plain"), place.data, out=tmp_path / "a.signet", settings=same)
    with pytest.raises(BadRequest, match="expected images, got none"):
        place.settings(calibration=())
    alone = place.data.subset([0])
    with pytest.raises(BadDataset, match="at least two images"):
        compress(
            place.seal("plain"), alone, out=tmp_path / "a.signet", settings=place.settings(calibration=None)
        )
    assert not (tmp_path / "a.signet").exists()


def test_that_too_few_images_decide_nothing_unless_it_is_kept_all_the_same(place) -> None:
    few = place.data.subset(range(0, 30, 3))
    found = compress(
        place.seal("plain"),
        few,
        out=place.root / "few.signet",
        settings=place.settings(keep_refused=True, gate=Gate(max_drop=1.0, min_alike=0.0)),
    )
    assert not found.passed
    assert len(found.frontier) == 1  # floats would not make them more
    assert found.chosen.ruling.faults() == ("10 images decide nothing: at least 20 are needed",)
    assert found.seal is not None
    assert found.seal.card.lineage["compressed"]["gate"]["passed"] is False


def test_that_a_dataset_of_names_is_read_with_its_own_splits(place, tmp_path: Path) -> None:
    """The train part calibrates, the test part judges."""
    rows = ["file,label,split"]
    for number, entry in enumerate(place.data.entries):
        label = place.data.labels[entry.classes[0]]
        rows.append(f"{entry.path},{label},{'train' if number % 4 == 0 else 'test'}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    data = open_dataset(tmp_path / "table.csv")
    found = compress(
        place.seal("plain"), data, out=tmp_path / "b.signet", settings=place.settings(calibration=None)
    )
    assert found.calibration["images"] == 8
    assert found.chosen.ruling.count == 22
    assert "train part" in found.notes[0]
