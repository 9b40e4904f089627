"""`signet finetune --processes`: who leads, what a launcher decides, and an end in words."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from signet.cli import finetune_together as together
from signet.errors import BadRequest, ProcessLost

LAUNCHED = (
    "SIGNET_GATHERING",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def stand_in(monkeypatch, program):
    """Other processes run a program of the test's in place of `signet`."""
    started = []

    def start(words, variables, errors):
        started.append((tuple(words), dict(variables)))
        return subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        )

    monkeypatch.setattr(together, "_started", start)
    return started


def test_alone_it_leads_and_a_launcher_says_otherwise(monkeypatch):
    assert together.leads()
    assert (together.processes_of(None), together.processes_of(3)) == (1, 3)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert not together.leads()
    assert (together.processes_of(None), together.processes_of(2)) == (2, 2)
    with pytest.raises(BadRequest, match=r"--processes 3: expected 2, which a launcher has started"):
        together.processes_of(3)


def test_the_others_get_the_same_words_and_each_its_place(monkeypatch):
    started = stand_in(monkeypatch, "pass")
    with together.company(3, ["finetune", "model"]):
        assert [os.environ[name] for name in ("RANK", "WORLD_SIZE")] == ["0", "3"]
    assert [words for words, _ in started] == [("finetune", "model")] * 2
    places = [variables for _, variables in started]
    assert [place["RANK"] for place in places] == [place["LOCAL_RANK"] for place in places] == ["1", "2"]
    assert {place["MASTER_ADDR"] for place in places} == {"127.0.0.1"}
    assert len({place["MASTER_PORT"] for place in places}) == 1
    assert not any(name in os.environ for name in LAUNCHED)


def test_nothing_is_started_for_one_or_where_a_launcher_has_done_it(monkeypatch):
    started = stand_in(monkeypatch, "pass")
    with together.company(1, []):
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    with together.company(2, []):
        pass
    assert not started


def test_the_error_has_what_the_lost_process_said(monkeypatch):
    stand_in(monkeypatch, "import sys; sys.exit('error: dog.png cannot be read')")
    with pytest.raises(ProcessLost) as caught, together.company(2, []):
        raise ProcessLost("another one has ended")
    assert caught.value.__notes__ == ["Process 2 of 2 ended with exit code 1: error: dog.png cannot be read"]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
@pytest.mark.parametrize(
    "program", ["import sys; sys.exit('no such weights')", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_process_that_ends_before_the_meeting_is_not_waited_for(monkeypatch, program):
    ranks = pytest.importorskip("signet.training.ranks")
    assert ranks.GATHERING == together._GATHERING
    stand_in(monkeypatch, program)
    with pytest.raises(ProcessLost, match="has ended before") as caught, together.company(2, []):
        ranks.ranks_of(2, "cpu")
    (note,) = caught.value.__notes__
    assert "no such weights" in note or "signal 9" in note


def test_a_killed_process_is_said_to_be_one():
    assert together._ending(-9, io.BytesIO(b"")) == "was ended by signal 9, without a word."


def test_the_others_do_not_outlive_an_error_of_the_first(monkeypatch):
    begun = []
    popen = subprocess.Popen

    def start(*_):
        begun.append(popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return begun[-1]

    monkeypatch.setattr(together, "_started", start)
    with pytest.raises(KeyboardInterrupt), together.company(2, []):
        raise KeyboardInterrupt
    assert begun[0].poll() not in (None, 0)


def test_a_process_ends_when_the_first_one_does():
    program = (
        "import os, time; os.environ['SIGNET_STARTED_BY_FINETUNE'] = '1'\n"
        "from signet.cli import finetune_together as together\n"
        "together._end_with_the_first()\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    process.stdin.close()  # as the operating system does when the first process is killed
    assert process.wait(timeout=50) == 1


def test_trying_rates_is_for_one_process(signet, tmp_path):
    words = ["--out", tmp_path / "x.signet", "--find-rate", "--processes", "2"]
    ran = signet("finetune", "starter", tmp_path, *words)
    assert ran.code == 2
    assert "--find-rate: expected one process" in ran.err


def colours(tiny, folder, count):
    """A folder of four classes of colour."""
    for number, path in enumerate(tiny.make_pictures(folder / "all", count)):
        place = folder / "data" / f"{tiny.answer(number)} things" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    return folder / "data"


def finetuned(data, out, words, cache):
    """What `signet finetune starter` writes, in processes of its own."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "signet",
            "finetune",
            "starter",
            str(data),
            "--out",
            str(out),
            "--json",
            *words,
        ],
        env={**os.environ, "SIGNET_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_all_processes_end_where_nothing_is_trained_after_all(tiny, cache, tmp_path):
    pytest.importorskip("torch")
    data = colours(tiny, tmp_path, 240)
    words = ["--golden", "made", "--threads", "1", "--no-audit", "--processes", "2"]
    done = finetuned(data, tmp_path / "x.signet", words, cache)
    assert done["plan"]["strategy"] == "partial"
    assert done["finetuned"] is None
    assert any(note.startswith("Nothing was trained beyond the probe") for note in done["notes"])


def test_two_processes_seal_what_one_does(tiny, cache, tmp_path):
    """The whole command: the same network is sealed, to the noise of sums in another order."""
    safetensors = pytest.importorskip("safetensors.numpy")
    data = colours(tiny, tmp_path, 48)
    words = ["--strategy", "partial", "--golden", "made", "--seed", "1", "--threads", "1", "--no-audit"]
    for setting in ("epochs=2", "batch=16", "input_size=64", "augmentation='none'", "overfitting='off'"):
        words += ["--set", setting]
    seen = []
    for count in (1, 2):
        out = tmp_path / f"{count}.signet"
        done = finetuned(data, out, [*words, "--processes", str(count)], cache)
        seen.append((done, safetensors.load_file(out / "weights.safetensors")))
    (one, alone), (two, shared) = seen
    assert one["chosen"] == two["chosen"] == "fine-tuned"
    assert one["frozen"] == two["frozen"]
    assert [row["train_loss"] for row in two["history"][1:]] == pytest.approx(
        [row["train_loss"] for row in one["history"][1:]], abs=1e-4
    )
    assert alone.keys() == shared.keys()
    for name, tensor in alone.items():
        assert abs(tensor - shared[name]).max(initial=0) < 1e-4, name
