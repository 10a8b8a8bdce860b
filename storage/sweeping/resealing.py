"""Sealing anew what lies under a key that a rotation replaced: index files, and the files of deletion archives.

Packs are packed anew like those that are mostly useless (`garbage.py`). The rest either goes by itself (verdicts,
censuses, check records, the trash) or stays as it is: `docs/threats.md` says what, and why.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from storage.errors import Damaged, ObjectMissing
from storage.format.deletion_table import (
    LARGEST_DELETIONS,
    is_deletions_name,
    read_deletions,
    renewed_name,
    write_deletions,
)
from storage.format.sealing import HEADER_BYTES
from storage.holdings import Holdings
from storage.repository import Repository
from storage.side_by_side import side_by_side
from storage.store import StoredObject
from storage.sweeping.index_folding import fold

_SEEN_TO_BE_NEW = "sealing/newest"
"""The name in the cache of a list: the number of the newest key, and the objects that are under it."""

_MOST_BYTES = 32 * 1024 * 1024
"""One sweep writes so many bytes anew at most, or a single object that is larger: an index file is read as a whole."""


def under_old_keys(repository: Repository, holdings: Holdings) -> tuple[str, ...]:
    """The files of deletion archives, and the index files, that are sealed under an old key: what one sweep takes."""
    if repository.seal.generation < 2:
        return ()  # no key was ever replaced
    archives = [
        item
        for item in repository.store.list("deletions")
        if is_deletions_name(item.name) and item.size <= LARGEST_DELETIONS
    ]
    candidates = [*archives, *holdings.index_files]
    known = _known_to_be_new(repository)
    unknown = [item for item in candidates if item.name not in known]
    answers = list(side_by_side(lambda item: _is_old(repository, item), unknown))
    new = {item.name for item, is_old in zip(unknown, answers, strict=True) if is_old is False}
    _remember_as_new(repository, new | (known & {item.name for item in candidates}))
    names: list[str] = []
    left = _MOST_BYTES
    for item in (item for item, is_old in zip(unknown, answers, strict=True) if is_old):
        if not names or item.size <= left:
            left -= item.size
            names.append(item.name)
    return tuple(names)


def reseal(repository: Repository, names: Iterable[str]) -> int:
    """Write these objects anew, under new names, and remove the old ones; returns how many those were.

    What can't be read, or is gone by now, is left alone. A crash in between leaves both, which say the same.
    """
    archives: list[str] = []
    index_files: list[str] = []
    for name in names:
        (archives if is_deletions_name(name) else index_files).append(name)
    return sum(_reseal_archive(repository, name) for name in archives) + fold(repository, index_files, even_one=True)


def _known_to_be_new(repository: Repository) -> set[str]:
    """The objects that an earlier sweep on this computer saw to be under the newest key: what they are, they stay."""
    generation, *names = (repository.cache.get(_SEEN_TO_BE_NEW) or b"").decode(errors="replace").split("\n")
    return set(names) if generation == str(repository.seal.generation) else set()


def _remember_as_new(repository: Repository, names: set[str]) -> None:
    content = "\n".join((str(repository.seal.generation), *sorted(names)))
    repository.cache.put(_SEEN_TO_BE_NEW, content.encode())


def _is_old(repository: Repository, item: StoredObject) -> bool | None:
    """Whether an object is under an old key; None when that can't be told."""
    try:
        head = repository.store.read_range(item.name, 0, HEADER_BYTES)
    except (Damaged, ObjectMissing):
        return None
    return repository.seal.generation_of(head) < repository.seal.generation


def _reseal_archive(repository: Repository, name: str) -> bool:
    store, seal = repository.store, repository.seal
    try:
        notes = read_deletions(seal, name, store.read(name))
    except (Damaged, ObjectMissing):
        return False
    renewed = renewed_name(name, os.urandom(4))
    store.write(renewed, write_deletions(seal, renewed, notes))
    if read_deletions(seal, renewed, store.read(renewed)) != notes:
        raise Damaged(
            f"{renewed} did not arrive as it was sent to {store.url}; {name}, which it was to replace, stays",
            "Check that disk or server, then try again",
        )
    if store.size(name) is None:
        # Another run has done the same meanwhile: twice the same notes would stay for ever.
        store.remove(renewed)
        return False
    store.remove(name)
    return True
