"""`Features` as scikit-learn expects a transformer to be."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.errors import BadInput, BadRequest, UnknownName
from signet.features import Features

sklearn = pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, floor3):
    return floor3.graph_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Red and blue pictures, with their labels."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    paths, labels = [], []
    for place in range(16):
        pixels = random.integers(0, 60, (20, 24, 3), np.uint8)
        pixels[..., 2 * (place % 2)] += 180
        paths.append(folder / f"{place}.png")
        labels.append(place % 2)
        PillowImage.fromarray(pixels).save(paths[-1])
    return paths, labels


@pytest.fixture
def features(pretrained):
    return Features(pretrained, engine="onnx", threads=1)


def test_paths_images_and_arrays_give_the_same_rows(features, photos):
    from signet.decoding import read

    paths, _ = photos
    images = [read(path) for path in paths]
    table = features.fit_transform(paths)
    assert table.shape == (16, 8)
    assert table.dtype == np.float32
    np.testing.assert_allclose(features.transform(images), table, atol=1e-6)
    np.testing.assert_allclose(features.transform([image.pixels for image in images]), table, atol=1e-6)
    stacked = np.stack([image.pixels for image in images])
    np.testing.assert_allclose(features.transform(stacked), table, atol=1e-6)
    mixed = [str(paths[0]), images[1], paths[2]]
    np.testing.assert_allclose(features.transform(mixed), table[:3], atol=1e-6)


def test_fit_then_transform_is_fit_transform(features, photos):
    paths, labels = photos
    table = features.fit(paths, labels).transform(paths)
    np.testing.assert_array_equal(Features(**features.get_params()).fit_transform(paths, labels), table)


def test_it_stands_in_a_pipeline_and_under_cross_validation(features, photos):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    paths, labels = photos
    pipeline = make_pipeline(features, LogisticRegression())
    scores = cross_val_score(pipeline, np.array(paths, dtype=object), np.array(labels), cv=4)
    assert scores.mean() > 0.9
    assert list(pipeline.fit(paths, labels).predict(paths[:2])) == labels[:2]
    names = pipeline[:-1].get_feature_names_out()
    assert names.tolist() == [f"features{place}" for place in range(8)]


def test_it_is_cloned_with_its_settings_and_nothing_else(features, photos):
    from sklearn.base import clone

    features.fit(photos[0])
    copy = clone(features)
    assert copy.get_params() == features.get_params()
    assert not hasattr(copy, "feature_count_")
    with pytest.raises(sklearn.exceptions.NotFittedError):
        copy.transform(photos[0])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        copy.get_feature_names_out()


def test_settings_are_set_by_name(features):
    assert features.set_params(batch=2).batch == 2
    with pytest.raises(UnknownName, match="'batch'"):
        features.set_params(batches=2)


def test_scikit_learns_own_checks_that_make_sense_here(features):
    """Those that feed numbers do not: this transformer takes images."""
    from sklearn.utils import estimator_checks as checks

    for check in (
        checks.check_estimator_cloneable,
        checks.check_estimator_tags_renamed,
        checks.check_valid_tag_types,
        checks.check_estimator_repr,
        checks.check_no_attributes_set_in_init,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
    ):
        check("Features", Features())


def test_its_representation_shows_what_differs(features):
    assert repr(Features()) == "Features()"
    assert repr(Features("starter", batch=3)) == "Features(batch=3)"


def test_it_gives_numpy_arrays_only(features):
    assert features.set_output(transform="default") is features
    with pytest.raises(BadRequest, match="numpy"):
        features.set_output(transform="pandas")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("one.jpg", "a list of paths"),
        ([], "at least one image"),
        ([3], "int"),
        ([np.zeros((4, 4))], "float64"),
    ],
)
def test_what_is_no_image_is_refused(features, given, words):
    with pytest.raises(BadInput, match=words):
        features.fit_transform(given)


def test_an_unreadable_file_is_named(features, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"broken\.jpg"):
        features.fit_transform([photos[0][0], tmp_path / "broken.jpg"])
