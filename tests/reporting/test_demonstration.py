from signet.records import Interval
from signet.reporting import Act, demonstration_page, render
from signet.reporting.page import Chapter, Commands, Note, Picture, Pictures, Row, Table

from .sample import report


def test_the_demo_tells_each_data_set_in_a_chapter():
    rows = (Row("starter", Interval(0.9, 0.8, 0.95), chosen=True), Row("histogram", Interval(0.3, 0.2, 0.4)))
    acts = [
        Act(
            title=title,
            lead="what it is",
            rows=rows,
            report=report(("a", "b", "c"), mistakes=()),
            pictures=Pictures("Some", (Picture("", "a.png", (("a", 0.5),)),)),
            tables=(Table("Verified", (("openvino", "same"),), ("engine", "result")),),
        )
        for title in ("Digits", "Materials")
    ]
    commands = Commands("Do the same", ("signet finetune starter photos --out mine.signet",))
    page = demonstration_page("in a minute", acts, commands, notes=("no note",))
    kinds = [type(section) for section in page.sections]
    assert kinds[:3] == [Note, Commands, Chapter]
    assert kinds.count(Chapter) == 2
    text = render(page)
    assert text.count("<h2") == 2
    assert "signet finetune starter photos --out mine.signet" in text
