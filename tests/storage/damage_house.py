"""A small repository of several snapshots, and ways to damage what is stored in it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from storage import writing
from storage.checking.verification import Verification, verify
from storage.errors import Damaged, StorageError
from storage.format.blob import BlobId, Location, pack_name
from storage.format.keyring import Keyring
from storage.format.sealing import AesSeal
from storage.listings import read_pieces
from storage.opening import create_repository, open_repository
from storage.repository import Repository, SnapshotRef
from storage.retrieval import folder_entries
from storage.store import Store
from storage.stores.address import open_store
from tests.storage.small_backup import Source, back_up, restore, source_of

SOURCES = [source_of(seed, pages=70, media=20) for seed in (0, 12, 24)]
KEYRING = Keyring(bytes(range(32)), ((1, bytes(range(32, 64))),))
_NUMBERS = itertools.count()


@contextmanager
def small_packs() -> Iterator[None]:
    """Several packs and index files in a backup of a few hundred kilobytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "PACK_BYTES", 24 * 1024)
        patch.setattr(writing, "_BATCH_BYTES", 8 * 1024)
        patch.setattr(writing, "PACKS_PER_INDEX", 2)
        yield


def in_memory() -> Store:
    """An empty store that no other test sees."""
    return open_store(f"memory://damage-{os.getpid()}-{next(_NUMBERS)}")


def opened(store: Store, *, sealed: bool = False) -> Repository:
    """The repository as another computer opens it."""
    repository = open_repository(store)
    if not sealed:
        return repository
    configuration = repository.configuration
    return Repository(store, configuration, AesSeal(bytes.fromhex(configuration.id), KEYRING), None)


def stocked(store: Store, sources: list[Source] | None = None, *, sealed: bool = False) -> list[SnapshotRef]:
    """Put snapshots of these sources into an empty store."""
    with small_packs():
        create_repository(store)
        repository = opened(store, sealed=sealed)
        return [back_up(repository, source, run=run) for run, source in enumerate(sources or SOURCES)]


def copy_of(store: Store) -> Store:
    """The same objects in a store of their own."""
    twin = in_memory()
    for name, content in contents(store).items():
        twin.write(name, content)
    return twin


def flip(store: Store, name: str, at: int) -> None:
    """Change a bit of an object at rest."""
    content = bytearray(store.read(name))
    content[at % len(content)] ^= 0x10
    store.write(name, bytes(content))


def spoil(store: Store, blob: BlobId, *, copy: int = 0) -> Location:
    """Change a bit in the middle of a stored copy of a blob; returns where that lies."""
    place = opened(store).index().copies(blob)[copy]
    flip(store, pack_name(place.pack), place.offset + place.stored // 2)
    return place


def objects(store: Store, folder: str = "") -> list[str]:
    """The names of the objects below a folder."""
    return [item.name for item in store.list(folder)]


def contents(store: Store) -> dict[str, bytes]:
    """Everything in a store."""
    return {name: store.read(name) for name in objects(store)}


def verified(store: Store, *scope: Any, sealed: bool = False, **options: Any) -> Verification:
    """A verification by another computer."""
    return verify(opened(store, sealed=sealed), *scope, **options)


def restorable(store: Store, *, sealed: bool = False) -> dict[tuple[str, str], bytes]:
    """Every file of every snapshot that can still be had: the collection by no name, each of the media by its own."""
    found: dict[tuple[str, str], bytes] = {}
    repository = opened(store, sealed=sealed)
    for ref in repository.snapshots():
        try:
            source = restore(repository, ref)
        except StorageError:
            found.update(_file_by_file(repository, ref))
        else:
            found[ref.id, ""] = source.collection
            found.update({(ref.id, repr(name)): content for name, content in source.media.items()})
    return found


def _file_by_file(repository: Repository, ref: SnapshotRef) -> dict[tuple[str, str], bytes]:
    found: dict[tuple[str, str], bytes] = {}
    with contextlib.suppress(StorageError):
        manifest = repository.manifest(ref)
        (collection,), (folder,) = manifest.files, manifest.folders
        with contextlib.suppress(Damaged):
            found[ref.id, ""] = _joined(repository, read_pieces(repository.read, collection.pieces))
        for entry in folder_entries(repository, folder, lost=lambda *_: None):
            with contextlib.suppress(Damaged):
                parts = [entry.content.root] if entry.content.root and not entry.content.levels else []
                pieces = parts or read_pieces(repository.read, entry.content)
                found[ref.id, repr(entry.name)] = _joined(repository, pieces)
    return found


def _joined(repository: Repository, pieces: list[BlobId]) -> bytes:
    held = dict(repository.read(pieces))
    return b"".join(held[piece] for piece in pieces)
