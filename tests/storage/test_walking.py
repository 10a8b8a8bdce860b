from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator

import pytest

from storage.errors import Damaged
from storage.format.blob import BlobId, BlobKind
from storage.opening import create_repository
from storage.repository import Repository
from storage.stores.address import open_store
from storage.walking import Walk
from tests.storage.small_backup import Source, back_up, blobs_of, manifest_of, source_of

_NUMBERS = itertools.count()
# Pages that are equal, a file of several parts, and one of none.
A = source_of(0, pages=70, media=80)
B = Source(A.collection, {**A.media, b"empty.jpg": b"", b"long.mp4": b"\1" * (9 * 1024 * 1024)})


@pytest.fixture
def repository() -> Repository:
    made = create_repository(open_store(f"memory://walking-{os.getpid()}-{next(_NUMBERS)}"))
    for run, source in enumerate((A, B)):
        back_up(made, source, run=run)
    return made


class Reader:
    """Reads from a repository, and notes what for."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.read: list[BlobId] = []

    def __call__(self, blobs: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        wanted = list(blobs)
        self.read += wanted
        return self.repository.read(wanted)


def ids(repository: Repository, source: Source) -> set[BlobId]:
    return {blob for _, blob, _ in blobs_of(repository, source)}


@pytest.mark.parametrize("source", [A, B])
def test_a_walk_gives_every_blob_of_a_snapshot_and_no_other(repository: Repository, source: Source) -> None:
    found = {blob for batch in Walk(repository.read).blobs([manifest_of(repository, source, run=9)]) for blob in batch}
    assert found == ids(repository, source)


def test_only_nodes_are_fetched_and_each_of_them_once(repository: Repository) -> None:
    reader = Reader(repository)
    walk = Walk(reader)
    manifests = [manifest_of(repository, source, run=9) for source in (A, B, A)]
    found = {blob for batch in walk.blobs(manifests) for blob in batch}
    assert found == ids(repository, A) | ids(repository, B)
    assert len(reader.read) == len(set(reader.read))
    nodes = {blob for source in (A, B) for kind, blob, _ in blobs_of(repository, source) if kind is BlobKind.NODE}
    assert set(reader.read) == nodes
    assert list(walk.blobs(manifests)) == []
    assert list(Walk(reader, after=walk).blobs(manifests)) == []


def test_nodes_are_fetched_few_at_a_time(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.walking._NODES_AT_ONCE", 2)
    most = 0

    def counted(blobs: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        nonlocal most
        wanted = list(blobs)
        most = max(most, len(wanted))
        return repository.read(wanted)

    found = {blob for batch in Walk(counted).blobs([manifest_of(repository, B, run=9)]) for blob in batch}
    assert found == ids(repository, B)
    assert most == 2


def test_a_node_that_can_not_be_had_or_makes_no_sense_is_damage_or_is_told(repository: Repository) -> None:
    manifest = manifest_of(repository, A, run=9)

    def spoiled(blobs: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        for blob, content in repository.read(blobs):
            yield blob, content[:-1] if blob == manifest.files[0].pieces.root else content

    with pytest.raises(Damaged):
        list(Walk(spoiled).blobs([manifest]))
    told: list[BlobId] = []
    batches = Walk(spoiled, damaged=lambda blob, _: told.append(blob)).blobs([manifest])
    found = {blob for batch in batches for blob in batch}
    assert told == [manifest.files[0].pieces.root]
    media = {blob for kind, blob, _ in blobs_of(repository, Source(b"", A.media)) if kind is BlobKind.DATA}
    assert media <= found < ids(repository, A)
