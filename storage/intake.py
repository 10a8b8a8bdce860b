"""Taking files in: which pieces they are made of, and which of those a repository lacks.

First everything is identified, so that what is new is known before a byte is sent; then the new pieces are read and
stored. A file of a length that no stored piece has is new whatever it holds: it is read only then, and once. A file
that changed in between is taken as it is when it is stored. Nothing is held in memory but a few pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.file_memory import RememberedFile
from storage.format.blob import BLOB_ID_BYTES, PART_BYTES, BlobId, BlobKind
from storage.format.listing import FolderEntry, NewNode, file_content, folder_tree, pieces_tree
from storage.format.manifest import StoredFile, StoredFolder
from storage.format.sealing import Seal
from storage.index import Index
from storage.writing import WriteSession

_READERS = 2
"""More would mostly wait for Python's lock: four of them took half as long again as two."""
_PAGES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file of a folder as `stat` told it just before its pieces were read. Times in ns since the epoch."""

    name: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Sink:
    """Takes the parts of one file as it is read: names them, and stores them at once where a session is given."""

    def __init__(self, seal: Seal, session: WriteSession | None = None) -> None:
        self._seal = seal
        self._session = session
        self.restart()

    def restart(self) -> None:
        """Forget what was taken: the file changed, and is read from its beginning again."""
        self.pieces: list[BlobId] = []
        self.size = 0

    def take(self, part: bytes) -> None:
        """Take the next part; all but the last are `PART_BYTES` long."""
        piece = self._seal.blob_id(part)
        self.pieces.append(piece)
        self.size += len(part)
        if self._session is not None:
            self._session.store(BlobKind.DATA, piece, part)


Read = Callable[[FileVersion, Sink], FileVersion | None]
"""Reads a file into a sink; returns the version that was read, None when the file is gone."""


@dataclass(frozen=True, slots=True)
class IdentifiedFile:
    """A file that is to be stored whole, such as a collection: its pieces, and the nodes that list them."""

    stored: StoredFile
    path: Path
    kind: BlobKind
    pieces: Sequence[BlobId]
    nodes: Sequence[NewNode]


@dataclass(frozen=True, slots=True)
class FolderListing:
    """A folder as a manifest names it, and the nodes that list its entries."""

    stored: StoredFolder
    nodes: Sequence[NewNode]


@dataclass(frozen=True, slots=True)
class IdentifiedFolder:
    """A folder that is to be stored, as far as it is known before anything is."""

    name: str
    listed_at_ns: int
    entries: Mapping[bytes, FolderEntry]
    versions: Mapping[bytes, RememberedFile]
    unread: Sequence[FileVersion]
    """Files that are surely new, and were not read yet: neither in `entries` nor in `versions`."""
    listing: FolderListing | None
    """None while there are unread files."""
    new_files: int
    new_bytes: int
    bytes_read: int


@dataclass(frozen=True, slots=True)
class TakenFolder:
    """A folder whose pieces are stored, or on their way: as it was when it was read last."""

    entries: Mapping[bytes, FolderEntry]
    versions: Mapping[bytes, RememberedFile]
    listing: FolderListing
    bytes_read: int


def identify_file(
    seal: Seal, name: str, path: Path, *, kind: BlobKind, piece_bytes: int, advance: Callable[[int], None]
) -> IdentifiedFile:
    """Cut a private file that nobody changes into pieces of `piece_bytes`; `advance` hears of the bytes read."""
    pieces: list[BlobId] = []
    for chunk in _chunks_of(path, piece_bytes):
        pieces += map(seal.blob_id, _cut(chunk, piece_bytes))
        advance(len(chunk))
    tree, nodes = pieces_tree(pieces, seal.blob_id)
    return IdentifiedFile(StoredFile(name, path.stat().st_size, piece_bytes, tree), path, kind, pieces, nodes)


def store_file(session: WriteSession, index: Index, file: IdentifiedFile) -> None:
    """Store the pieces of a file that the repository lacks, and its listing."""
    lacking = index.missing(file.pieces)
    if lacking:
        size = file.stored.piece_bytes
        pieces = (piece for chunk in _chunks_of(file.path, size) for piece in _cut(chunk, size))
        for blob, piece in zip(file.pieces, pieces, strict=True):
            if blob in lacking:
                session.add(file.kind, blob, piece)
    store_nodes(session, file.nodes)


def store_nodes(session: WriteSession, nodes: Iterable[NewNode]) -> None:
    """Store those nodes of a listing that the repository lacks."""
    for node, content in nodes:
        session.add(BlobKind.NODE, node, content)


def identify_folder(
    seal: Seal,
    index: Index,
    name: str,
    *,
    files: Sequence[FileVersion],
    known: Mapping[bytes, RememberedFile],
    listed_at_ns: int,
    read: Read,
    advance: Callable[[int, int], None],
) -> IdentifiedFolder:
    """Find out what a folder is made of, which was listed at `listed_at_ns` (ns since the epoch).

    `known` holds the files whose last reading can be relied on; they are not read again, unless the repository lost
    their pieces. `advance` hears of the bytes and the number of files that are done with, read or not.
    """
    lacking = set(_lacking(index, known))
    versions = {file.name: known[file.name] for file in files if file.name in known and file.name not in lacking}
    unread, to_read = _apart(index, [file for file in files if file.name not in versions])
    told = [found.size for found in versions.values()] + [file.size for file in unread]
    advance(sum(told), len(told))
    bytes_read = 0
    for version, sink in _read_all(to_read, lambda: Sink(seal), read, lambda file: advance(file.size, 1)):
        versions[version.name] = _remembered(version, sink, listed_at_ns)
        bytes_read += sink.size
    entries = {file: _entry(seal, file, found) for file, found in versions.items()}
    new_files = _lacking(index, versions)
    return IdentifiedFolder(
        name=name,
        listed_at_ns=listed_at_ns,
        entries=entries,
        versions=versions,
        unread=unread,
        listing=None if unread else _listing(seal, name, entries, versions),
        new_files=len(new_files) + len(unread),
        new_bytes=sum(versions[file].size for file in new_files) + sum(file.size for file in unread),
        bytes_read=bytes_read,
    )


def store_folder(
    session: WriteSession,
    seal: Seal,
    index: Index,
    folder: IdentifiedFolder,
    read: Read,
    *,
    taken: Callable[[], None] = lambda: None,
) -> TakenFolder:
    """Store the pieces of a folder's new files and its listing; returns the folder as it was stored.

    `taken` hears of each new file that was read, whose pieces are on their way then.

    What is new is asked of `index` once more: it may have been read anew since the folder was identified.
    """
    entries, versions = dict(folder.entries), dict(folder.versions)
    bytes_read = folder.bytes_read
    lacking = [_as_listed(name, versions.pop(name)) for name in _lacking(index, versions)]
    for file in lacking:
        del entries[file.name]
    for version, sink in _read_all([*lacking, *folder.unread], lambda: Sink(seal, session), read, lambda _: taken()):
        found = _remembered(version, sink, folder.listed_at_ns)
        bytes_read += found.size
        versions[version.name] = found
        entries[version.name] = _entry(seal, version.name, found)
    listing = folder.listing
    if listing is None or entries != folder.entries:
        listing = _listing(seal, folder.name, entries, versions)
    store_nodes(session, listing.nodes)
    return TakenFolder(entries, versions, listing, bytes_read)


def _apart(index: Index, files: Sequence[FileVersion]) -> tuple[list[FileVersion], list[FileVersion]]:
    """Those of `files` that are surely new, and those that must be read to know: pieces of such a length are stored."""
    lengths = index.lengths_among({_last_part(file.size) for file in files})
    surely_new: list[FileVersion] = []
    to_read: list[FileVersion] = []
    for file in files:
        (to_read if not file.size or _last_part(file.size) in lengths else surely_new).append(file)
    return surely_new, to_read


def _last_part(size: int) -> int:
    """How long the last part of a file of `size` bytes is."""
    return size % PART_BYTES or min(size, PART_BYTES)


def _read_all(
    files: Sequence[FileVersion], sink: Callable[[], Sink], read: Read, done: Callable[[FileVersion], None]
) -> Iterator[tuple[FileVersion, Sink]]:
    """Read files side by side; gives those that are still there, as they were read, with the sink that took them."""

    def taken(file: FileVersion) -> tuple[FileVersion | None, Sink]:
        own = sink()
        version = read(file, own)
        done(file)
        return version, own

    with ThreadPoolExecutor(_READERS, thread_name_prefix="intake") as pool:
        for version, own in pool.map(taken, files):
            if version is not None:
                yield version, own


def _lacking(index: Index, versions: Mapping[bytes, RememberedFile]) -> list[bytes]:
    """Which files have a piece that the repository does not hold; asked for all at once."""
    pieces = {name: _split(found.pieces) for name, found in versions.items()}
    missing = index.missing([piece for own in pieces.values() for piece in own])
    return [name for name, own in pieces.items() if not missing.isdisjoint(own)] if missing else []


def _listing(
    seal: Seal, name: str, entries: Mapping[bytes, FolderEntry], versions: Mapping[bytes, RememberedFile]
) -> FolderListing:
    """The folder's own nodes, and those of its files that have more than one part."""
    nodes: list[NewNode] = []
    for file, entry in entries.items():
        if entry.content.levels:
            nodes += file_content(_split(versions[file].pieces), seal.blob_id)[1]
    tree, own = folder_tree(entries.values(), seal.blob_id)
    size = sum(entry.size for entry in entries.values())
    return FolderListing(StoredFolder(name, size, tree), [*nodes, *own])


def _entry(seal: Seal, name: bytes, found: RememberedFile) -> FolderEntry:
    content, _ = file_content(_split(found.pieces), seal.blob_id)
    return FolderEntry(name, found.size, found.mtime_ns, content)


def _remembered(version: FileVersion, sink: Sink, listed_at_ns: int) -> RememberedFile:
    return RememberedFile(
        size=sink.size,
        mtime_ns=version.mtime_ns,
        ctime_ns=version.ctime_ns,
        inode=version.inode,
        remembered_at_ns=listed_at_ns,
        pieces=b"".join(sink.pieces),
    )


def _as_listed(name: bytes, found: RememberedFile) -> FileVersion:
    return FileVersion(name, found.size, found.mtime_ns, found.ctime_ns, found.inode)


def _split(pieces: bytes) -> list[BlobId]:
    return [BlobId(pieces[start : start + BLOB_ID_BYTES]) for start in range(0, len(pieces), BLOB_ID_BYTES)]


def _chunks_of(path: Path, piece_bytes: int) -> Iterator[bytes]:
    """A file in chunks of many pieces."""
    at_once = max(1, _PAGES_AT_ONCE * 4096 // piece_bytes) * piece_bytes
    with path.open("rb") as file:
        while chunk := file.read(min(at_once, max(PART_BYTES, piece_bytes))):
            yield chunk


def _cut(chunk: bytes, piece_bytes: int) -> Iterator[bytes]:
    return (chunk[start : start + piece_bytes] for start in range(0, len(chunk), piece_bytes))
