"""Taking files in: which pieces they are made of, and which of those a repository lacks.

First everything is identified, so that what is new is known before a byte is sent; then the new pieces are read once
more and stored. A file that changed in between is taken as it is when it is stored. Nothing is held in memory but a few
pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.file_memory import RememberedFile
from storage.format.blob import BLOB_ID_BYTES, PART_BYTES, BlobId, BlobKind
from storage.format.listing import FolderEntry, NewNode, Tree, file_content, folder_tree, pieces_tree
from storage.format.manifest import StoredFile, StoredFolder
from storage.format.sealing import Seal
from storage.index import Index
from storage.writing import WriteSession

_READERS = 4
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
    """Takes the parts of one file as it is read: names them, and stores them where a session is given."""

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
            self._session.add(BlobKind.DATA, piece, part)


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
class IdentifiedFolder:
    """A folder that is to be stored: its entries, the nodes that list them, and which files hold new pieces."""

    name: str
    entries: Mapping[bytes, FolderEntry]
    versions: Mapping[bytes, RememberedFile]
    tree: Tree
    nodes: Sequence[NewNode]
    new_files: Sequence[bytes]
    new_bytes: int
    bytes_read: int

    @property
    def stored(self) -> StoredFolder:
        """The folder as a manifest names it."""
        return StoredFolder(self.name, sum(entry.size for entry in self.entries.values()), self.tree)


def identify_file(
    seal: Seal, name: str, path: Path, *, kind: BlobKind, piece_bytes: int, advance: Callable[[int], None]
) -> IdentifiedFile:
    """Cut a private file that nobody changes into pieces of `piece_bytes`; `advance` hears of the bytes read."""
    pieces: list[BlobId] = []
    for piece in _pieces_of(path, piece_bytes):
        pieces.append(seal.blob_id(piece))
        advance(len(piece))
    tree, nodes = pieces_tree(pieces, seal.blob_id)
    return IdentifiedFile(StoredFile(name, path.stat().st_size, piece_bytes, tree), path, kind, pieces, nodes)


def store_file(session: WriteSession, index: Index, file: IdentifiedFile) -> None:
    """Store the pieces of a file that the repository lacks, and its listing."""
    lacking = index.missing(file.pieces)
    if lacking:
        for blob, piece in zip(file.pieces, _pieces_of(file.path, file.stored.piece_bytes), strict=True):
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
    advance: Callable[[int], None],
) -> IdentifiedFolder:
    """Find out what a folder is made of, which was listed at `listed_at_ns` (ns since the epoch).

    `known` holds the files whose last reading can be relied on; they are not read again, unless the repository lost
    their pieces. `advance` hears of the bytes of each file that is done, read or not.
    """
    entries: dict[bytes, FolderEntry] = {}
    versions: dict[bytes, RememberedFile] = {}
    bytes_read = 0

    lacking = set(_lacking(index, known))

    def identify(version: FileVersion) -> tuple[FileVersion, RememberedFile | None, bool]:
        remembered = known.get(version.name)
        if remembered is not None and version.name not in lacking:
            advance(version.size)
            return version, remembered, False
        sink = Sink(seal)
        found = read(version, sink)
        advance(version.size)
        return version, _remembered(found, sink, listed_at_ns) if found else None, True

    with ThreadPoolExecutor(_READERS, thread_name_prefix="identify") as pool:
        for version, found, was_read in pool.map(identify, files):
            if found is None:
                continue
            bytes_read += found.size if was_read else 0
            versions[version.name] = found
            entries[version.name] = _entry(seal, version.name, found)
    new_files = _lacking(index, versions)
    tree, nodes = _folder_nodes(seal, entries, versions)
    return IdentifiedFolder(
        name=name,
        entries=entries,
        versions=versions,
        tree=tree,
        nodes=nodes,
        new_files=new_files,
        new_bytes=sum(versions[file].size for file in new_files),
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
) -> IdentifiedFolder:
    """Store the pieces of a folder's new files and its listing; returns the folder as it was stored.

    `taken` hears of each new file that was read, whose pieces are on their way then.

    What is new is asked of `index` once more: it may have been read anew since the folder was identified.
    """
    entries, versions = dict(folder.entries), dict(folder.versions)
    bytes_read = folder.bytes_read
    for name in _lacking(index, versions):
        expected = versions[name]
        sink = Sink(seal, session)
        version = read(FileVersion(name, expected.size, expected.mtime_ns, expected.ctime_ns, expected.inode), sink)
        taken()
        if version is None:
            del entries[name], versions[name]
            continue
        found = _remembered(version, sink, expected.remembered_at_ns)
        bytes_read += found.size
        versions[name] = found
        entries[name] = _entry(seal, name, found)
    changed = entries != folder.entries
    tree, nodes = _folder_nodes(seal, entries, versions) if changed else (folder.tree, folder.nodes)
    store_nodes(session, nodes)
    return IdentifiedFolder(folder.name, entries, versions, tree, nodes, folder.new_files, folder.new_bytes, bytes_read)


def _lacking(index: Index, versions: Mapping[bytes, RememberedFile]) -> list[bytes]:
    """Which files have a piece that the repository does not hold; asked for all at once."""
    pieces = {name: _split(found.pieces) for name, found in versions.items()}
    missing = index.missing([piece for own in pieces.values() for piece in own])
    return [name for name, own in pieces.items() if not missing.isdisjoint(own)] if missing else []


def _folder_nodes(
    seal: Seal, entries: Mapping[bytes, FolderEntry], versions: Mapping[bytes, RememberedFile]
) -> tuple[Tree, list[NewNode]]:
    """The folder's own nodes, and those of its files that have more than one part."""
    nodes: list[NewNode] = []
    for name, entry in entries.items():
        if entry.content.levels:
            nodes += file_content(_split(versions[name].pieces), seal.blob_id)[1]
    tree, own = folder_tree(entries.values(), seal.blob_id)
    return tree, [*nodes, *own]


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


def _split(pieces: bytes) -> list[BlobId]:
    return [BlobId(pieces[start : start + BLOB_ID_BYTES]) for start in range(0, len(pieces), BLOB_ID_BYTES)]


def _pieces_of(path: Path, piece_bytes: int) -> Iterator[bytes]:
    at_once = max(1, _PAGES_AT_ONCE * 4096 // piece_bytes) * piece_bytes
    with path.open("rb") as file:
        while chunk := file.read(min(at_once, max(PART_BYTES, piece_bytes))):
            for start in range(0, len(chunk), piece_bytes):
                yield chunk[start : start + piece_bytes]
