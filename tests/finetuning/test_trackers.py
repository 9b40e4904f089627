"""A run in MLflow's files, read back by MLflow: settings, figures by epoch, the page, and nobody told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from signet.cli.live import Live
from signet.cli.terminal import Terminal
from signet.errors import MissingExtra
from signet.finetuning.folding import mean_history
from signet.finetuning.trackers import EXPERIMENT, MLflow, tracker_of
from signet.progress import Progress, inside

needs_mlflow = pytest.mark.skipif(not find_spec("mlflow"), reason="mlflow is not installed")
# MLflow and what it brings warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

START = {"epoch": 0, "validation_loss": 1.1}
SECOND = {"epoch": 1, "validation_loss": 0.7, "train_loss": 0.9}
THIRD = {"epoch": 2, "validation_loss": 0.6, "train_loss": 0.8}
SETTINGS = {"model": "starter", "head_rate": 1e-3, "freeze": ("stem",), "seed": None}

ALONE = """
import os, socket, sys
from pathlib import Path

asked = []

def refused(*words, **_):
    asked.append(words)
    raise OSError("no network")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refused
before = dict(os.environ)
from signet.finetuning.trackers import MLflow
tracker = MLflow(Path(sys.argv[1]), "birds", {"seed": 1})
tracker.write([{"epoch": 0, "loss": 1.0}])
page = Path(sys.argv[1]).with_suffix(".html")
page.write_text("page")
tracker.close(page)
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
assert not asked, asked
after = {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW_", "DO_NOT"))}
assert after == {name: value for name, value in before.items() if name in after}, after
"""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """`runs()`: what MLflow finds in the folder, the newest first."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def found() -> list[Any]:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=(tmp_path / "birds.mlflow").as_uri())
        experiment = client.get_experiment_by_name(EXPERIMENT)
        rows = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
        found.client = client  # type: ignore[attr-defined]
        return list(rows)

    return found


def curve(runs: Any, run: Any, name: str) -> list[tuple[int, float]]:
    return sorted((one.step, one.value) for one in runs.client.get_metric_history(run.info.run_id, name))


@needs_mlflow
def test_settings_figures_and_page_are_read_back(runs: Any, tmp_path: Path) -> None:
    page = tmp_path / "birds.report.html"
    page.write_text("page")
    tracker = tracker_of("mlflow", tmp_path / "birds", SETTINGS)
    assert not (tmp_path / "birds.mlflow").exists()
    tracker.write([START])
    tracker.write([START, SECOND])
    tracker.write([START, SECOND])
    tracker.close(page)
    (run,) = runs()
    assert (run.info.run_name, run.info.status) == ("birds", "FINISHED")
    assert run.data.params == {"model": "starter", "head_rate": "0.001", "freeze": "('stem',)"}
    assert curve(runs, run, "validation_loss") == [(0, 1.1), (1, 0.7)]
    assert curve(runs, run, "train_loss") == [(1, 0.9)]
    assert "epoch" not in run.data.metrics
    (kept,) = runs.client.list_artifacts(run.info.run_id)
    assert kept.path == page.name
    assert Path(runs.client.download_artifacts(run.info.run_id, kept.path)).read_text() == "page"


@needs_mlflow
def test_a_resumed_run_goes_on_and_another_one_is_another(runs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "birds.mlflow"
    first = MLflow(folder, "birds", SETTINGS)
    first.write([START, SECOND])
    first.close(None)
    (run,) = runs()
    assert run.info.status == "KILLED"
    again = MLflow(folder, "birds", SETTINGS, resume=True)
    again.write([START, SECOND, THIRD])
    (run,) = runs()
    assert run.info.status == "RUNNING"
    again.close(None)
    assert curve(runs, run, "validation_loss") == [(0, 1.1), (1, 0.7), (2, 0.6)]
    other = MLflow(folder, "birds", {**SETTINGS, "head_rate": 0.1})
    other.write([START])
    other.close(None)
    assert len(runs()) == 2
    assert {one.data.params["head_rate"] for one in runs()} == {"0.001", "0.1"}


@needs_mlflow
def test_a_run_that_was_killed_within_an_epoch_loses_no_figure(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.file_store import FileStore

    written, write = [], FileStore._log_run_metric

    def killed(store: Any, run: Any, metric: Any) -> None:
        if len(written) == 2:  # of the three figures of two epochs
            raise KeyboardInterrupt
        written.append(metric.key)
        write(store, run, metric)

    folder = tmp_path / "birds.mlflow"
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "_log_run_metric", killed)
        with pytest.raises(KeyboardInterrupt):
            MLflow(folder, "birds", SETTINGS).write([START, SECOND])
    again = MLflow(folder, "birds", SETTINGS, resume=True)
    again.write([START, SECOND])
    again.write([START, SECOND, THIRD])
    again.close(None)
    (run,) = runs()
    assert curve(runs, run, "validation_loss") == [(0, 1.1), (1, 0.7), (2, 0.6)]
    assert curve(runs, run, "train_loss") == [(1, 0.9), (2, 0.8)]


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_run_of_folds_has_the_mean_of_them_and_of_none_alone(kind: str, runs: Any, tmp_path: Path) -> None:
    pytest.importorskip(kind)
    live = Live(Terminal(quiet=True), tmp_path / "birds.signet", title="birds", tracker=kind)
    histories = [
        [{"epoch": float(epoch), "validation_loss": loss / (1 + epoch)} for epoch in range(length)]
        for loss, length in ((1.0, 3), (3.0, 2))
    ]
    for number, history in enumerate(histories):
        fold = inside(live.on_progress, f"network {number + 1} of 2")
        for count in range(1, len(history) + 1):
            fold(Progress("fine-tuning", count, 3, history=tuple(history[:count])))
    live.on_progress(Progress("training folds", 2, 2, unit="folds", history=mean_history(histories)))
    live.close()
    if kind == "mlflow":
        (run,) = runs()
        assert curve(runs, run, "validation_loss") == [(0, 2.0), (1, 1.0)]
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "birds.tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("validation_loss")] == [(0, 2.0), (1, 1.0)]


@needs_mlflow
def test_a_finished_run_is_not_gone_on_with(runs: Any, tmp_path: Path) -> None:
    page = tmp_path / "birds.report.html"
    page.write_text("page")
    for _ in range(2):
        tracker = MLflow(tmp_path / "birds.mlflow", "birds", {}, resume=True)
        tracker.write([START])
        tracker.close(page)
    assert [one.info.status for one in runs()] == ["FINISHED", "FINISHED"]


@needs_mlflow
def test_a_run_without_an_epoch_leaves_nothing(tmp_path: Path) -> None:
    MLflow(tmp_path / "birds.mlflow", "birds", SETTINGS).close(None)
    assert not list(tmp_path.iterdir())


@needs_mlflow
@pytest.mark.slow
def test_nobody_is_told_and_the_environment_is_as_it_was(tmp_path: Path) -> None:
    # Beside pytest MLflow tells nobody anyway: a process of its own, in which it could.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI"))}
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(tmp_path / "birds.mlflow")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_what_is_not_installed_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.entities", None)
    with pytest.raises(MissingExtra, match=r"--tracker mlflow.*signet\[mlflow\]"):
        tracker_of("mlflow", tmp_path / "birds")
    assert not list(tmp_path.iterdir())
