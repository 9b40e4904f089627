"""A line for any name; what is written, cut and resumed is in tests/cli/test_resume.py."""

from __future__ import annotations

import json

import pytest

from signet.line_files import json_line


@pytest.mark.parametrize(
    "name",
    [
        "plain.jpg",
        "日本 é 🐦.jpg",
        "\x1b[31m\x07\x7f\x9b.jpg",
        "two\nlines\r\u2028\x85.jpg",
        "\udce9.jpg",
        "\u202e\U000e0001.jpg",
        '"\\/',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_any_name_is_one_line_of_json_that_does_not_act(name, encoding):
    line = json_line({"source": name}, encoding)
    assert json.loads(line) == {"source": name}
    assert line.isprintable()
    assert line.encode(encoding)


def test_printable_names_stay_readable():
    assert json_line({"source": "日本 é.jpg"}) == '{"source": "日本 é.jpg"}'


def test_not_a_number_is_no_json():
    with pytest.raises(ValueError, match="JSON"):
        json_line({"score": float("nan")})
