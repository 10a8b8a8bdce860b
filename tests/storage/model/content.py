"""What the simulated computers back up: small, made of pieces that many of them share and that come back again."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from storage.format.blob import BlobId, BlobKind
from storage.format.listing import FolderEntry, NewNode, Tree, file_content, folder_tree, pieces_tree
from storage.format.manifest import Manifest, ProfileKey, SnapshotId, StoredFile, StoredFolder
from storage.format.sealing import OpenSeal
from storage.listings import read_folder, read_pieces
from storage.repository import Repository, SnapshotRef

REPOSITORY_ID = "5" * 32
PAGES = 20
PAGE_VERSIONS = 4
PICTURES = 40
_PAGE_BYTES = 300
_SEAL = OpenSeal(bytes.fromhex(REPOSITORY_ID))


@dataclass(frozen=True, slots=True)
class Source:
    """A profile at one moment: which version each of its pages has, and which pictures it holds."""

    pages: tuple[int, ...]
    pictures: frozenset[int]

    def changed(self, rng: random.Random, changes: int) -> Source:
        """The same profile some time later. What is changed often becomes what it was before."""
        pages, pictures = list(self.pages), set(self.pictures)
        for _ in range(changes):
            pages[rng.randrange(PAGES)] = rng.randrange(PAGE_VERSIONS)
            if rng.random() < 0.5:
                pictures ^= {rng.randrange(PICTURES)}
        return Source(tuple(pages), frozenset(pictures))


@dataclass(frozen=True, slots=True)
class Cut:
    """A source as it is stored: its blobs, and the trees that list them."""

    blobs: Mapping[BlobId, tuple[BlobKind, bytes]]
    pages: Tree
    folder: Tree


def a_source(rng: random.Random) -> Source:
    """A profile to begin with."""
    return Source((0,) * PAGES, frozenset()).changed(rng, 12)


@functools.lru_cache(maxsize=4096)
def cut(source: Source) -> Cut:
    """Everything that a backup of `source` consists of."""
    pages = [_page(slot, version) for slot, version in enumerate(source.pages)]
    pictures = {number: _picture(number) for number in sorted(source.pictures)}
    nodes: list[NewNode] = []
    page_tree, page_nodes = pieces_tree([_SEAL.blob_id(page) for page in pages], _SEAL.blob_id)
    entries = [
        FolderEntry(_name(number), len(content), 0, file_content([_SEAL.blob_id(content)], _SEAL.blob_id)[0])
        for number, content in pictures.items()
    ]
    folder, folder_nodes = folder_tree(entries, _SEAL.blob_id)
    nodes = [*page_nodes, *folder_nodes]
    return Cut(
        {
            **{_SEAL.blob_id(page): (BlobKind.PAGE, page) for page in pages},
            **{_SEAL.blob_id(content): (BlobKind.DATA, content) for content in pictures.values()},
            **{node: (BlobKind.NODE, content) for node, content in nodes},
        },
        page_tree,
        folder,
    )


def manifest_of(source: Source, key: ProfileKey, snapshot: SnapshotId, taken_at: datetime) -> Manifest:
    """The manifest of a backup of `source`."""
    found = cut(source)
    return Manifest(
        id=snapshot,
        profile="Ada",
        profile_key=key,
        host="desk",
        source="Ada",
        taken_at=taken_at.replace(microsecond=0),
        parent=None,
        files=(StoredFile("collection.anki2", PAGES * _PAGE_BYTES, _PAGE_BYTES, found.pages),),
        folders=(StoredFolder("collection.media", sum(map(_picture_bytes, source.pictures)), found.folder),),
    )


def is_restored_by(repository: Repository, ref: SnapshotRef, source: Source) -> bool:
    """Whether a snapshot gives `source` back, bit for bit."""
    manifest = repository.manifest(ref)
    (collection,), (folder,) = manifest.files, manifest.folders
    pieces = read_pieces(repository.read, collection.pieces)
    pages = dict(repository.read(pieces))
    entries = {entry.name: entry.content.root for entry in read_folder(repository.read, folder.entries)}
    pictures = dict(repository.read(root for root in entries.values() if root is not None))
    return [pages[piece] for piece in pieces] == [
        _page(slot, version) for slot, version in enumerate(source.pages)
    ] and {name: pictures[root] for name, root in entries.items() if root is not None} == {
        _name(number): _picture(number) for number in source.pictures
    }


@functools.cache
def _page(slot: int, version: int) -> bytes:
    return random.Random(f"page {slot} {version}").randbytes(_PAGE_BYTES // 2) + bytes(_PAGE_BYTES // 2)


@functools.cache
def _picture(number: int) -> bytes:
    return random.Random(f"picture {number}").randbytes(_picture_bytes(number))


def _picture_bytes(number: int) -> int:
    return 200 + 40 * number


def _name(number: int) -> bytes:
    return f"picture {number:02}.jpg".encode()
