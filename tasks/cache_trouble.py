"""What goes wrong where private copies are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recollect.errors import RecollectError


class CacheUnusable(RecollectError):
    """The folder for private copies can't be made or written to."""

    code = "cache-unusable"


@contextmanager
def cache_trouble(folder: Path) -> Iterator[None]:
    """Turn an OSError inside into CacheUnusable: nothing but private copies below `folder` may be touched there."""
    try:
        yield
    except OSError as error:
        raise CacheUnusable(
            f"Private copies can't be made in {folder}: {error.strerror or error}",
            "See that there is room, and that the folder is yours to write to; or set another one as `cache`",
        ) from error
