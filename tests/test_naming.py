"""Names as parts of file names."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.naming import file_part, file_stem


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("traffic light", "traffic_light"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("Straße 日本", "Straße_日本"),
        ("a\x1b[31m\n", "a__31m_"),
        ("\ud800", "_"),
        ("", ""),
    ],
)
def test_a_part(text, part):
    assert file_part(text) == part


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 200))
def test_a_part_is_safe_everywhere(text, most):
    part = file_part(text, most)
    assert not set(part) & set('/\\:*?"<>|\0\n')
    assert len(os.fsencode(part)) <= most
    assert part.isprintable() or all(letter.isalnum() or letter in "-_." for letter in part)


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("photos/a b?.jpg", "a_b_"),
        ("camera:0", "camera_0"),
        ("rtsp://host/stream.sdp?x=1", "stream"),
        ("/dev/video0", "video0"),
    ],
)
def test_a_stem(source, stem):
    assert file_stem(source) == stem
