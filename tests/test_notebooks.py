"""What a notebook shows of values: no name acts, and no table is without end."""

import numpy as np

from signet.cards import Licence
from signet.catalogue.finding import Entry, Found
from signet.notebooks import MOST_ROWS, table
from signet.predictions import Classes, Embedding
from signet.records import StageCheck, Verdict


def test_no_name_acts():
    hostile = "<script>alert(1)</script>a\u202egpj\x1b[31m"
    written = table((hostile,), ((hostile,),), caption=hostile)
    assert "<script>" not in written
    assert "\u202e" not in written
    assert "\x1b" not in written
    assert written.count("&lt;script&gt;alert(1)&lt;/script&gt;a\\u202egpj\\x1b[31m") == 3


def test_a_long_table_says_how_long_it_is():
    written = table(("a",), [(str(row),) for row in range(1234)])
    assert written.count("<tr>") == MOST_ROWS + 1
    assert "the first 50 of 1,234" in written


def test_an_answer_names_its_picture_and_what_it_leaves_out():
    shown = Classes(np.arange(9), np.full(9, 1 / 9), tuple("abcdefghi"), source="x<y.jpg")._repr_html_()
    assert "x&lt;y.jpg, the best 5 of 9" in shown
    assert shown.count("<tr>") == 6


def test_an_embedding_is_one_short_line():
    assert repr(Embedding(np.arange(512.0))) == "Embedding(512 of penultimate: 0.000, 1.000, 2.000, ...)"
    assert repr(Embedding(np.ones((2, 1, 1)), "stem")) == "Embedding(2x1x1 of stem: 1.000, 1.000)"


def test_an_inherited_licence_is_not_shown_as_a_stated_one():
    row = Entry("timm/a.x", "classify", "", 2_200_000, None, None, None, None, Licence("mit"), "mirrored")
    shown = Found((row,), 3)._repr_html_()
    assert "2.2 M" in shown
    assert "(inherited)" in shown
    assert "1 models; 3 more have no stated licence" in shown


def test_a_verdict_says_what_differed():
    stage = StageCheck("resize", False, 0.25, 0.001, "shape (2,) for (3,)")
    verdict = Verdict(False, "0" * 64, (stage,), "resize", 0, 1, "onnx", "fp32", "it differs at resize.")
    shown = verdict._repr_html_()
    for words in ("it differs at resize.", "differs", "0.25", "0.001", "shape (2,) for (3,)"):
        assert words in shown
