"""A training while it runs: lines, a page of curves, and a tracker's files."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from signet.cli.live import Live, beside
from signet.cli.terminal import Terminal
from signet.errors import MissingExtra
from signet.progress import Progress
from signet.reporting.training import cell, training_page

START = {"epoch": 0, "validation_loss": 1.1, "validation_accuracy": 0.4, "sample_loss": 1.0, "loss_gap": 0.1}
SECOND = {
    "epoch": 1,
    "train_loss": 0.9,
    "validation_loss": 0.7,
    "validation_accuracy": 0.75,
    "sample_loss": 0.4,
    "loss_gap": 0.3,
    "learning_rate": 3e-4,
    "idle": 0.031,
    "seconds": 12.34,
}


def moment(*history: dict[str, float], done: int = 6) -> Progress:
    return Progress("fine-tuning", done, 12, unit="steps", history=history)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(Terminal, "watched", property(lambda _: True))
    monkeypatch.setattr(Terminal, "on_progress", lambda *_: None)
    return Terminal()


def test_each_epoch_is_one_line_below_one_heading(
    watched: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = Live(watched, tmp_path / "birds.signet", title="birds")
    live.on_progress(Progress("fine-tuning", 3, 12, unit="steps"))
    assert capsys.readouterr().err == ""
    live.on_progress(moment(START))
    live.on_progress(moment(START, SECOND))
    live.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split() for line in lines] == [
        ["epoch", "loss", "validation", "gap", "accuracy", "idle", "seconds"],
        ["0", "1.1000", "0.1000", "0.4000"],
        ["1", "0.9000", "0.7000", "0.3000", "0.7500", "3", "%", "12.3"],
    ]
    assert len({len(line) for line in lines}) == 1  # columns stand below their headings


def test_a_run_that_goes_on_tells_all_its_epochs_at_once(
    watched: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Live(watched, tmp_path / "birds.signet", title="birds").on_progress(moment(START, SECOND))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].split() == ["epoch", "loss", "validation", "gap", "accuracy", "idle", "seconds"]
    assert lines[2].split() == ["1", "0.9000", "0.7000", "0.3000", "0.7500", "3", "%", "12.3"]


def test_nobody_who_does_not_look_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Live(Terminal(quiet=True), tmp_path / "birds.signet", title="birds").on_progress(moment(START))
    assert capsys.readouterr().err == ""


def test_the_page_is_there_after_the_first_epoch_and_is_whole_and_alone(tmp_path: Path) -> None:
    live = Live(Terminal(quiet=True), tmp_path / "birds.signet", title="<birds>")
    live.on_progress(Progress("fine-tuning", 3, 12, unit="steps"))
    assert live.curves is None
    live.on_progress(moment(START, SECOND))
    path = beside(tmp_path / "birds.signet", "curves.html")
    assert live.curves == str(path) == str(tmp_path / "birds.curves.html")
    text = path.read_text()
    assert "1 epoch done, 50 % of the steps" in text
    assert "&lt;birds&gt;" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert [each.name for each in tmp_path.iterdir()] == ["birds.curves.html"]


def test_figures_are_shown_as_what_they_are() -> None:
    shown = {name: cell(name, value) for name, value in {**SECOND, "soup": 3.0}.items()}
    assert (shown["learning_rate"], shown["idle"], shown["seconds"]) == ("0.0003", "3 %", "12.3")
    assert (shown["validation_accuracy"], shown["soup"]) == ("0.7500", "3")


def test_a_page_of_objects_has_no_gap() -> None:
    rows = [{"epoch": 0, "validation_ap": 0.1}, {"epoch": 1, "validation_ap": 0.2, "train_loss": 3.0}]
    page = training_page("cells", rows, steps_done=4, steps=None)
    assert page.summary == "1 epoch done."
    assert [type(section).__name__ for section in page.sections] == ["Curves", "Table"]


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
def test_tensorboard_has_every_figure_once_also_after_a_resume(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "birds.signet"
    for histories in ([(START,)], [(START, SECOND), (START, SECOND)]):
        live = Live(Terminal(quiet=True), out, title="birds", tracker="tensorboard")
        assert list(tmp_path.glob("birds.tensorboard/*")) or histories[0] == (START,)
        for history in histories:
            live.on_progress(moment(*history))
        live.close()
    events = EventAccumulator(str(tmp_path / "birds.tensorboard"))
    events.Reload()
    assert "epoch" not in events.Tags()["scalars"]
    found = [(one.step, one.value) for one in events.Scalars("validation_loss")]
    assert found == [(0, pytest.approx(1.1)), (1, pytest.approx(0.7))]
    assert [one.step for one in events.Scalars("train_loss")] == [1]


def test_a_tracker_that_is_not_installed_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"signet\[tensorboard\]"):
        Live(Terminal(), tmp_path / "x.signet", title="x", tracker="tensorboard")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fails", ["write", "close"])
def test_a_tracker_that_fails_is_left_and_the_run_goes_on(
    watched: Terminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: str,
) -> None:
    told: list[str] = []

    class Failing:
        def write(self, history: object) -> None:
            self.do("write")

        def close(self, report: object) -> None:
            self.do("close")

        def do(self, what: str) -> None:
            told.append(what)
            if what == fails:
                raise LookupError("the experiment was deleted")

    monkeypatch.setattr("signet.finetuning.trackers.tracker_of", lambda *_, **__: Failing())
    live = Live(watched, tmp_path / "birds.signet", title="birds", tracker="mlflow")
    for _ in range(2):
        live.on_progress(moment(START))
    live.close()
    assert told == (["write"] if fails == "write" else ["write", "write", "close"])
    said = capsys.readouterr().err
    assert said.count("tracking has stopped, the run goes on: the experiment was deleted") == 1
