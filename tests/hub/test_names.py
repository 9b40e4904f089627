"""Names that stay where they belong."""

import subprocess
import sys

import pytest

from signet.errors import BadRequest
from signet.hub import check_name


@pytest.mark.parametrize(
    "name",
    [
        "starter",
        "timm/resnet50.a1_in1k",
        "openclip/ViT-B-32.laion2b",
        "a/b/c",
        "größe 2/x+y@z",
        "console",
        "a..b",
    ],
)
def test_good_names(name: str) -> None:
    assert "/".join(check_name(name)) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "an empty part"),
        ("/a", "an empty part"),
        ("a/", "an empty part"),
        ("a//b", "an empty part"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        ("a/../../b", "begins with a dot"),
        ("a/.git", "begins with a dot"),
        ("a\\..\\b", "it holds"),
        ("C:/x", "it holds ':'"),
        ("C:", "it holds ':'"),
        ("a\0b", "it holds"),
        ("a\nb", "it holds"),
        ("a\x1b[31m", "it holds"),
        ("a\u202eb", "it holds"),
        ("a\ud800b", "it holds"),
        ("a*", "it holds"),
        ("a ", "ends with a space"),
        ("a./b", "ends with a space or a dot"),
        ("nul", "device on Windows"),
        ("a/COM1.txt", "device on Windows"),
        ("a" * 201, "longer than 200"),
    ],
)
def test_bad_names(name: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as caught:
        check_name(name)
    assert str(caught.value).isprintable()


def test_import_is_light() -> None:
    script = (
        "import sys, signet.hub; "
        "print([name for name in ('torch', 'huggingface_hub', 'httpx2', 'filelock', 'numpy.random') "
        "if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() in ("[]", "['numpy.random']")
