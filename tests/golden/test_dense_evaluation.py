"""The shared detector and segmenter are as good as the README beside them says; pycocotools says the same."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from signet import datasets
from signet.cli.main import main
from signet.engines.contract import EngineSettings
from signet.errors import WrongTask
from signet.evaluation import evaluate
from signet.instances import Instances
from signet.masks import Mask
from signet.metrics.average_precision import label_figures
from signet.metrics.matching import match
from signet.models import load
from signet.segments import SegmentMap

pytestmark = pytest.mark.slow

ANNOTATIONS = Path("data/coco_tiny/annotations/instances_val2017.json")
DETECTOR = Path("weights/files/yolox_nano.onnx")
SEGMENTER = Path("weights/files/deeplabv3_mnv2_dm05_pascal_quant.tflite")
STATS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
STATS += ("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
VOC_NAMES = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "dining table": "diningtable",
    "potted plant": "pottedplant",
    "couch": "sofa",
    "tv": "tvmonitor",
}


def opened(file):
    return load(
        file, engine="openvino", precision="fp32", settings=EngineSettings(threads=2, workers=2, batch=4)
    )


def by_pycocotools(annotations, found, kind):
    """Its twelve figures of rows of file name, label and the rest of a result."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(annotations))
        images = {row["file_name"]: row["id"] for row in truth.dataset["images"]}
        categories = {row["name"]: row["id"] for row in truth.dataset["categories"]}
        results = [
            {"image_id": images[file], "category_id": categories[label], **rest}
            for file, label, rest in found
        ]
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def results_of(lines):
    """Those rows, of predictions as `signet predict` writes them."""
    for line in lines:
        for box in line["boxes"]:
            left, top, right, bottom = box["xyxy"]
            sides = {"bbox": [left, top, right - left, bottom - top], "score": box["score"]}
            yield Path(line["source"]).name, box["label"], sides


def test_the_detector_has_its_measured_figures_which_pycocotools_gives_of_what_predict_writes(
    shared, tmp_path, capsys
):
    data = shared / "data" / "coco_tiny"
    assert main(["evaluate", str(shared / DETECTOR), str(data), "--split", "val", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["count"] == 80
    assert report["metrics"]["ap"]["value"] == pytest.approx(0.295, abs=0.002)
    assert report["metrics"]["ap50"]["value"] == pytest.approx(0.452, abs=0.002)
    out = tmp_path / "found.jsonl"
    assert (
        main(
            [
                "predict",
                str(shared / DETECTOR),
                str(data / "val2017"),
                "--min-score",
                "0",
                "--out",
                str(out),
                "--quiet",
            ]
        )
        == 0
    )
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    stats = by_pycocotools(shared / ANNOTATIONS, results_of(lines), "bbox")
    figures = [report["metrics"][name]["value"] for name in STATS]
    np.testing.assert_allclose(figures, stats, rtol=0, atol=1e-9)
    for figure in report["metrics"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_blood_cells_are_none_of_what_the_detector_knows(shared):
    with (
        opened(shared / DETECTOR) as model,
        pytest.raises(WrongTask, match=r"knows none of the labels.*RBC.*its own are person"),
    ):
        evaluate(model, datasets.open_dataset(shared / "data" / "bccd"))


def test_a_folder_of_classes_is_not_given_to_a_detector(shared, capsys):
    folder = shared / "data" / "cifar10_small"
    assert main(["evaluate", str(shared / DETECTOR), str(folder), "--quiet"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "gives boxes, and" in said
    assert (
        "states one answer for an image. Expected a dataset that states boxes or objects with masks" in said
    )


def test_masks_of_photographs_have_the_figures_of_pycocotools(shared):
    """Answers are the truths, moved by a few pixels, some dropped: outlines and crowds as COCO has them."""
    data = datasets.open_dataset(shared / "data" / "coco_tiny").select("val")
    generator = np.random.default_rng(0)
    pairs, lines = [], []
    for sample in data:
        kept = generator.random(len(sample.truth)) < 0.8
        moved = []
        for mask in sample.truth[kept].masks:
            inside = np.roll(mask.to_array(), generator.integers(-4, 5, 2), axis=(0, 1))
            moved.append(Mask.of(inside))
        scores = generator.random(len(moved))
        boxes = dataclasses.replace(sample.truth.boxes[kept], scores=scores, crowd=None, areas=None)
        pairs.append((Instances(boxes, tuple(moved)), sample.truth))
        rows = zip(boxes.labels, scores.tolist(), moved, strict=True)
        lines += [
            (sample.path.name, name, {"score": score, "segmentation": mask.to_coco()})
            for name, score, mask in rows
        ]
    figures = label_figures(match(pairs, len(data.labels), masks=True)).means()
    stats = by_pycocotools(shared / ANNOTATIONS, lines, "segm")
    np.testing.assert_allclose([figures[name][0] for name in STATS], stats, rtol=0, atol=1e-9)


@pytest.mark.large
def test_the_segmenter_has_its_measured_figure(shared):
    """Measured there with TensorFlow Lite; how overlaps and crowds were painted is not stated."""
    objects = datasets.open_dataset(shared / "data" / "coco_tiny")
    with opened(shared / SEGMENTER) as model:
        labels = model.card.labels
        places = [VOC_NAMES.get(name, name) for name in objects.labels]
        table = np.array([labels.index(name) if name in labels else 0 for name in places])

        def painted(entry, names, exclusive):
            """The background, over it objects from the largest to the smallest; crowds are unlabelled."""
            instances = entry.annotation.instances(objects.labels, str(entry.path))
            indices = np.zeros(instances.boxes.size, np.int32)
            for row in sorted(range(len(instances)), key=lambda row: -instances.masks[row].area):
                label = int(table[instances.boxes.indices[row]])
                if label:
                    inside = instances.masks[row].to_array()
                    indices[inside] = -1 if instances.boxes.crowd[row] else label
            return SegmentMap(indices, names, background=0, source=str(entry.path))

        entries = tuple(
            dataclasses.replace(entry, classes=tuple(sorted({int(table[one]) for one in entry.classes})))
            for entry in objects.entries
            if any(table[one] for one in entry.classes)
        )
        dataset = dataclasses.replace(
            objects, entries=entries, labels=labels, truth_of=painted, task="segment"
        ).with_splits([None] * len(entries))
        report = evaluate(model, dataset)
    assert report.count == 134
    assert report.metrics["miou"].value == pytest.approx(0.512, abs=0.003)
    assert len(report.per_class) == 21
