"""How the command `recollect` of this very installation is called from anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def program() -> list[str]:
    """The script beside this Python; where there is none, this Python with the module."""
    script = Path(sys.executable).with_name("recollect.exe" if os.name == "nt" else "recollect")
    # -P: a folder named cli where it is called must not be taken for the module.
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "cli"]
