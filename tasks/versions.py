"""The versions of what took part, for manifests and audit rows."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import PackageNotFoundError, version
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
    try:
        return version(package)
    except PackageNotFoundError:
        return None
