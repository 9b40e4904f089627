"""What a model's name may be, so that none leads out of the folder that it is looked up in."""

from __future__ import annotations

import os
from pathlib import Path

from signet.errors import BadRequest, HubError

NAME_LIMIT = 200
# Characters and device names that mean something else on Windows; a name works everywhere or nowhere.
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)


def check_name(name: str) -> tuple[str, ...]:
    r"""The parts of a model's name.

    Raises:
        BadRequest: empty, too long, an empty part (a `/` at an end, or two together), `.`, `..`, a `\`, a
            drive, a character that cannot be printed, or a part that begins with a dot or ends with a dot
            or a space.
    """
    parts = tuple(name.split("/"))
    reason = f"it is longer than {NAME_LIMIT} characters" if len(name) > NAME_LIMIT else ""
    reason = reason or next(filter(None, map(fault_of_part, parts)), "")
    if reason:
        raise BadRequest(
            f"{name[:NAME_LIMIT]!r} cannot be a model's name: {reason}. Expected parts separated by one '/', "
            "such as 'timm/resnet50.a1_in1k'. (A folder or file is given with its path, not as a name.)"
        )
    return parts


def fault_of_part(part: str) -> str:
    """Why this cannot be one part of a name or the name of a file in a folder; empty when it can."""
    if not part:
        return "it has an empty part"
    if part.startswith("."):
        return f"its part {part!r} begins with a dot"
    if part[-1] in ". " or part[0] == " ":
        return f"its part {part!r} begins with a space, or ends with a space or a dot"
    strange = sorted({sign for sign in part if sign in _FORBIDDEN or sign == "/" or not sign.isprintable()})
    if strange:
        return f"it holds {', '.join(map(repr, strange))}"
    if part.split(".", 1)[0].lower() in _DEVICES:
        return f"its part {part!r} names a device on Windows"
    return ""


def place_of(name: str, root: Path) -> Path:
    """The folder of a name below `root`; links that lead out of `root` are refused.

    Raises:
        BadRequest: not a name.
        HubError: the folder is, or lies behind, a link that leaves `root`.
    """
    folder = root.joinpath(*check_name(name))
    require_inside(folder, root)
    return folder


def require_inside(path: Path, root: Path) -> None:
    """Refuse a path whose links lead out of `root`.

    Raises:
        HubError: it does.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise HubError(
            f"{path} is a link that leads out of {root}, which is not followed. "
            "Put the files themselves there, or name the folder that they lie in."
        )
