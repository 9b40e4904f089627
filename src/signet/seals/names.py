"""What a file inside a seal may be called: one law for folders and zips, on every platform."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MANIFEST = "seal.json"
DIGEST = "seal.sha256"
SIGNATURE = "seal.sig"
CARD = "README.md"
WEIGHTS = "weights.safetensors"
WEIGHTS_SUFFIX = ".safetensors"
GOLDEN = "golden"
EXPECTED = "golden/expected.safetensors"
SUFFIX = ".signet"
ZIP_SUFFIX = ".zip"

MOST_FILES = 1000
MOST_SIGNATURE_BYTES = 1 << 20
"""A line of 150 bytes for each of the most files, and certificates."""
_MOST_CHARACTERS = 240
_MOST_PARTS = 6
# Names that Windows gives to devices, whatever follows the first dot.
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10)))
)


def wrong_name(name: str) -> str | None:
    """Why a file of a seal may not have this name, in words, or None when it may.

    A name is relative, its parts separated by `/`. What is refused could leave the folder, or would name
    another file on another platform.
    """
    if not name or len(name) > _MOST_CHARACTERS or not name.isprintable():
        return f"a printable name of 1 to {_MOST_CHARACTERS} characters was expected"
    if "\\" in name or ":" in name:
        return "a name without backslash and colon was expected"
    if name.startswith("/"):
        return "a relative name was expected, not an absolute one"
    parts = name.split("/")
    if len(parts) > _MOST_PARTS:
        return f"at most {_MOST_PARTS} folders deep was expected"
    for part in parts:
        if part in ("", ".", ".."):
            return "a name without empty parts, '.' and '..' was expected"
        if part.endswith((".", " ")) or part.startswith(" "):
            return "parts that do not end in a dot or a space were expected"
        if part.split(".", 1)[0].casefold() in _DEVICES:
            return "a name that is no device on Windows was expected"
    return None


def collision(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that are one file where case or Unicode form do not count, or None."""
    seen: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if key in seen:
            return seen[key], name
        seen[key] = name
    # A name must not be a file and a folder at once.
    for key, name in seen.items():
        parent = key
        while "/" in parent:
            parent = parent.rsplit("/", 1)[0]
            if parent in seen:
                return seen[parent], name
    return None
