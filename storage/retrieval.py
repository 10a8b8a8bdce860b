"""Getting files out: pieces are fetched in the order in which they lie in their packs, and checked on their way."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Collection, Container, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.errors import Damaged
from storage.format.blob import PART_BYTES, BlobId
from storage.format.listing import FolderEntry, file_content
from storage.format.manifest import StoredFile, StoredFolder
from storage.format.sealing import Seal
from storage.listings import Lost, read_folder, read_pieces
from storage.repository import Repository

_PARTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class FileAtHand:
    """A file on this computer in pieces of `piece_bytes`: what a stored one shares with it need not be fetched."""

    path: Path
    piece_bytes: int
    pieces: Sequence[BlobId]

    def those_of(self, wanted: Container[BlobId], seal: Seal) -> Iterator[tuple[BlobId, bytes]]:
        """Each of the pieces that are `wanted` once, as far as the file still holds it, and can be read."""
        given: set[BlobId] = set()
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            for number, piece in enumerate(self.pieces):
                if piece in given or piece not in wanted:
                    continue
                file.seek(number * self.piece_bytes)
                content = file.read(self.piece_bytes)
                if seal.blob_id(content) == piece:
                    given.add(piece)
                    yield piece, content


def retrieve_file(
    repository: Repository,
    file: StoredFile,
    target: Path,
    advance: Callable[[int], None],
    *,
    at_hand: FileAtHand | None = None,
) -> list[BlobId]:
    """Write a stored file to `target`, which must not exist; it is readable by its owner alone, and synced to disk.

    Returns the ids of its pieces, in order. `advance` hears of the bytes written; what is `at_hand` is not fetched.
    After an error an incomplete file is removed.
    """
    pieces = read_pieces(repository.read_nodes, file.pieces)
    places: dict[BlobId, list[int]] = {}
    for number, piece in enumerate(pieces):
        places.setdefault(piece, []).append(number)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            for piece, content in _from_nearest(repository, places, at_hand):
                for number in places[piece]:
                    if len(content) != _piece_length(file, number):
                        raise _wrong_length(file.name)
                    out.seek(number * file.piece_bytes)
                    out.write(content)
                    advance(len(content))
            out.truncate(file.size)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return pieces


def update_file(
    repository: Repository,
    file: StoredFile,
    target: Path,
    there: list[BlobId | None],
    advance: Callable[[int], None],
) -> None:
    """Make the private file `target` the stored `file`, where pieces of the same size are `there`, in order.

    Only what differs in its place is fetched, so that going through many states of a file costs what changed between
    them. `there` is kept in step with what is written, None where nobody knows: after an error too it tells what the
    file holds. `advance` hears of all bytes of the file, those that stay first.
    """
    pieces = read_pieces(repository.read_nodes, file.pieces)
    del there[len(pieces) :]
    there += [None] * (len(pieces) - len(there))
    places: dict[BlobId, list[int]] = {}
    staying = file.size
    for number, piece in enumerate(pieces):
        if there[number] != piece:
            places.setdefault(piece, []).append(number)
            staying -= _piece_length(file, number)
    advance(staying)
    try:
        with target.open("r+b") as out:
            for piece, content in repository.read(places):
                for number in places[piece]:
                    if len(content) != _piece_length(file, number):
                        raise _wrong_length(file.name)
                    out.seek(number * file.piece_bytes)
                    out.write(content)
                    there[number] = piece
                    advance(len(content))
            out.truncate(file.size)
    except OSError:
        # What a disk took that failed in between is known to nobody.
        there.clear()
        raise


def _piece_length(file: StoredFile, number: int) -> int:
    return min(file.piece_bytes, file.size - number * file.piece_bytes)


def _from_nearest(
    repository: Repository, wanted: Collection[BlobId], at_hand: FileAtHand | None
) -> Iterator[tuple[BlobId, bytes]]:
    left = set(wanted)
    if at_hand is not None:
        for piece, content in at_hand.those_of(wanted, repository.seal):
            left.discard(piece)
            yield piece, content
    yield from repository.read(left)


def folder_entries(repository: Repository, folder: StoredFolder, *, lost: Lost | None = None) -> Iterator[FolderEntry]:
    """The entries of a stored folder, by name; with `lost`, all that can be listed (see `read_folder`)."""
    if lost is None:
        return read_folder(repository.read_nodes, folder.entries)

    def fetch(blobs: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        return repository.read_nodes(blobs, damaged=lambda *_: None)

    return read_folder(fetch, folder.entries, lost=lost)


def retrieve_entries(
    repository: Repository,
    entries: Iterable[FolderEntry],
    write: Callable[[FolderEntry, Iterable[bytes]], None],
    *,
    writers: int = 1,
) -> list[FolderEntry]:
    """Hand each of `entries` with its content to `write`, in whatever order costs least.

    `write` runs beside the reading, in as many threads as there are `writers`: more than one where it waits for a disk.
    Damage in one stops no other: returned are, by name, the entries that can't be had whole. `write` meets that as a
    `Damaged` while it takes the content of one, or is not called for it at all.
    """
    single: dict[BlobId, list[FolderEntry]] = {}
    under_way: deque[Future[None]] = deque()
    damaged: list[FolderEntry] = []

    def attempt(entry: FolderEntry, parts: Iterable[bytes]) -> None:
        try:
            write(entry, _checked(entry, parts))
        except Damaged:
            damaged.append(entry)

    with ThreadPoolExecutor(writers, thread_name_prefix="write") as pool:
        for entry in entries:
            if entry.content.levels == 0 and entry.content.root is not None:
                single.setdefault(entry.content.root, []).append(entry)
            else:
                attempt(entry, _parts(repository, entry))
        try:
            for piece, content in repository.read(single, damaged=lambda piece, _: damaged.extend(single[piece])):
                for entry in single[piece]:
                    under_way.append(pool.submit(attempt, entry, (content,)))
                while len(under_way) > writers:
                    under_way.popleft().result()
            while under_way:
                under_way.popleft().result()
        finally:
            for waiting in under_way:
                waiting.cancel()
    return sorted(damaged, key=lambda entry: entry.name)


def stream_entries(
    repository: Repository, entries: Iterable[FolderEntry], *, damaged: Callable[[FolderEntry, Damaged], None]
) -> Generator[tuple[FolderEntry, Iterable[bytes]], None, None]:
    """Each of `entries` with its content, which is to be taken before the next one is asked for.

    First come those of one piece, in the order in which these lie in their packs, then the larger ones part by part: no
    more than a few requests' bytes are held. `damaged` hears of those that can't be had, which are not given; of a
    larger one that is known only on the way, so that taking its content may raise `Damaged`, which harms no other.
    """
    single: dict[BlobId, list[FolderEntry]] = {}
    larger: list[FolderEntry] = []
    for entry in entries:
        if entry.content.levels == 0 and entry.content.root is not None:
            single.setdefault(entry.content.root, []).append(entry)
        else:
            larger.append(entry)

    def lost(piece: BlobId, damage: Damaged) -> None:
        for entry in single[piece]:
            damaged(entry, damage)

    for piece, content in repository.read(single, damaged=lost):
        for entry in single[piece]:
            yield entry, _checked(entry, (content,))
    for entry in larger:
        yield entry, _checked(entry, _parts(repository, entry))


def holds_entry(seal: Seal, entry: FolderEntry, parts: Iterable[bytes]) -> bool:
    """Whether a file of these `parts` (`PART_BYTES` each, the last one shorter) is the one that `entry` stands for."""
    content, _ = file_content([seal.blob_id(part) for part in parts], seal.blob_id)
    return content == entry.content


def _parts(repository: Repository, entry: FolderEntry) -> Iterator[bytes]:
    pieces = read_pieces(repository.read_nodes, entry.content)
    for start in range(0, len(pieces), _PARTS_AT_ONCE):
        group = pieces[start : start + _PARTS_AT_ONCE]
        held = dict(repository.read(group))
        yield from (held[piece] for piece in group)


def _checked(entry: FolderEntry, parts: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > entry.size or len(part) > PART_BYTES:
            raise _wrong_length(entry.name.decode(errors="backslashreplace"))
        yield part
    if size != entry.size:
        raise _wrong_length(entry.name.decode(errors="backslashreplace"))


def _wrong_length(name: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: the pieces of {name} do not add up to its size",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
