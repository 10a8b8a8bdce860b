"""The smallest whole backup: a collection's pages and a media folder into a repository, and out again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from storage.format.blob import PART_BYTES, BlobId, BlobKind
from storage.format.listing import FolderEntry, file_content, folder_tree, pieces_tree
from storage.format.manifest import Fact, Manifest, StoredFile, StoredFolder, new_snapshot_id, profile_key
from storage.listings import read_folder, read_pieces
from storage.repository import Repository, SnapshotRef

PAGE_BYTES = 4096
PROFILE = profile_key("Ada", "desk", "/home/ada/Anki2/Ada")
FIRST_MOMENT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: a collection of whole pages, and media by name."""

    collection: bytes
    media: Mapping[bytes, bytes]


def source_of(seed: int, *, pages: int = 200, media: int = 40) -> Source:
    """Made-up content: the pages shrink by half, the media don't. Sources of neighbouring seeds share most of it."""
    return Source(
        b"".join(
            _bytes(page + 1000 * ((seed + pages - 1 - page) // pages), PAGE_BYTES // 2) + bytes(PAGE_BYTES // 2)
            for page in range(pages)
        ),
        {f"picture {n}.jpg".encode(): _bytes(-n, 500 + 37 * n) for n in range(seed, seed + media)},
    )


def back_up(repository: Repository, source: Source, *, run: int, uploads: int = 2) -> SnapshotRef:
    """A whole backup, the `run`-th of its profile; returns the snapshot."""
    store_pieces(repository, source, uploads=uploads)
    return repository.commit(manifest_of(repository, source, run=run))[0]


def store_pieces(repository: Repository, source: Source, *, uploads: int = 2) -> None:
    """All of a backup but its manifest."""
    with repository.write(uploads=uploads) as session:
        for kind, blob, plain in blobs_of(repository, source):
            session.add(kind, blob, plain)
        session.close()


def blobs_of(repository: Repository, source: Source) -> Iterable[tuple[BlobKind, BlobId, bytes]]:
    """Every blob of a source, listing nodes last."""
    identify = repository.seal.blob_id
    pages = [source.collection[at : at + PAGE_BYTES] for at in range(0, len(source.collection), PAGE_BYTES)]
    yield from ((BlobKind.PAGE, identify(page), page) for page in pages)
    yield from ((BlobKind.DATA, identify(part), part) for content in source.media.values() for part in _parts(content))
    nodes = (
        pieces_tree([identify(page) for page in pages], identify)[1]
        + folder_tree(_entries(repository, source), identify)[1]
    )
    for content in source.media.values():
        nodes += file_content([identify(part) for part in _parts(content)], identify)[1]
    yield from ((BlobKind.NODE, node, content) for node, content in nodes)


def manifest_of(
    repository: Repository, source: Source, *, run: int, facts: Mapping[str, Fact] | None = None
) -> Manifest:
    """The manifest of the `run`-th backup."""
    identify = repository.seal.blob_id
    taken_at = FIRST_MOMENT + timedelta(minutes=30 * run)
    pages = [source.collection[at : at + PAGE_BYTES] for at in range(0, len(source.collection), PAGE_BYTES)]
    return Manifest(
        id=new_snapshot_id(taken_at, run.to_bytes(4, "big")),
        profile="Ada",
        profile_key=PROFILE,
        host="desk",
        source="/home/ada/Anki2/Ada",
        taken_at=taken_at,
        parent=None,
        files=(
            StoredFile(
                "collection.anki2",
                len(source.collection),
                PAGE_BYTES,
                pieces_tree([identify(page) for page in pages], identify)[0],
            ),
        ),
        folders=(
            StoredFolder(
                "collection.media",
                sum(map(len, source.media.values())),
                folder_tree(_entries(repository, source), identify)[0],
            ),
        ),
        facts={"notes": run, "proven": True} if facts is None else facts,
    )


def restore(repository: Repository, ref: SnapshotRef) -> Source:
    """What a snapshot holds."""
    manifest = repository.manifest(ref)
    (collection,), (folder,) = manifest.files, manifest.folders
    pieces = read_pieces(repository.read, collection.pieces)
    pages = dict(repository.read(pieces))
    entries = list(read_folder(repository.read, folder.entries))
    parts = {entry.name: read_pieces(repository.read, entry.content) for entry in entries}
    contents = dict(repository.read(part for of_one in parts.values() for part in of_one))
    return Source(
        b"".join(pages[piece] for piece in pieces),
        {name: b"".join(contents[part] for part in of_one) for name, of_one in parts.items()},
    )


def _entries(repository: Repository, source: Source) -> list[FolderEntry]:
    identify = repository.seal.blob_id
    return [
        FolderEntry(
            name,
            len(content),
            1_700_000_000_000_000_000,
            file_content([identify(part) for part in _parts(content)], identify)[0],
        )
        for name, content in source.media.items()
    ]


def _parts(content: bytes) -> list[bytes]:
    return [content[at : at + PART_BYTES] for at in range(0, len(content), PART_BYTES)]


def _bytes(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)
