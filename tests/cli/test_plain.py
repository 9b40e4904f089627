"""The plain command line: it asks for what the reader of all command lines asks for, and loads far less."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.cli import plain, predict_images
from signet.cli.main import main

FLAGS = ("--quiet", "-q", "--json", "--offline", "--strict")
OTHERS = ("--top", "--help", "--", "-", "-qq", "--quie", "--json=1", "--threads", "--no-quiet", "--resume")


def _read_by_all(words: list[str]) -> Any:
    """The request that the reader of all command lines makes of words."""
    from signet.cli.commands import application

    with pytest.MonkeyPatch.context() as patch:
        asked: list[Any] = []
        patch.setattr(predict_images, "run", asked.append)
        application(words)(words, standalone_mode=False, obj=words)
    (one,) = asked
    return one


@settings(max_examples=25)
@given(
    st.lists(
        st.sampled_from(("birds.signet", "a.jpg", "b c.png", "camera:0", "*.jpg", "ü.png")),
        min_size=2,
        max_size=5,
    ),
    st.lists(st.sampled_from(FLAGS), max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_is_plain_asks_for_what_the_reader_of_all_asks_for(names, flags, random):
    words = [*names, *flags]
    random.shuffle(words)
    words = ["predict", *words]
    asked = plain.request(words)
    assert asked is not None
    assert asked == _read_by_all(words)


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_not_plain_is_left_to_the_reader_of_all(other):
    assert plain.request(["predict", "birds.signet", "a.jpg", other]) is None
    assert plain.request(["predict", other, "birds.signet", "a.jpg"]) is None


@pytest.mark.parametrize(
    "words",
    [[], ["predict"], ["predict", "birds.signet"], ["predict", "--json"], ["predict", "", "a.jpg"],
     ["embed", "birds.signet", "a.jpg"], ["--version"]],
)  # fmt: skip
def test_too_few_words_and_other_commands_are_left_to_the_reader_of_all(words):
    assert plain.request(words) is None


def test_errors_of_a_plain_line_have_the_exit_codes_of_the_contract(capsys, tmp_path):
    missing = tmp_path / "no.signet"
    assert main(["predict", str(missing), "a.jpg"]) == 2
    assert "There is no such file" in capsys.readouterr().err


def test_a_prediction_loads_no_reader_of_command_lines_and_no_converter(sealed, pictures):
    code = (
        "import sys\n"
        "from signet.cli.main import run\n"
        "try: run(sys.argv[1:])\n"
        "finally: print(sorted({'typer', 'pydantic', 'rich', 'openvino', 'openvino.tools.ovc', 'torch', "
        "'scipy'} & set(sys.modules)), file=sys.stderr)"
    )
    words = ["predict", str(sealed), str(pictures[0]), "--quiet"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "['openvino']"
