"""The figures of a training, as they come, for TensorBoard and for MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from signet.environment import environment
from signet.errors import MissingExtra

EXPERIMENT = "signet"
"""The name under which MLflow lists the runs of a folder."""

_ASIDE = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
"""MLflow tells its makers how it is used unless the first is set when it is imported, and writes no files
without a database unless the second is when a store is opened."""


class Tracker(Protocol):
    """What is told of a run."""

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Add the epochs that are new; `history` has a row of figures for each epoch so far."""
        ...

    def close(self, report: Path | None) -> None:
        """Let go of the files; the page of the run, or None where it did not come to an end."""
        ...


class TensorBoard:
    """Event files in a folder: each figure of an epoch is a curve of its name.

    Nothing is written before there is something to write. The first history replaces the event files that an
    earlier process has left in the folder: it has all epochs, theirs too.
    """

    def __init__(self, folder: Path) -> None:
        """See above.

        Args:
            folder: made when missing.

        Raises:
            MissingExtra: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra("--tracker tensorboard", "tensorboard", "tensorboard") from error
        self._folder, self._make = folder, SummaryWriter
        self._writer: Any = None
        self._written = 0

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Add the epochs that are new.

        Args:
            history: a row of figures for each epoch so far.
        """
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for earlier in self._folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            self._writer = self._make(str(self._folder))
        for place, row in enumerate(history):
            if place >= self._written:
                for name, value in row.items():
                    if name != "epoch":
                        self._writer.add_scalar(name, value, int(row.get("epoch", place)))
        self._written = max(self._written, len(history))
        self._writer.flush()

    def close(self, report: Path | None) -> None:
        """Let go of the files; a page is none of their kinds."""
        del report
        if self._writer is not None:
            self._writer.close()


class MLflow:
    """A run in a folder of MLflow's files: settings, each figure of an epoch, and the page at the end.

    All is on this disk: no server is asked, and nobody is told. Nothing is written before there is something
    to write. A run that is resumed goes on in the run that was interrupted.

    Source: https://mlflow.org/docs/latest/community/usage-tracking for what is turned off, and
        https://mlflow.org/docs/latest/self-hosting/migrate-from-file-store for the way into a database.
    """

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any], *, resume: bool = False) -> None:
        """See above.

        Args:
            folder: made when missing.
            name: of the run.
            settings: of the run; those that are None are left out.
            resume: go on with the last run of this name that has not come to an end, if there is one.

        Raises:
            MissingExtra: MLflow is not installed.
        """
        with environment(_ASIDE):
            try:
                from mlflow.entities import Metric, Param
                from mlflow.tracking import MlflowClient
            except ImportError as error:
                raise MissingExtra("--tracker mlflow", "mlflow", "mlflow-skinny") from error
        self._metric, self._client_of = Metric, MlflowClient
        self._params = [Param(key, str(value)) for key, value in settings.items() if value is not None]
        self._folder, self._name, self._resume = folder, name, resume
        self._client: Any = None
        self._run = ""
        self._last: dict[str, int] = {}  # the last step of each figure that is written

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Add the epochs that are new.

        Args:
            history: a row of figures for each epoch so far.
        """
        if self._client is None:
            self._begin()
        now = int(1000 * time.time())
        metrics = [
            self._metric(name, float(value), now, step)
            for step, row in ((int(row.get("epoch", place)), row) for place, row in enumerate(history))
            for name, value in row.items()
            if step > self._last.get(name, -1) and name != "epoch"
        ]
        if metrics:
            self._client.log_batch(self._run, metrics=metrics)
        self._last.update((one.key, one.step) for one in metrics)

    def close(self, report: Path | None) -> None:
        """Keep the page and end the run; without a page it is marked as one that can be resumed."""
        if self._client is None:
            return
        if report is not None:
            self._client.log_artifact(self._run, str(report))
        self._client.set_terminated(self._run, "KILLED" if report is None else "FINISHED")

    def _begin(self) -> None:
        with environment(_ASIDE):
            client = self._client = self._client_of(tracking_uri=self._folder.resolve().as_uri())
            found = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        earlier = [
            run
            for run in client.search_runs([experiment], order_by=["attributes.start_time DESC"])
            if run.info.run_name == self._name and run.info.status != "FINISHED"
        ]
        if earlier and self._resume:
            run = earlier[0]
            self._run = run.info.run_id
            # The history of a resumed run has all epochs. The file store writes figure by figure, so a run
            # that was killed may have some of an epoch and not others.
            for name in run.data.metrics:
                steps = (one.step for one in client.get_metric_history(self._run, name))
                self._last[name] = max(steps, default=-1)
            client.set_terminated(self._run, "RUNNING")
        else:
            self._run = client.create_run(experiment, run_name=self._name).info.run_id
        known = earlier[0].data.params if earlier and self._resume else {}
        client.log_batch(self._run, params=[one for one in self._params if one.key not in known])


def tracker_of(
    kind: str, beside: Path, settings: Mapping[str, Any] | None = None, *, resume: bool = False
) -> Tracker:
    """A tracker, with its folder.

    Args:
        kind: "tensorboard" or "mlflow"; the ending of the folder, too.
        beside: the run's path without an ending: the folder is `PATH.KIND`, its name is the run's.
        settings: of the run, for those that keep them.
        resume: whether the run goes on from an earlier one.

    Raises:
        MissingExtra: it is not installed.
    """
    folder = beside.with_name(f"{beside.name}.{kind}")
    if kind == "mlflow":
        return MLflow(folder, beside.name, settings or {}, resume=resume)
    return TensorBoard(folder)
