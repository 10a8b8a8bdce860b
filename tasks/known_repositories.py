"""Which repositories this computer has backed up to, and how they were sealed: what a place must not lose unseen.

An empty place where a repository was is a disk that is not there: without this memory a scheduled run would make a new
repository in the bare folder that an unplugged disk leaves behind, and say that all is well. And one that was encrypted
and now says that it is open, or that shows older keys than before, is not what it was: someone may want to read along.
Losing the memory loses these checks, and no data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.errors import NotEncrypted, StorageError
from storage.object_cache import ObjectCache
from storage.repository import Repository

_NAME = "known-repositories.json"


class RepositoryGone(StorageError):
    """The place is empty where this computer has backed up to a repository before."""

    code = "repository-gone"


class KeysWentBack(StorageError):
    """An encrypted repository shows only keys that are older than those that this computer has seen there."""

    code = "keys-went-back"


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


def remember_repository(state: Path, repository: Repository) -> None:
    """Remember a repository as it is now."""
    known, url = known_repositories(state), repository.store.url
    seen = KnownRepository(repository.id, repository.seal.generation)
    if known.get(url) != seen:
        _keep(state, {**known, url: seen})


def forget_repository(state: Path, url: str) -> None:
    """Let a new repository be made at `url`, or another one be used there."""
    known = known_repositories(state)
    forgotten = known.pop(url, None)
    if forgotten is not None:
        _keep(state, {other: seen for other, seen in known.items() if seen.id != forgotten.id})


def refuse_to_replace(url: str, known: Mapping[str, KnownRepository]) -> None:
    """Raise RepositoryGone where `url` is an empty place that was none before."""
    if url in known:
        raise RepositoryGone(
            f"The repository at {url}, to which this computer has backed up before, is not there any more",
            "Plug in or mount its disk, or correct the address; to begin a new one there, run "
            "`recollect backup --new-repository`",
        )


def refuse_what_it_was_not(repository: Repository, known: Mapping[str, KnownRepository]) -> None:
    """Raise NotEncrypted or KeysWentBack where it isn't what it was.

    Whoever writes to the store could put an open repository in an encrypted one's place, or old keys back.
    """
    url = repository.store.url
    before = [seen for place, seen in known.items() if place == url or seen.id == repository.id]
    if not repository.seal.generation and any(seen.encrypted for seen in before):
        raise NotEncrypted(
            f"The repository at {url} was encrypted when this computer last used it, and now says that it is not",
            "Someone may have put another one in its place to read what you back up: find out who. If it was you, say "
            "so once with `recollect backup --new-repository`",
        )
    newest = max((seen.generation for seen in before if seen.id == repository.id), default=0)
    if repository.seal.generation < newest:
        raise KeysWentBack(
            f"The repository at {url} was rotated to newer keys before, and what the present secret opens knows only "
            "older ones",
            "Use a secret whose slot knows the newest key, which `recollect key list` tells; if there is none, someone "
            "has put an old slot back. If the whole repository was put back from a copy, say so once with `recollect "
            "backup --new-repository`",
        )


def _keep(state: Path, known: dict[str, KnownRepository]) -> None:
    ObjectCache(state).put(_NAME, json.dumps({url: asdict(seen) for url, seen in known.items()}, indent=2).encode())
