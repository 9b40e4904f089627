"""What an audit found, as values: counts, order of severity, JSON, and names that cannot act."""

import json

import pytest

from signet.errors import BadInput
from signet.findings import Audit, Exhibit, Finding

LEAK = Finding(
    kind="leak",
    severity="severe",
    message="1 picture is in two splits",
    sources=("a.jpg", "b.jpg"),
    together=(("a.jpg", "b.jpg"),),
    exhibits=(Exhibit(("a.jpg", "b.jpg"), ("cat · train", "cat · test"), "test 1, train 1"),),
    details={"pictures": 1},
)
NOTE = Finding(kind="grey", severity="note", message="<script>alert(1)</script>", fix="look")


def test_counts_and_ok():
    found = Audit(dataset="d", images=2, findings=(LEAK, NOTE))
    assert found.counts == {"severe": 1, "warning": 0, "note": 1}
    assert not found.ok
    assert Audit(dataset="d", images=2, findings=(NOTE,)).ok
    assert found.of("leak") == (LEAK,)


def test_json_has_the_keys_of_the_contract():
    plain = json.loads(json.dumps(Audit(dataset="d", images=2, findings=(LEAK,)).to_dict()))
    assert {"findings", "counts"} <= plain.keys()
    assert {"kind", "severity", "sources", "message"} <= plain["findings"][0].keys()
    assert plain["findings"][0]["together"] == [["a.jpg", "b.jpg"]]
    assert plain["findings"][0]["exhibits"][0]["note"] == "test 1, train 1"


def test_a_notebook_shows_names_that_do_not_act():
    shown = Audit(dataset="<b>", images=2, findings=(NOTE,))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_each_image_of_an_exhibit_has_a_caption():
    with pytest.raises(BadInput, match="a caption for each of 1 images, got 2"):
        Exhibit(("a",), ("x", "y"))
