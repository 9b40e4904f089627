"""From outputs to answers: stable, strict, and honest about what the network lacks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from signet.answers import chosen, classes, embeddings, features, logits, probabilities, softmax
from signet.batches import Outputs
from signet.cards import OutputContract
from signet.errors import BadCard, BadInput, WrongTask

FINITE = some.floats(-1e4, 1e4, width=32, allow_subnormal=False)


def outputs(*rows: list[float], name: str = "logits", dtype: str = "float32") -> Outputs:
    return Outputs({name: np.array(rows, dtype)})


def contract(head: str = "softmax", **fields: object) -> OutputContract:
    return OutputContract(head=head, tensor=0, **fields)


@given(arrays(np.float32, (3, 7), elements=FINITE))
def test_softmax_sums_to_one_and_never_overflows(raw: np.ndarray) -> None:
    shares = softmax(raw)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert (shares >= 0).all()
    assert np.array_equal(raw.argmax(axis=1), shares.argmax(axis=1)) or (shares.max(axis=1) < 1).any()
    np.testing.assert_allclose(softmax(raw + np.float32(3)), shares, atol=1e-2)


def test_softmax_is_the_one_of_the_textbook() -> None:
    np.testing.assert_allclose(
        softmax(np.log(np.array([[1.0, 2.0, 5.0]], "f4"))), [[0.125, 0.25, 0.625]], rtol=1e-6
    )
    assert softmax(np.array([[1e30, 0, -1e30]], "f4")).tolist() == [[1, 0, 0]]


@given(arrays(np.float32, (2, 5), elements=some.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)))
def test_sigmoid_never_overflows_and_each_label_stands_alone(raw: np.ndarray) -> None:
    scores = probabilities(raw, contract("sigmoid"))
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores, 1 - probabilities(-raw, contract("sigmoid")), atol=1e-6)
    np.testing.assert_allclose(probabilities(raw[:, :1], contract("sigmoid")), scores[:, :1])


def test_sigmoid_is_the_one_of_the_textbook() -> None:
    found = probabilities(np.array([[0.0, np.log(3), -np.log(3)]], "f4"), contract("sigmoid"))
    np.testing.assert_allclose(found, [[0.5, 0.75, 0.25]], rtol=1e-6)
    halved = probabilities(np.array([[2 * np.log(3)]], "f4"), contract("sigmoid", temperature=2.0))
    np.testing.assert_allclose(halved, [[0.75]], rtol=1e-6)


@given(
    arrays(np.float32, (2, 6), elements=some.floats(-20, 20, width=32, allow_subnormal=False)),
    some.floats(0.1, 10),
)
def test_temperature_changes_confidence_and_no_decision(raw: np.ndarray, temperature: float) -> None:
    plain, warm = (probabilities(raw, contract(temperature=t)) for t in (1.0, temperature))
    assert np.array_equal(raw.argmax(1), np.where(warm == warm.max(1, keepdims=True), raw, -99).argmax(1))
    if temperature > 1:
        assert (warm.max(1) <= plain.max(1) + 1e-6).all()
    np.testing.assert_allclose(warm, softmax(raw / np.float32(temperature)), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature: float) -> None:
    with pytest.raises(BadCard, match="temperature above 0"):
        contract(temperature=temperature)


def test_the_background_is_dropped_after_the_softmax() -> None:
    raw = np.log(np.array([[6.0, 1.0, 3.0]], "f4"))
    (answer,) = classes(outputs(raw[0]), contract(classes=3, drop_first=True), ["cat", "dog"], ["x.jpg"])
    assert answer.labels == ("cat", "dog")
    assert answer.indices.tolist() == [0, 1], "index 0 is the first label that has a name"
    np.testing.assert_allclose(answer.scores, [0.1, 0.3], rtol=1e-6)
    assert answer.source == "x.jpg"


def test_an_activated_output_is_not_activated_again() -> None:
    scores = [[0.1, 0.7, 0.2]]
    np.testing.assert_array_equal(
        probabilities(np.array(scores, "f4"), contract(already_activated=True)), np.array(scores, "f4")
    )


@pytest.mark.parametrize(("dtype", "values"), [("uint8", [0, 64, 192]), ("int8", [-128, -64, 64])])
def test_a_quantized_softmax_has_its_one_scale(dtype: str, values: list[int]) -> None:
    raw = logits(outputs(values, dtype=dtype), contract(already_activated=True))
    assert raw.tolist() == [[0, 0.25, 0.75]]
    with pytest.raises(BadInput, match="scale is not known"):
        logits(outputs(values, dtype=dtype), contract())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_what_is_no_number_is_refused(bad: float, head: str) -> None:
    with pytest.raises(BadInput, match="NaN or an infinity"):
        classes(outputs([0.0, bad]), contract(head), None, [""])


def test_labels_are_one_for_each_class() -> None:
    with pytest.raises(BadInput, match="expected 3 classes, got 2"):
        classes(outputs([0.0, 1.0]), contract(), ["a", "b", "c"], [""])
    with pytest.raises(BadInput, match="expected 5 classes, got an array of shape"):
        classes(outputs([0.0, 1.0]), contract(classes=5), None, [""])
    (answer,) = classes(outputs([0.0, 1.0]), contract(), None, [""])
    assert answer.labels == ("class 0", "class 1")


def test_several_labels_may_be_right_for_sigmoid_only() -> None:
    assert classes(outputs([0.0, 1.0]), contract("softmax"), None, [""])[0].exclusive
    assert not classes(outputs([0.0, 1.0]), contract("sigmoid"), None, [""])[0].exclusive


def test_another_head_gives_no_labels_and_says_what_to_do() -> None:
    with pytest.raises(WrongTask, match="signet finetune MODEL"):
        classes(outputs([0.0]), contract("embedding"), None, [""])
    with pytest.raises(WrongTask, match="no output for features"):
        features(outputs([0.0]), contract("softmax"))


def test_features_are_found_by_name_or_place_and_flattened() -> None:
    maps = Outputs({"logits": np.zeros((2, 3), "f4"), "pooled": np.ones((2, 4, 1, 1), "f8")})
    for place in ("pooled", 1):
        found = features(maps, contract(features=place))
        assert found.shape == (2, 4)
        assert found.dtype == np.float32
    rows = embeddings(maps, OutputContract(head="embedding", tensor="pooled"), ["a", "b"])
    assert [row.source for row in rows] == ["a", "b"]
    assert len(rows[0]) == 4


def test_an_output_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="one called 'scores', got logits"):
        chosen(outputs([0.0]), "scores")
    with pytest.raises(BadInput, match="one called 3"):
        chosen(outputs([0.0]), 3)
