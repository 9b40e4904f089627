import math

from signet.records import Interval
from signet.reporting import Story, finetuning_page, render
from signet.reporting.finetuning import curves
from signet.reporting.page import Comparison, Curves, Row, Table

from .sample import report

HISTORY = [
    {"epoch": 1, "train_loss": 2.0, "val_loss": 1.9, "val_top1": 0.4, "learning_rate": 1e-3, "seconds": 9.0},
    {"epoch": 2, "train_loss": 1.0, "val_loss": 1.2, "val_top1": 0.6, "learning_rate": 1e-4, "seconds": 9.1},
    {"epoch": 3, "train_loss": 0.5, "val_loss": math.nan, "learning_rate": 1e-5, "seconds": 9.1},
]


def test_losses_and_rates_have_a_panel_each():
    found = curves(HISTORY, kept=2)
    losses, rates = found.panels
    assert [line.name for line in losses.lines] == ["training", "validation"]
    assert losses.lines[1].values == (1.9, 1.2, None)
    assert [line.name for line in rates.lines] == ["validation"]
    assert rates.lines[0].values == (0.4, 0.6, None)
    assert rates.fraction
    assert found.steps == (1, 2, 3)


def test_epochs_without_a_number_count_from_one():
    assert curves([{"loss": 2.0}, {"loss": 1.0}]).steps == (1, 2)
    assert curves([{"loss": 2.0}]).panels[0].lines[0].name == "loss"


def test_the_curves_of_a_detector_have_a_loss_of_training_only():
    history = [
        {"epoch": 0, "validation_ap": 0.0, "validation_ap50": 0.0, "learning_rate": 0.0},
        {"epoch": 1, "validation_ap": 0.2, "validation_ap50": 0.5, "learning_rate": 0.1, "train_loss": 3.0},
    ]
    found = curves(history, kept=1)
    lines = [[(line.name, line.values) for line in panel.lines] for panel in found.panels]
    assert lines == [
        [("training", (None, 3.0))],
        [("validation AP", (0.0, 0.2)), ("validation AP50", (0.0, 0.5))],
    ]
    assert "loss of validation" not in found.lead
    assert "loss of validation" in curves(HISTORY).lead


def test_the_page_tells_plan_contest_curves_result_and_seal():
    story = Story(
        model="starter",
        dataset="birds",
        report=report(mistakes=()),
        candidates=(
            Row("probe", Interval(0.6, 0.5, 0.7)),
            Row("fine-tuned", Interval(0.8, 0.7, 0.9), "", True),
        ),
        gain=Interval(0.2, 0.15, 0.25),
        decided="it is better on the validation images (probe 61.0 %, fine-tuned 79.0 %)",
        plan=["trained: head", "why: one", "why: two: three", "in the seal as evidence: a.jpg"],
        history=HISTORY,
        kept=2,
        seal={"path": "birds.signet"},
    )
    page = finetuning_page(story)
    titles = [section.title for section in page.sections if isinstance(section, Comparison | Curves | Table)]
    assert titles[:2] == ["What was tried", "How training went"]
    assert {"The plan", "The sealed model", "The model", "How it was made"} <= set(titles)
    text = render(page)
    assert "birds.signet" in text
    (plan,) = [one for one in page.sections if isinstance(one, Table) and one.title == "The plan"]
    assert plan.rows == (
        ("trained", "head"),
        ("why", "one"),
        ("why", "two: three"),
        ("in the seal as evidence", "a.jpg"),
    )
    assert "<dd><bdi>one</bdi></dd><dd><bdi>two: three</bdi></dd>" in text
    (tried,) = [one for one in page.sections if isinstance(one, Comparison)]
    assert tried.lead.replace("\u00a0", " ") == (
        "Measured on the same images. Fine-tuning changed the figure by +20.0 points (95 % interval +15.0 to "
        "+25.0, both on the same images). The marked one was kept: it is better on the validation images "
        "(probe 61.0 %, fine-tuned 79.0 %)."
    )
    assert text.count('class="curves"') == 2


def test_a_probe_alone_has_no_curves():
    page = finetuning_page(Story(model="starter", dataset="birds", report=report(mistakes=())))
    assert not [section for section in page.sections if isinstance(section, Curves | Comparison)]
    render(page)
