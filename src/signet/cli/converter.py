"""OpenVINO without its converter of other frameworks' models, until something asks for that.

`import openvino` ends by importing the converter, where that can be imported: two thirds of the time that
the whole import takes, for a function that no prediction calls. A process of our own may put it off.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_CONVERTER = "openvino.tools.ovc"


def put_off() -> None:
    """Let the next `import openvino` of this process go without its converter.

    `openvino.convert_model` is there all the same: it is imported when it is first asked for.
    """
    if "openvino" not in sys.modules:
        sys.meta_path.insert(0, _Once())


class _Once:
    """A finder of modules that says once that there is no converter, to the package that holds it."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`: None leaves a name to the other finders."""
        if fullname != _CONVERTER:
            return None
        sys.meta_path.remove(self)
        # PEP 562: what a module says of a name that it does not have.
        vars(sys.modules["openvino"]).setdefault("__getattr__", _late)
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def _late(name: str) -> Any:
    """The one function of the converter that OpenVINO's namespace has."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    from openvino.tools.ovc import convert_model

    return convert_model
