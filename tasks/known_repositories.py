"""Which repositories this computer has backed up to, and how they were sealed: what a place must not lose unseen.

An empty place where a repository was is a disk that is not there: without this memory a scheduled run would make a new
repository in the bare folder that an unplugged disk leaves behind, and say that all is well. And one that was encrypted
and now says that it is open, or that shows older keys than before, is not what it was: someone may want to read along.
Losing the memory loses these checks, and no data.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.object_cache import ObjectCache

_NAME = "known-repositories.json"


@dataclass(frozen=True, slots=True)
class KnownRepository:
    """A repository as it was last seen; `generation` is that of its newest key, 0 where it was not encrypted."""

    id: str
    generation: int

    @property
    def encrypted(self) -> bool:
        """Whether it was."""
        return self.generation > 0


def known_repositories(state: Path) -> dict[str, KnownRepository]:
    """Repositories by the address as it may be shown; empty when nothing is known."""
    try:
        found = json.loads(ObjectCache(state).get(_NAME) or b"{}")
        return {url: KnownRepository(str(known["id"]), int(known["generation"])) for url, known in dict(found).items()}
    except (ValueError, TypeError, KeyError):
        return {}


def remember_repository(state: Path, url: str, seen: KnownRepository) -> None:
    """Remember what lies at `url`."""
    known = known_repositories(state)
    if known.get(url) != seen:
        _keep(state, {**known, url: seen})


def forget_repository(state: Path, url: str) -> None:
    """Let a new repository be made at `url`, or another one be used there."""
    known = known_repositories(state)
    forgotten = known.pop(url, None)
    if forgotten is not None:
        _keep(state, {other: seen for other, seen in known.items() if seen.id != forgotten.id})


def _keep(state: Path, known: dict[str, KnownRepository]) -> None:
    ObjectCache(state).put(_NAME, json.dumps({url: asdict(seen) for url, seen in known.items()}, indent=2).encode())
