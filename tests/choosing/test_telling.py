"""What a choice says: that a pick is a graph alone, and who could be trained further in its place."""

from signet.choices import Contender
from signet.choosing.telling import beyond_a_probe


def contender(name, expected, *, trainable):
    return Contender(
        name=name,
        expected=expected,
        low=expected - 0.02,
        high=expected + 0.02,
        regret=0.0,
        milliseconds=5.0,
        trainable=trainable,
    )


def test_of_a_pick_that_can_only_be_probed_it_is_said_who_could_be_trained():
    graph = contender("graph", 0.65, trainable=False)
    first, second = (contender(name, at, trainable=True) for name, at in (("a", 0.62), ("b", 0.6)))
    said = beyond_a_probe([graph, first, second], graph)
    assert "a can be trained further; its probe is expected 3.0 points behind" in said
    assert "--trainable" in said


def test_nothing_is_said_where_the_pick_can_be_trained_or_nobody_can():
    graph = contender("graph", 0.65, trainable=False)
    network = contender("network", 0.62, trainable=True)
    assert beyond_a_probe([graph, network], network) == ""
    assert beyond_a_probe([graph], graph) == ""
