"""Which repositories this computer has backed up to: an empty place where one of them was is a disk that is not there.

Without this memory a scheduled run would make a new repository in the bare folder that an unplugged disk leaves behind,
and say that all is well. Losing the memory loses this one check, and no data.
"""

from __future__ import annotations

import json
from pathlib import Path

from storage.object_cache import ObjectCache

_NAME = "known-repositories.json"


def known_repositories(cache: Path) -> dict[str, str]:
    """Ids of repositories by the address as it may be shown; empty when nothing is known."""
    try:
        found = json.loads(ObjectCache(cache).get(_NAME) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def remember_repository(cache: Path, url: str, identity: str) -> None:
    """Remember that the repository `identity` lies at `url`."""
    known = known_repositories(cache)
    if known.get(url) != identity:
        ObjectCache(cache).put(_NAME, json.dumps({**known, url: identity}, indent=2).encode())


def forget_repository(cache: Path, url: str) -> None:
    """Let a new repository be made at `url`."""
    known = known_repositories(cache)
    if known.pop(url, None) is not None:
        ObjectCache(cache).put(_NAME, json.dumps(known, indent=2).encode())
