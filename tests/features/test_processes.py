"""Several processes on one cache of features: each row right, nothing torn, nothing computed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.features import Features, extract, graph_with_features
from signet.features import extraction as module
from signet.features.extraction import default_cache, key_of
from signet.features.kept import KeptRows
from signet.models import load, resolve
from signet.streaming import settings_for

COUNT = 96
CHILD = """
import sys, time
from pathlib import Path
import numpy as np
from signet.features import extract, extraction, graph_with_features
from signet.models import load, resolve
from signet.streaming import settings_for

model, photos, cache, out, pause = sys.argv[1:]
extraction._SHARD_ROWS = 8
settings = settings_for(many=True, threads=1)
with load(graph_with_features(resolve(model)), engine="onnx", settings=settings) as opened:
    print("ready", flush=True)
    sys.stdin.readline()
    paths = sorted(Path(photos).iterdir())
    found = extract(opened, paths, cache=Path(cache), on_progress=lambda moment: time.sleep(float(pause)))
np.save(out, found.features)
print(found.computed, flush=True)
"""


@pytest.fixture(scope="module")
def classifier(module_at, tmp_path_factory):
    tiny = module_at("signet_tiny", Path(__file__).parents[1] / "cli" / "tiny.py")
    return tiny.make_classifier(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory, floor3):
    folder = tmp_path_factory.mktemp("photos")
    for place in range(COUNT):
        PillowImage.fromarray(floor3.picture(place).pixels).save(folder / f"{place:03}.png")
    return folder


@pytest.fixture(scope="module")
def expected(classifier, photos):
    """The rows as one process computes them without any cache."""
    with opened(classifier) as model:
        return extract(model, sorted(photos.iterdir())).features


def opened(classifier):
    pretrained = graph_with_features(resolve(classifier))
    return load(pretrained, engine="onnx", settings=settings_for(many=True, threads=1))


def child(*words, pause=0.0):
    """A process that is ready to extract, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, words), str(pause)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def folder_of(classifier, cache):
    with opened(classifier) as model:
        return cache / key_of(model)


def test_two_processes_extract_the_same_files_at_once(classifier, photos, expected, tmp_path):
    cache = tmp_path / "cache"
    outs = [tmp_path / f"{number}.npy" for number in range(2)]
    processes = [child(classifier, photos, cache, out, pause=0.1) for out in outs]
    for process in processes:
        go(process)
    computed = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert min(computed) > 0  # they were at work together, and neither waited for the other
    # One begins at the end: what is under way where they meet is computed twice, and no more.
    assert COUNT <= sum(computed) <= COUNT + 48
    for out in outs:
        np.testing.assert_array_equal(np.load(out), expected)
    kept = KeptRows(folder_of(classifier, cache))
    assert len(kept) == COUNT
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".npy", ".lock"}  # nothing half-written is left
    with opened(classifier) as model:
        again = extract(model, sorted(photos.iterdir()), cache=cache)
    assert again.computed == 0
    np.testing.assert_array_equal(again.features, expected)


def test_a_process_that_was_killed_is_gone_on_from(classifier, photos, expected, tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "rows.npy"
    folder = folder_of(classifier, cache)
    process = child(classifier, photos, cache, out, pause=0.3)
    go(process)
    due = time.monotonic() + 60
    # A file may be there whose rows are still to come.
    while not len(KeptRows(folder)) and time.monotonic() < due:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    kept = len(KeptRows(folder))
    assert 0 < kept < COUNT
    second = child(classifier, photos, cache, out)
    go(second)
    assert int(second.communicate(timeout=60)[0]) == COUNT - kept
    np.testing.assert_array_equal(np.load(out), expected)


def test_one_key_for_all_who_ask(classifier, photos, tmp_path, monkeypatch):
    """What the transformer computed, the audit and the probe of a fine-tuning take from the cache."""
    pytest.importorskip("sklearn")
    from signet.auditing import audit
    from signet.datasets import from_csv
    from signet.finetuning.probes import features_of
    from signet.recipes import Recipe

    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    paths = sorted(photos.iterdir())[:60]
    Features(str(classifier)).fit_transform(paths)
    (folder,) = (path for path in default_cache().iterdir() if path.is_dir())
    before = sorted(path.name for path in folder.iterdir())

    def never(model, files):
        assert not list(files), "rows were computed again"
        return iter(())

    monkeypatch.setattr(module, "_rows", never)
    rows = [f"{path},{'red' if number % 2 else 'blue'}" for number, path in enumerate(paths)]
    (tmp_path / "data.csv").write_text("\n".join(["file,label", *rows]))
    found = audit(from_csv(tmp_path / "data.csv"), model=str(classifier))
    assert "suspects" not in " ".join(found.skipped)
    features, readable, _ = features_of(
        graph_with_features(resolve(classifier)), paths, Recipe(), lambda moment: None
    )
    assert features.shape[0] == len(readable) == 60
    assert [path.name for path in default_cache().iterdir() if path.is_dir()] == [folder.name]
    assert sorted(path.name for path in folder.iterdir()) == before
