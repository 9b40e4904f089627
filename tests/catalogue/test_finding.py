"""Finding models: filters, licence rules, order, and the front of the best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signet.cards import Claim, Licence
from signet.catalogue import finding, index
from signet.catalogue.finding import Entry, Query, find, select
from signet.errors import BadRequest, UnknownName
from signet.zoos import from_package


def entry(name: str, **fields: object) -> Entry:
    whole: dict[str, object] = {
        "task": "classify",
        "family": "ResNet",
        "params": 10,
        "gmacs": 1.0,
        "depth": None,
        "size_bytes": None,
        "input_size": (224, 224),
        "licence": Licence("mit", stated=True),
        "status": "downloadable",
        "claims": (),
    }
    return Entry(name=name, **{**whole, **fields})


def top1(value: float) -> tuple[Claim, ...]:
    return (Claim("top1", value, "d", "s"),)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    rows = [
        entry("timm/b.x", params=20, claims=top1(0.8), licence=Licence("cc-by-nc-4.0", stated=True)),
        entry("timm/a.x", params=20, claims=top1(0.8)),
        entry("timm/c.x", params=5, gmacs=None, claims=top1(0.7), family="ViT"),
        entry("torchvision/d.y", params=None, licence=Licence("mit", stated=False), input_size=(96, 100)),
        entry("timm/e.x", params=30, claims=top1(0.75), licence=Licence("apple-amlr", stated=True)),
        entry("starter", params=2, task="embed", status="embedded", gmacs=0.1, domain="natural"),
        entry("timm/f.x", params=7, licence=Licence(), domain="medical"),
    ]
    monkeypatch.setattr(finding, "entries", lambda: rows)
    return rows


def names(found: object) -> list[str]:
    return [row.name.rpartition("/")[2] for row in found]


def test_figures_of_the_other_tasks_are_keys_and_coco_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = (
        Claim("ap", 0.5, "COCO test-dev", "s"),
        Claim("ap", 0.4, "COCO val2017", "s"),
        Claim("ap50", 0.6, "mine", "s"),
        Claim("mask_ap", 0.3, "mine", "s"),
    )
    rows = [
        entry("a.x", task="detect"),
        entry("b.x", task="detect", claims=(Claim("ap", 0.2, "mine", "s"), Claim("ap", 0.3, "theirs", "s"))),
        entry("c.x", task="detect", claims=claims),
        entry("d.x", task="segment", claims=(Claim("miou", 0.7, "mine", "s"),)),
    ]
    monkeypatch.setattr(finding, "entries", lambda: rows)
    assert [rows[2].key(key) for key in ("ap", "ap50", "mask_ap", "miou", "top1")] == [
        0.4,
        0.6,
        0.3,
        None,
        None,
    ]
    assert rows[1].key("ap") == 0.3
    assert names(find("detect")) == ["c.x", "b.x", "a.x"]
    assert names(find("detect", sort="name")) == ["a.x", "b.x", "c.x"]
    assert names(find(sort="miou")) == ["d.x", "a.x", "b.x", "c.x"]
    assert names(find("detect", min_ap=0.3)) == ["c.x", "b.x"]
    assert names(find("detect", min_ap=0.31)) == ["c.x"]
    assert select(Query(task="detect", min_ap=0.31)).figure_unknown == {"ap": 1}
    assert names(find("segment", min_miou=0.7)) == ["d.x"]
    assert names(find("detect", pareto=["accuracy", "params"])) == ["c.x"]
    html = find("detect")._repr_html_()
    assert ("AP" in html, "top-1" in html) == (True, False)
    with pytest.raises(
        BadRequest, match=r"--min-miou: expected a fraction from 0 to 1, such as 0\.8, got 70"
    ):
        find(min_miou=70)


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), ["starter", "a.x", "b.x", "c.x", "e.x", "f.x", "d.y"]),
        (Query(text="timm C"), ["c.x"]),
        (Query(text="vit"), ["c.x"]),
        (Query(text="vit torchvision"), []),
        (Query(task="embed"), ["starter"]),
        (Query(family="resnet", max_params=10), ["starter", "f.x"]),
        (Query(family="vi*"), ["c.x"]),
        (Query(max_params=20), ["starter", "a.x", "b.x", "c.x", "f.x"]),
        (Query(max_gmacs=0.5), ["starter"]),
        (Query(status="embedded"), ["starter"]),
        (Query(domain="medical"), ["f.x"]),
        (Query(licence="permissive"), ["starter", "a.x", "c.x"]),
        (Query(licence="commercial"), ["starter", "a.x", "c.x", "e.x"]),
    ],
)
def test_filters(query: Query, expected: list[str]) -> None:
    assert names(select(query)) == expected


@pytest.mark.usefixtures("catalogue")
def test_models_of_unknown_licence_are_left_out_and_counted() -> None:
    assert select(Query(licence="permissive")).licence_unknown == 2
    assert select(Query(licence="permissive", text="timm")).licence_unknown == 1
    assert select(Query()).licence_unknown == 0


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("mit", True),
        ("apache-2.0", True),
        ("cc-by-nc-4.0", False),
        ("CC-BY-NC-SA-4.0", False),
        ("agpl-3.0", False),
        ("AGPL", False),
        ("gpl-3.0-only", False),
        ("GPLv2", False),
        ("non-commercial research", False),
        ("noncommercial", False),
        ("lgpl-2.1", True),
        ("apple-amlr", True),
        ("some licence of its own", True),
        ("Vincent's licence", True),
    ],
)
def test_what_commercial_refuses(licence: str, allowed: bool) -> None:
    assert finding.licensed(Licence(licence, stated=True), "commercial") == allowed
    assert not finding.licensed(Licence(licence, stated=False), "commercial"), "inherited is unknown"


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["starter", "a.x", "b.x", "c.x", "e.x", "f.x", "d.y"]),
        ("params", ["starter", "c.x", "f.x", "a.x", "b.x", "e.x", "d.y"]),
        ("top1", ["a.x", "b.x", "e.x", "c.x", "starter", "f.x", "d.y"]),
        ("input_size", ["d.y", "starter", "a.x", "b.x", "c.x", "e.x", "f.x"]),
    ],
)
def test_order_best_first_then_by_name_and_unknown_last(sort: str, expected: list[str]) -> None:
    assert names(select(Query(), sort=sort)) == expected


@pytest.mark.usefixtures("catalogue")
def test_the_front_keeps_what_no_other_beats_in_everything() -> None:
    assert names(select(Query(), pareto=("params", "top1"))) == ["a.x", "b.x", "c.x"]
    assert names(select(Query(), pareto=("params",))) == ["starter"]
    assert names(select(Query(), sort="params", pareto=("params", "top1"))) == ["c.x", "a.x", "b.x"]
    assert names(select(Query(licence="permissive"), pareto=("top1",))) == ["a.x"]


@pytest.mark.usefixtures("catalogue")
def test_what_is_asked_wrongly_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'params'"):
        select(Query(), sort="param")
    with pytest.raises(UnknownName, match="No sort key named 'speed'"):
        select(Query(), pareto=("speed",))
    with pytest.raises(BadRequest, match="--pareto"):
        select(Query(), pareto=("name", "params"))
    with pytest.raises(UnknownName, match="Did you mean 'mirrored'"):
        select(Query(status="mirorred"))
    with pytest.raises(BadRequest, match="permissive or commercial"):
        select(Query(licence="free"))


def test_an_entry_goes_to_plain_json() -> None:
    plain = json.loads(json.dumps(entry("timm/a.x", claims=top1(0.8)).to_dict()))
    assert plain["input_size"] == [224, 224]
    assert {key: value for key, value in plain["licence"].items() if value is not None} == {
        "weights": "mit",
        "stated": True,
        "verdict": "permissive",
    }
    assert plain["claims"] == [
        {"metric": "top1", "value": 0.8, "dataset": "d", "source": "s", "evaluation_size": None}
    ]
    assert "nearest" not in plain
    assert list(plain)[:10] == [
        "name", "task", "family", "params", "gmacs", "depth", "size_bytes", "input_size", "licence", "status",
    ]  # fmt: skip


def test_names_are_escaped_in_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "entries", lambda: [entry("<b>x</b>")])
    shown = find()._repr_html_()
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown


@pytest.fixture
def _starter() -> None:
    if not (from_package.folder() / "card.json").is_file():
        pytest.skip("the starter is not in this package")


@pytest.mark.usefixtures("_starter")
def test_the_whole_catalogue_holds_together() -> None:
    rows = finding.entries()
    assert [row.name for row in rows if row.status == "embedded"] == [index.STARTER]
    public = [row for row in rows if row.status != "no public weights"]
    assert {row.name for row in public} == set(index.names())
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        json.dumps(row.to_dict(), allow_nan=False)
        assert row.family
    # Most detectors and segmenters take pictures of any size.
    assert all(row.input_size or row.task in ("detect", "instances", "segment") for row in public)
    assert select(Query(licence="permissive")).licence_unknown > 1000, "inherited licences are not stated"
    assert len(find("classify", max_params=5_000_000)) > 50
    front = select(Query(), pareto=("params", "top1"), sort="params")
    figures = [(row.key("params"), row.key("top1")) for row in front]
    assert figures == sorted(figures)
    assert [figure[1] for figure in figures] == sorted(figure[1] for figure in figures)


def test_what_is_not_public_is_shown_to_those_who_ask_and_wins_nothing() -> None:
    assert not [row for row in select(Query()) if row.status == "no public weights"]
    (coca,) = [row for row in select(Query(text="coca 2b")) if row.name == "signet/coca_2b"]
    assert (coca.status, coca.key("top1"), coca.year) == ("no public weights", 0.91, 2022)
    assert coca.nearest == "open_clip/coca_ViT-L-14.laion2b_s13b_b90k"
    assert coca.to_dict()["nearest"] == coca.nearest
    hidden = select(Query(status="no public weights"))
    assert len(hidden) > 5
    assert not len(select(Query(status="no public weights"), pareto=("params", "top1")))
    assert not len(select(Query(family="yolo*"), pareto=("params", "ap")))
    assert not [row for row in select(Query(task="classify")) if row.status == "no public weights"]
    # Of weights that there are none of nobody has to state the licence.
    detectors = [row for row in select(Query(task="detect")) if row.status != "no public weights"]
    assert select(Query(task="detect", licence="permissive")).licence_unknown == len(detectors)


def test_figures_of_robustness_are_claims_and_no_accuracy_to_sort_by() -> None:
    (found,) = select(Query(text="timm/resnet50.a1_in1k"))
    assert found.key("top1") == 0.8124  # on ImageNet-1k, at the size of its own program
    assert {claim.dataset for claim in found.claims} >= {"ImageNet-A", "ImageNet-R", "ImageNet-Sketch"}
    assert (found.year, found.depth, found.paper) == (2015, 50, "arXiv:1512.03385")
    assert found.licence.verdict == "permissive"
    assert found.gmacs is not None


@pytest.mark.usefixtures("_starter")
def test_the_mirror_is_part_of_the_catalogue(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    found = select(Query(status="mirrored"))
    assert names(found) == ["mobilenetv2_100.coral_in1k", "squeezenet1_0.dc_in1k"]
    assert [row.licence.verdict for row in found] == ["permissive", "permissive"]
    assert all(row.size_bytes and row.input_size for row in found)


def test_a_mirrored_model_is_counted_by_its_file(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SqueezeNet 1.0 has 1,248,424 values (torchvision), MobileNetV2 3,504,872."""
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    found = {row.name: row.params for row in select(Query(status="mirrored", max_params=4_000_000))}
    assert found == {"mobilenetv2_100.coral_in1k": 3_504_872, "squeezenet1_0.dc_in1k": 1_248_424}


def test_what_the_index_lists_too_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "resnet18.a1_in1k"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(index.config(f"timm/{name}")))
    (folder / "model.safetensors").write_bytes(b"0" * 1000)
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path))
    (found,) = select(Query(text=name))
    assert (found.name, found.status, found.size_bytes) == (f"timm/{name}", "mirrored", 1000)
    assert found.params == 11_689_512
    assert found.claims


def test_weights_of_our_own_network_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "signet/yolov8n"
    folder.mkdir(parents=True)
    config = {"library": "signet", "architecture": "yolov8n", "num_classes": 2, "labels": ["a", "b"]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path))
    found = [row for row in select(Query(text="yolov8n")) if row.name == "signet/yolov8n"]
    assert [row.status for row in found] == ["mirrored"]


@pytest.mark.usefixtures("catalogue")
def test_limits_leave_out_and_count_what_is_not_known() -> None:
    found = select(Query(max_gmacs=2))
    assert found.figure_unknown == {"gmacs": 1}
    assert names(select(Query(min_top1=0.75))) == ["a.x", "b.x", "e.x"]
    assert select(Query(min_top1=0.75)).figure_unknown == {"top1": 3}
    assert names(select(Query(input_size=96))) == []
    assert names(select(Query(min_input=90, max_input=100))) == ["d.y"]
    assert finding.loosened(Query(task="embed", max_params=1)) == {"max_params": 1}


@pytest.mark.usefixtures("catalogue")
def test_the_front_says_who_is_beaten_by_whom() -> None:
    found = select(Query(), pareto=("accuracy", "params"))
    assert found.dominated == {
        "timm/a.x": ("timm/e.x",),
        "timm/b.x": (),
        "timm/c.x": (),
    }
    assert found.figure_unknown == {"top1": 3, "params": 1}
