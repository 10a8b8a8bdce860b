"""Where private copies of collections lie while something is done with them, and how they are sure to go."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.cache_trouble import cache_trouble
from tasks.settings_in_force import active_settings

_LONGEST_RUN_S = 7 * 24 * 3600
"""A private copy older than this belongs to no run that is still under way, whoever has its process id today."""


def staging_folder() -> Path:
    """Where private copies are made; only its owner may look inside."""
    folder = active_settings().cache / "staging"
    with cache_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    return folder


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only its owner may look into, gone afterwards; those of killed runs go with it."""
    parent = staging_folder()
    with cache_trouble(parent):
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what killed runs left behind: copies of a collection must not lie around."""
    for folder in parent.iterdir():
        pid = folder.name.partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdecimal() and (not _is_running(int(pid)) or time.time() - folder.stat().st_mtime > _LONGEST_RUN_S):
                shutil.rmtree(folder)


def _is_running(pid: int) -> bool:
    if os.name == "nt":
        # Windows has no harmless probe in the standard library; there a copy's age alone tells.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
