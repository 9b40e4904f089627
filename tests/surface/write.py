"""Write public.txt and commands.txt anew, after the surface was changed on purpose."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from surface import GOLDEN, commands, public  # type: ignore[import-not-found]

if __name__ == "__main__":
    GOLDEN["public.txt"].write_text(public(), "utf-8")
    GOLDEN["commands.txt"].write_text(commands(), "utf-8")
