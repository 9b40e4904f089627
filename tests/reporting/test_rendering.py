import html
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from signet.errors import MissingExtra
from signet.records import Interval
from signet.reporting import figures, rendering
from signet.reporting.page import (
    Chapter,
    ClassBars,
    Commands,
    Comparison,
    Confusion,
    Curves,
    Differences,
    Gap,
    Line,
    Note,
    Page,
    Panel,
    Picture,
    Pictures,
    Reliability,
    Row,
    Scene,
    Scenes,
    Sentence,
    Table,
    Tile,
    Tiles,
)
from signet.reporting.rendering import policy, render

from .sample import HOSTILE, report

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Outline(HTMLParser):
    """Checks the nesting of elements and keeps what a test may ask for."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag == "wbr" and not attrs:
            return  # where a long name may break, which depends on the name
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def outline(text):
    found = Outline()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def everything(name="name"):
    measured = report((name, "b"))
    figure = Interval(0.8, 0.7, 0.9)
    return Page(
        title=name,
        summary=name,
        sections=(
            Chapter(name, name),
            Sentence(name, name),
            Tiles((Tile(name, name, name, figure), Tile("plain", "3")), name, name),
            Comparison(name, (Row(name, figure, name, True), Row("b", Interval(0.1, 0.05, 0.2))), name),
            Differences(name, (Gap(name, Interval(0.1, -0.1, 0.3), name), Gap("b", figure)), name),
            Confusion(name, (name, "b"), measured.confusion, name),
            Confusion("none", ("a",), np.array([[4]])),
            ClassBars(name, measured.per_class, lead=name),
            Reliability(name, measured.calibration, name),
            Curves(name, (Panel(name, (Line(name, (1.0, None, 0.5)),)),), (1.0, 2.0, 3.0), name, 2.0, name),
            Pictures(name, (Picture("data:image/jpeg;base64,AAAA", name, ((name, 0.5),), name, name),), name),
            Pictures("gone", (Picture("", "b.jpg"),)),
            Pictures(name, (Picture("", name, ((name, 0.5), ("b", 0.1)), name, names=(name, "b")),)),
            Scenes(name, (Scene(name, name, ((name, "data:image/jpeg;base64,AAAA"), (name, ""))),), name),
            Scenes("one", (Scene(name, name, ((name, "data:image/jpeg;base64,AAAA"),)),)),
            Table(name, ((name, name),), (name, "b"), name),
            Table(name, ((name, name),), folded=True),
            Note((name,), name),
            Note((name, "b")),
            Commands(name, (name,), name),
        ),
        kicker=name,
        meaning=name,
        colophon=name,
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_its_place(name):
    hostile, harmless = outline(render(everything(name))), outline(render(everything("name")))
    assert hostile.tags == harmless.tags
    assert [row[:2] for row in hostile.attributes] == [row[:2] for row in harmless.attributes]
    assert "\u202e" not in render(everything(name))


def test_names_are_shown_as_they_are():
    words = "".join(outline(render(everything("<script>a & b</script>"))).text)
    assert "<script>a & b</script>" in words
    assert "exe\\u202egpj" in "".join(outline(render(everything("exe\u202egpj"))).text)
    assert "two\\nlines {{ 7 * 7 }}" in "".join(outline(render(everything(HOSTILE[3]))).text)


def test_the_page_asks_nobody_for_anything():
    text = render(everything(HOSTILE[5]))
    found = outline(text)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    for tag, name, value in found.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style", "an inline style would be stopped by the policy"
        assert name not in ("href", "srcset", "action", "xlink:href"), (tag, name)
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_lets_through_the_page_s_own_style_and_no_more():
    text = render(everything())
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    found = outline(text)
    (content,) = [
        value for tag, name, value in found.attributes if name == "content" and "default-src" in value
    ]
    assert content == policy(style)
    assert content.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in content
    meta = text.index("Content-Security-Policy")
    assert meta < text.index("<style>")


def test_headings_go_down_one_step_at_a_time_and_have_names_of_their_own():
    for page in (everything(), Page("t", "s", (Note(("n",)), Table("x", (("a", "b"),))))):
        found = outline(render(page))
        levels = [int(tag[1]) for tag in found.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert len(set(found.ids)) == len(found.ids)
        named = {value for _, name, value in found.attributes if name == "aria-labelledby"}
        assert named <= set(found.ids)


def test_every_drawing_has_words_or_is_hidden_and_every_picture_has_a_description():
    found = outline(render(everything()))
    assert found.tags.count("svg") == sum(
        1 for tag, name, value in found.attributes if tag == "svg" and (name, value) == ("role", "img")
    ) + sum(1 for tag, name, _ in found.attributes if tag == "svg" and name == "aria-hidden")
    described = [value for tag, name, value in found.attributes if tag == "img" and name == "alt"]
    assert described == ["name, called name with 50.0\u00a0%", "name: name", "name: name"]


def test_pictures_are_there_before_anyone_scrolls_to_them():
    # A page that is printed or captured from its top would have empty frames.
    assert 'loading="lazy"' not in render(everything())


def test_the_page_can_be_written_whatever_it_holds():
    render(everything("\ud800\x00\ufffe")).encode("utf-8")


def test_same_page_same_text():
    assert render(everything()) == render(everything())


def test_without_jinja_the_way_out_is_named(monkeypatch):
    rendering._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"signet\[fit\]"):
        render(everything())


def contrast(first, second):
    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_ground_by_day_and_by_night():
    text = render(Page("t", "s", ()))
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for ink in ("ink", "soft", "right", "wrong"):
            for ground in ("paper", "raised"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for line in ("series0", "series1", "series2", "series3"):
            assert contrast(colours[line], colours["paper"]) >= 3


@pytest.mark.parametrize("night", [False, True])
def test_numbers_stand_out_from_every_cell(night):
    blocks = re.findall(r":root \{(.*?)\}", render(Page("t", "s", ())), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[night]))
    for strength in np.arange(0.12, 1.001, 0.01).round(2).tolist():
        for kind in ("right", "wrong"):
            if kind == "wrong" and strength > 0.86:  # a wrong cell is never stronger
                continue
            strong = strength >= (figures.MIDDLE if night else figures.HIGH)
            ink = colours["on-strong" if strong and (night or kind == "right") else "on-pale"]
            cell, ground = colours[f"{kind}-cell"], colours["raised"]
            pairs = [(int(cell[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5)]
            parts = [round(strength * above + (1 - strength) * below) for above, below in pairs]
            mixed = "#" + "".join(f"{part:02x}" for part in parts)
            assert contrast(ink, mixed) >= 4.5, (kind, strength)


def test_a_long_name_in_a_title_breaks_after_its_signs_and_stays_what_it_is():
    title = "mobilenetv2_100.coral_in1k & <b>long-names_of_others</b> learn half-way"
    page = rendering.render(Page(title=title, summary="x", sections=()))
    heading = page.partition("<h1>")[2].partition("</h1>")[0]
    first, between, *_, learn, half = heading.split(" ")
    assert first == "mobilenetv2_<wbr>100.<wbr>coral_<wbr>in1k"
    assert (between, learn, half) == ("&amp;", "learn", "half-way")
    assert "<b>" not in heading
    assert html.unescape(heading.replace("<wbr>", "")) == title
