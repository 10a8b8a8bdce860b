"""The versions of what took part, for manifests and audit rows."""

from __future__ import annotations

import functools
import platform
import sys
from pathlib import Path
from typing import Any

from recollect import __version__


@functools.cache
def software_versions() -> dict[str, Any]:
    """Versions by column name; found out without importing the packages."""
    return {
        "recollect_version": __version__,
        "anki_version": _version("anki"),
        "prefect_version": _version("prefect"),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
    }


def _version(package: str) -> str | None:
    """The version of an installed package, by the name of the folder that describes it.

    The packaging specifications give that name (https://packaging.python.org/specifications/binary-distribution-format/).
    `importlib.metadata` knows more ways, and takes longer to load than the folders to look through.
    """
    for folder in map(Path, sys.path):
        for described in folder.glob(f"{package}-*.dist-info"):
            return described.name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return None
