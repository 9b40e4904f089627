"""From files to rows: the right ones, in order, once; what cannot be read is named and harms nobody."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet import answers
from signet.decoding import read
from signet.errors import BadInput, WrongTask
from signet.features import extract
from signet.features import extraction as module
from signet.models import load
from signet.streaming import settings_for


@pytest.fixture(scope="module")
def photos(tmp_path_factory, floor3):
    folder = tmp_path_factory.mktemp("photos")
    for place in range(12):
        PillowImage.fromarray(floor3.picture(place).pixels).save(folder / f"{place:02}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, floor3):
    pretrained = floor3.graph_model(tmp_path_factory.mktemp("model"))
    with load(pretrained, engine="onnx", settings=settings_for(many=True, threads=2)) as opened:
        yield opened


def test_rows_are_those_of_the_model_in_the_order_of_the_files(model, photos, tmp_path):
    paths = sorted(photos.iterdir(), reverse=True)
    found = extract(model, paths, cache=tmp_path)
    batch = model.prepare([read(path) for path in paths])
    expected = answers.features(model.run(batch), model.card.output)
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, expected, atol=1e-6)
    assert found.computed == 12
    assert found.failures == ()
    assert found.readable.all()


def test_the_second_time_nothing_runs(model, photos, tmp_path, monkeypatch):
    paths = sorted(photos.iterdir())
    first = extract(model, paths, cache=tmp_path)

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(model.engine, "run", never)
    again = extract(model, paths, cache=tmp_path)
    assert again.computed == 0
    np.testing.assert_array_equal(first.features, again.features)


def test_a_killed_run_goes_on_where_it_was(model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARD_ROWS", 4)
    paths = sorted(photos.iterdir())

    class Killed(BaseException):
        """What nobody catches."""

    def killer(moment):
        if moment.done >= 12:
            raise Killed

    with pytest.raises(Killed):
        extract(model, paths, cache=tmp_path, on_progress=killer)
    again = extract(model, paths, cache=tmp_path)
    assert again.computed < 12
    assert again.features.shape == (12, 8)


def test_a_file_of_another_name_is_the_same_file(model, photos, tmp_path):
    paths = sorted(photos.iterdir())
    extract(model, paths, cache=tmp_path / "cache")
    moved = shutil.copy(paths[3], tmp_path / "moved.png")
    found = extract(model, [moved, paths[3]], cache=tmp_path / "cache")
    assert found.computed == 0
    np.testing.assert_array_equal(found.features[0], found.features[1])


def test_other_preprocessing_has_other_rows(model, photos, tmp_path, floor3):
    from signet.programs import Program
    from signet.steps import Range

    steps = tuple(Range(1 / 128, -1.0) if isinstance(step, Range) else step for step in floor3.PROGRAM.steps)
    other = floor3.graph_model(tmp_path / "other", program=Program(steps))
    paths = sorted(photos.iterdir())[:3]
    first = extract(model, paths, cache=tmp_path / "cache")
    with load(other, engine="onnx", settings=settings_for(many=True)) as changed:
        assert module.key_of(changed) != module.key_of(model)
        second = extract(changed, paths, cache=tmp_path / "cache")
    assert second.computed == 3
    assert not np.allclose(first.features, second.features)


def test_hostile_files_are_named_and_harm_nobody(model, photos, tmp_path, hostile_cases):
    good = sorted(photos.iterdir())[:2]
    # Without the file of 4 GB, whose digest takes ten seconds.
    cases = [case.path for case in hostile_cases if case.path.name != "vast.jpg"]
    found = extract(model, [good[0], *cases, good[1]], cache=tmp_path)
    assert found.readable[0]
    assert found.readable[-1]
    alone = extract(model, good, cache=None)
    np.testing.assert_allclose(found.features[[0, -1]], alone.features, atol=1e-6)
    failed = {place for place, _ in found.failures}
    assert failed == set(np.flatnonzero(~found.readable).tolist())
    assert all(isinstance(error, BadInput) for _, error in found.failures)
    assert all(found.digests[place] == "" for place in failed)
    assert (found.features[sorted(failed)] == 0).all()


def test_a_missing_file_says_so(model, photos, tmp_path):
    found = extract(model, [tmp_path / "gone.png", *sorted(photos.iterdir())[:1]], cache=None)
    ((place, error),) = found.failures
    assert place == 0
    assert "gone.png" in str(error)


def test_copies_go_through_the_network_once(model, photos, tmp_path):
    path = min(photos.iterdir())
    found = extract(model, [path] * 5, cache=None)
    assert found.computed == 1
    assert (found.features == found.features[0]).all()


def test_a_model_without_features_is_refused(floor3, photos, tmp_path):
    import dataclasses

    output = dataclasses.replace(floor3.card().output, features=None)
    pretrained = floor3.graph_model(tmp_path / "model", output=output)
    with (
        load(pretrained, engine="onnx", settings=settings_for(many=True)) as opened,
        pytest.raises(WrongTask, match="no output for features"),
    ):
        extract(opened, sorted(photos.iterdir())[:2])


def test_two_threads_may_extract_at_once(model, photos, tmp_path):
    paths = sorted(photos.iterdir())
    tables = [None, None]

    def work(place):
        tables[place] = extract(model, paths, cache=tmp_path).features

    threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(tables[0], tables[1])


def test_scores_come_from_the_same_run_and_are_kept_beside_features(model, photos, tmp_path):
    """Where features are kept and scores are not, the missing ones are computed; the features stay."""
    paths = sorted(photos.iterdir())
    assert extract(model, paths[:4], cache=tmp_path).scores is None
    found = extract(model, paths, cache=tmp_path, scores=True)
    batch = model.prepare([read(path) for path in paths])
    contract = model.card.output
    expected = answers.probabilities(answers.logits(model.run(batch), contract), contract)
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)
    again = extract(model, paths, cache=tmp_path, scores=True)
    assert again.computed == 0
    np.testing.assert_array_equal(again.scores, found.scores)
    np.testing.assert_array_equal(again.features, found.features)
