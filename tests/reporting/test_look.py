"""The page in a real browser: nothing asked for, nothing refused, nothing to scroll sideways for."""

import shutil
from dataclasses import replace

import pytest

from signet.reporting import Story, audit_page, choice_page, evaluation_page, finetuning_page, render

from .sample import report
from .test_auditing import hostile_audit, read
from .test_choosing import choice
from .test_dense import grey, objects, pixels
from .test_rendering import everything

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

LONG = "W" * 300


def pages():
    yield "hostile", evaluation_page(report())
    yield "long names", evaluation_page(report((LONG, "b" * 200, "c d " * 60)))
    yield "every section, long", everything(LONG)
    history = [{"epoch": number, "loss": 1 / number, "top1": 0.5} for number in range(1, 9)]
    story = Story(model="m", dataset="d", report=report(tuple("abcdefghijklmnopqrst")), history=history)
    yield "fine-tuning", finetuning_page(replace(story, kept=4))
    yield "audit, long", audit_page(hostile_audit((LONG, "b" * 200, "c d " * 60)), read=read)
    for make in (objects, pixels):
        yield f"{make.__name__}, long", evaluation_page(make((LONG, "c d " * 60)), read=grey)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.mark.parametrize("width", [1100, 1440])
def test_every_column_of_a_choice_is_in_sight(browser, tmp_path, width):
    found = choice(("semi_supervised_resnet50", "mobilenet_v2", "squeezenet1_1"))
    scores = {"knn": 0.712, "logme": 0.412, "h_score": 15.123, "leep": -1.234, "nce": -1.002}
    rows = tuple(replace(row, scores=scores, size_bytes=102_000_000) for row in found.ranking)
    file = tmp_path / "page.html"
    file.write_text(render(choice_page(replace(found, ranking=rows, scratch=rows[1]))), encoding="utf-8")
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(file.as_uri())
    hidden = tab.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => box.getAttribute('aria-label'))"
    )
    tab.close()
    assert hidden == []


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_no_sideways_scrolling_no_request_no_complaint(browser, tmp_path, width):
    for name, page in pages():
        file = tmp_path / "page.html"
        file.write_text(render(page), encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 800})
        said, asked = [], []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto(file.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
        assert said == [], name
        assert [url for url in asked if not url.startswith(("data:", file.as_uri()))] == [], name
        assert tab.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none", "no style"
        assert tab.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 16
        tab.close()
