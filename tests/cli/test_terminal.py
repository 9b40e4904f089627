"""What a person sees: tables that fit, remarks that do not act, a bar that keeps to stderr."""

from __future__ import annotations

import re

import pytest

from signet.cli.terminal import Terminal, wrapped
from signet.progress import Progress

TITLES = ("name", "task", "params", "status")
ROWS = [
    ("timm/resnet50.a1_in1k", "classify", "25.6 M", "downloadable"),
    ("starter", "embed", "1.9 M", "embedded"),
]


@pytest.fixture
def of_width(monkeypatch, capsys):
    """Stdout as a terminal of a width; what is written there, without colours."""

    def make(columns: int, *, quiet: bool = False):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        capsys.readouterr()
        terminal = Terminal(quiet=quiet)

        def shown() -> tuple[list[str], str]:
            streams = capsys.readouterr()
            return re.sub(r"\x1b\[[0-9;]*m", "", streams.out).splitlines(), streams.err

        return terminal, shown

    return make


def test_a_table_stands_in_columns(of_width):
    terminal, shown = of_width(80)
    terminal.table(TITLES, ROWS, right=(2,), spare=(1,))
    lines, said = shown()
    assert [line.rstrip() for line in lines] == [
        "name                   task      params  status",
        "timm/resnet50.a1_in1k  classify  25.6 M  downloadable",
        "starter                embed      1.9 M  embedded",
    ]
    assert said == ""


def test_a_narrow_terminal_does_without_the_spare_columns_and_says_so(of_width):
    terminal, shown = of_width(50)
    terminal.table(TITLES, ROWS, right=(2,), spare=(1, 2))
    lines, said = shown()
    assert lines[0].split() == ["name", "params", "status"]
    assert all(row[0] in "".join(lines) for row in ROWS)
    assert said == "left out in 50 columns: task (--json has all)\n"


def test_quiet_says_nothing_of_it(of_width):
    terminal, shown = of_width(50, quiet=True)
    terminal.table(TITLES, ROWS, spare=(1,))
    assert shown()[1] == ""


def test_columns_without_text_are_left_out(of_width):
    terminal, shown = of_width(80)
    terminal.table(("a", "b", "c"), [("1", "", "3")])
    assert shown()[0][0].split() == ["a", "c"]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_long_cells_are_folded_and_nothing_is_lost(of_width, columns):
    terminal, shown = of_width(columns)
    long = "word " * 60
    terminal.table(("image", "answer", "score"), [("a.jpg", long, "0.875")], right=(2,))
    lines, _ = shown()
    assert all(len(line) <= columns for line in lines)
    assert " ".join(lines).count("word") == 60
    assert lines[0].endswith("score")
    assert lines[1].endswith("0.875")


def test_for_a_pipe_lines_end_where_their_text_ends(capsys):
    Terminal().table(TITLES, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert lines[1].endswith("downloadable")


def test_what_would_act_is_escaped(of_width):
    terminal, shown = of_width(80)
    terminal.table(("a",), [("\x1b[2J[red]:bird:",)])
    terminal.result("\x1b]0;x\x07 \u202e")
    terminal.say("two\nlines \x1b[2J")
    lines, said = shown()
    assert lines[1:] == ["\\x1b[2J[red]:bird:", "\\x1b]0;x\\x07 \\u202e"]
    assert said == "two\\nlines \\x1b[2J\n"


def test_results_are_wrapped_between_words_below_their_indent(of_width):
    terminal, shown = of_width(40)
    terminal.result("licence: no licence for the set; terms of use of its pictures", indent=2)
    lines, _ = shown()
    assert lines == ["  licence: no licence for the set; terms", "    of use of its pictures"]


def test_a_file_or_a_pipe_gets_its_lines_unbroken(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = "word " * 30 + "end"
    Terminal().result(text)
    Terminal().say(text)
    streams = capsys.readouterr()
    assert streams.out == streams.err == f"{text}\n"


def test_a_path_is_never_broken(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    import sys

    path = "/a/" + "long-name" * 12
    assert path in wrapped(f"error: {path} is not there", sys.stderr).splitlines()[-2].strip()


class TestBar:
    """On a terminal that is stderr only."""

    @pytest.fixture
    def opened(self, monkeypatch, capsys):
        def make(*, quiet: bool = False) -> Terminal:
            # Here and not while the fixture is set up: capturing changes the streams in between.
            monkeypatch.setenv("COLUMNS", "80")
            monkeypatch.setenv("TERM", "xterm")
            monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
            return Terminal(quiet=quiet)

        return make

    def test_it_shows_how_far_and_leaves_stdout_alone(self, opened, capsys):
        with opened() as terminal:
            for done in range(0, 101, 10):
                terminal.on_progress(Progress("predicting", done, 100))
                terminal.line(f"line {done}")
        streams = capsys.readouterr()
        assert streams.out == "".join(f"line {done}\n" for done in range(0, 101, 10))
        assert "predicting" in streams.err
        assert "100/100" in streams.err

    def test_an_unknown_total_and_a_hostile_note(self, opened, capsys):
        with opened() as terminal:
            terminal.on_progress(Progress("[bold]reading", 7, None, note="a\x1b[2J[red]\n"))
        said = capsys.readouterr().err
        assert "7/?" in said
        assert "[bold]reading" in said
        assert "a\\x1b[2J[red]\\n" in said
        assert "\x1b[2J" not in said

    def test_remarks_stand_above_it_as_they_are(self, opened, capsys):
        with opened() as terminal:
            terminal.on_progress(Progress("predicting", 1, 2))
            terminal.say("not drawn: [bold]a:bird:.jpg")
        assert "not drawn: [bold]a:bird:.jpg" in capsys.readouterr().err

    def test_a_narrow_terminal_has_whole_figures_and_no_bar(self, opened, capsys, monkeypatch):
        terminal = opened()
        monkeypatch.setenv("COLUMNS", "40")
        with terminal:
            terminal.on_progress(Progress("estimating by nested folds", 160, 160))
        assert re.search(r"estimating by nested folds[^\n]*160/160", said := capsys.readouterr().err)
        assert "…" not in said
        assert "\u2501" not in said

    def test_quiet_has_none(self, opened, capsys):
        with opened(quiet=True) as terminal:
            terminal.on_progress(Progress("predicting", 1, 2))
        assert capsys.readouterr().err == ""


def test_no_bar_where_nobody_watches(capsys):
    with Terminal() as terminal:
        terminal.on_progress(Progress("predicting", 1, 2))
    assert capsys.readouterr().err == ""
