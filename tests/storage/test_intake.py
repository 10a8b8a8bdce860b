"""Taking files in: what is read, what is stored, and what a file that changes meanwhile becomes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from storage.errors import Damaged
from storage.file_memory import RememberedFile
from storage.format.blob import PART_BYTES, BlobId, BlobKind, pack_name
from storage.format.listing import FolderEntry
from storage.format.manifest import Manifest, StoredFile, new_snapshot_id
from storage.intake import (
    FileVersion,
    IdentifiedFolder,
    Sink,
    TakenFolder,
    identify_file,
    identify_folder,
    store_file,
    store_folder,
)
from storage.listings import read_folder, read_pieces
from storage.opening import create_repository
from storage.repository import Repository
from storage.retrieval import FileAtHand, folder_entries, holds_entry, retrieve_entries, retrieve_file, update_file
from storage.stores.address import open_store
from tests.storage.small_backup import FIRST_MOMENT, PROFILE

LISTED_AT_NS = 1_700_000_000_000_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(open_store(str(tmp_path / "repository")))


class Folder:
    """Files by name that can be listed and read, and counts its readings."""

    def __init__(self, files: Mapping[bytes, bytes]) -> None:
        self.files = dict(files)
        self.reads: list[bytes] = []
        self.before_read: Callable[[bytes], None] = lambda _: None

    def versions(self) -> list[FileVersion]:
        return [self.version(name) for name in sorted(self.files)]

    def version(self, name: bytes) -> FileVersion:
        return FileVersion(name, len(self.files[name]), hash(self.files[name]) & 0xFFFF, 0, 1)

    def read(self, version: FileVersion, sink: Sink) -> FileVersion | None:
        self.reads.append(version.name)
        self.before_read(version.name)
        content = self.files.get(version.name)
        if content is None:
            return None
        sink.take(b"a first try that came to nothing") if content else None
        sink.restart()
        for start in range(0, len(content), PART_BYTES):
            sink.take(content[start : start + PART_BYTES])
        return self.version(version.name)


def identified(
    repository: Repository, folder: Folder, known: Mapping[bytes, RememberedFile] | None = None
) -> IdentifiedFolder:
    return identify_folder(
        repository.seal,
        repository.index(),
        "collection.media",
        files=folder.versions(),
        known=known or {},
        listed_at_ns=LISTED_AT_NS,
        read=folder.read,
        advance=lambda _size, _files: None,
    )


def stored(repository: Repository, folder: Folder, found: IdentifiedFolder) -> TakenFolder:
    with repository.write(uploads=2) as session:
        after = store_folder(session, repository.seal, repository.index(), found, folder.read)
        session.close()
    return after


def contents(repository: Repository, folder: TakenFolder) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}

    def keep(entry: FolderEntry, parts: Iterable[bytes]) -> None:
        found[entry.name] = b"".join(parts)

    retrieve_entries(repository, read_folder(repository.read, folder.listing.stored.entries), keep)
    return found


def some_files(seed: int = 1) -> dict[bytes, bytes]:
    source = random.Random(seed)
    files = {f"{number:03}.jpg".encode(): source.randbytes(source.randrange(1, 9000)) for number in range(50)}
    return files | {b"empty": b"", b"same": files[b"003.jpg"], b"long.mp4": source.randbytes(2 * PART_BYTES + 5)}


def test_a_folder_comes_back_as_it_went_in_with_empty_equal_and_long_files(repository: Repository) -> None:
    folder = Folder(some_files())
    after = stored(repository, folder, identified(repository, folder))
    assert contents(repository, after) == folder.files
    assert after.listing.stored.size == sum(map(len, folder.files.values()))


def test_a_file_that_can_be_relied_on_is_not_read_again(repository: Repository) -> None:
    folder = Folder(some_files())
    first = stored(repository, folder, identified(repository, folder))
    folder.reads.clear()
    folder.files[b"new.png"] = b"new"
    second = identified(repository, folder, known=first.versions)
    assert second.unread == [folder.version(b"new.png")]
    assert (second.new_files, second.new_bytes) == (1, 3)
    stored(repository, folder, second)
    assert folder.reads == [b"new.png"]


def test_what_must_be_new_is_read_once_and_what_may_be_stored_is_read_to_know(repository: Repository) -> None:
    folder = Folder({b"long": bytes(PART_BYTES) + b"tail", b"short": b"abc", b"empty": b""})
    found = identified(repository, folder)
    assert folder.reads == [b"empty"]
    assert found.listing is None
    assert (found.new_files, found.new_bytes) == (2, PART_BYTES + 7)
    stored(repository, folder, found)
    assert sorted(folder.reads) == [b"empty", b"long", b"short"]
    folder.reads.clear()
    folder.files = {b"same": b"abc", b"alike": b"xyz", b"other": bytes(PART_BYTES) + b"tails"}
    again = identified(repository, folder)
    assert sorted(folder.reads) == [b"alike", b"same"]
    assert (again.new_files, again.new_bytes) == (2, 3 + PART_BYTES + 5)
    assert contents(repository, stored(repository, folder, again)) == folder.files


def test_a_remembered_file_whose_pieces_the_repository_lost_is_read_and_stored_again(repository: Repository) -> None:
    folder = Folder(some_files())
    first = stored(repository, folder, identified(repository, folder))
    for item in repository.store.list("packs"):
        repository.store.remove(item.name)
    repository.forget_index()
    second = stored(repository, folder, identified(repository, folder, known=first.versions))
    assert contents(repository, second) == folder.files


def test_a_file_that_changed_after_it_was_identified_is_stored_as_it_is_then(repository: Repository) -> None:
    folder = Folder(some_files())
    found = identified(repository, folder)
    folder.files[b"007.jpg"] = b"changed meanwhile"
    del folder.files[b"008.jpg"]
    after = stored(repository, folder, found)
    assert contents(repository, after) == folder.files


def test_a_file_that_vanishes_while_it_is_identified_is_left_out(repository: Repository) -> None:
    folder = Folder(some_files())
    folder.before_read = lambda name: folder.files.pop(b"009.jpg", None) and None if name == b"009.jpg" else None
    after = stored(repository, folder, identified(repository, folder))
    assert b"009.jpg" not in after.entries
    assert contents(repository, after) == folder.files


def test_a_whole_file_comes_back_at_any_length_and_piece_size(repository: Repository, tmp_path: Path) -> None:
    for size, piece in ((0, 4096), (1, 4096), (4096, 4096), (3 * 65536, 65536), (1_000_003, 4096)):
        path = tmp_path / f"in-{size}-{piece}"
        path.write_bytes(random.Random(size).randbytes(size // 2) + bytes(size - size // 2))
        file = identify_file(
            repository.seal, "collection.anki2", path, kind=BlobKind.PAGE, piece_bytes=piece, advance=lambda _: None
        )
        with repository.write(uploads=1) as session:
            store_file(session, repository.index(), file)
            session.close()
        out = tmp_path / f"out-{size}-{piece}"
        advanced: list[int] = []
        retrieve_file(repository, file.stored, out, advanced.append)
        assert out.read_bytes() == path.read_bytes()
        assert sum(advanced) == size


def test_pieces_at_hand_are_not_fetched_and_those_that_changed_since_are(
    repository: Repository, tmp_path: Path
) -> None:
    stored, at_hand = random.Random(1).randbytes(4096 * 9 + 5), tmp_path / "at hand"
    at_hand.write_bytes(stored)
    identified = identify_file(
        repository.seal, "collection", at_hand, kind=BlobKind.PAGE, piece_bytes=4096, advance=lambda _: None
    )
    with repository.write(uploads=1) as session:
        store_file(session, repository.index(), identified)
        session.close()
    at_hand.write_bytes(stored[: 4096 * 4] + bytes(4096) + stored[4096 * 5 :])
    asked: list[frozenset[bytes]] = []
    read = repository.read

    def watched(blobs: Iterable[BlobId], **options: Any) -> Iterator[tuple[BlobId, bytes]]:
        wanted = frozenset(blobs)
        asked.append(wanted)
        return read(wanted, **options)

    repository.read = watched  # type: ignore[method-assign]
    near = FileAtHand(at_hand, 4096, identified.pieces)
    retrieve_file(repository, identified.stored, tmp_path / "out", lambda _: None, at_hand=near)
    assert (tmp_path / "out").read_bytes() == stored
    assert asked[-1] == {identified.pieces[4]}


def kept(repository: Repository, path: Path, content: bytes) -> StoredFile:
    """A file of pages, stored."""
    path.write_bytes(content)
    identified = identify_file(
        repository.seal, "collection", path, kind=BlobKind.PAGE, piece_bytes=4096, advance=lambda _: None
    )
    with repository.write(uploads=1) as session:
        store_file(session, repository.index(), identified)
        session.close()
    repository.forget_index()
    return identified.stored


def test_a_file_becomes_one_state_after_the_other_and_only_what_differs_is_fetched(
    repository: Repository, tmp_path: Path
) -> None:
    pages = [random.Random(number).randbytes(4096) for number in range(300)]
    states = [
        b"".join(pages[:200]),
        b"".join([*pages[:7], pages[250], *pages[8:210]]),
        b"".join([*pages[:7], pages[250], *pages[8:50]]),
        b"",
        b"".join([pages[1], pages[1], *pages[2:90]]) + b"the end",
    ]
    stored = [kept(repository, tmp_path / f"in-{number}", content) for number, content in enumerate(states)]
    asked: list[int] = []
    read = repository.read

    def watched(blobs: Iterable[BlobId], **options: Any) -> Iterator[tuple[BlobId, bytes]]:
        wanted = list(blobs)
        asked.append(len(wanted))
        return read(wanted, **options)

    there: list[BlobId | None] = []
    out = tmp_path / "out"
    out.touch()
    fetched = []
    for file, content in zip(stored, states, strict=True):
        advanced: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(repository, "read", watched)
            patch.setattr(repository, "read_nodes", read)
            update_file(repository, file, out, there, advanced.append)
        assert out.read_bytes() == content
        assert sum(advanced) == file.size
        fetched.append(asked[-1])
    assert fetched == [200, 11, 0, 0, 90]


def test_what_a_file_holds_is_known_after_damage_too(repository: Repository, tmp_path: Path) -> None:
    first, second = (random.Random(seed).randbytes(4096 * 60) for seed in (1, 2))
    whole = kept(repository, tmp_path / "first", first)
    packs = {pack.name for pack in repository.store.list("packs")}
    damaged = kept(repository, tmp_path / "second", second[: 4096 * 30] + first[4096 * 30 :])
    # What listings need may lie in a pack of its own.
    new = [pack for pack in repository.store.list("packs") if pack.name not in packs]
    largest = max(new, key=lambda pack: pack.size)
    content = bytearray(repository.store.read(largest.name))
    content[len(content) // 2] ^= 1
    repository.store.write(largest.name, bytes(content))
    there: list[BlobId | None] = []
    out = tmp_path / "out"
    out.touch()
    update_file(repository, whole, out, there, lambda _: None)
    with pytest.raises(Damaged):
        update_file(repository, damaged, out, there, lambda _: None)
    update_file(repository, whole, out, there, lambda _: None)
    assert out.read_bytes() == first


def test_nothing_is_known_of_a_file_once_its_disk_has_failed(repository: Repository, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(4096 * 60)
    whole = kept(repository, tmp_path / "whole", content)
    there: list[BlobId | None] = []
    out = tmp_path / "out"
    out.touch()

    def fails(amount: int) -> None:
        if amount:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        update_file(repository, whole, out, there, fails)
    out.write_bytes(bytes(4096 * 70))
    update_file(repository, whole, out, there, lambda _: None)
    assert out.read_bytes() == content


def test_a_file_that_could_not_be_fetched_whole_leaves_nothing_behind(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(random.Random(1).randbytes(50_000))
    file = identify_file(
        repository.seal, "collection.anki2", path, kind=BlobKind.PAGE, piece_bytes=4096, advance=lambda _: None
    )
    with repository.write(uploads=1) as session:
        store_file(session, repository.index(), file)
        session.close()
    for pack in repository.store.list("packs"):
        damaged = bytearray(repository.store.read(pack.name))
        damaged[1000] ^= 1
        repository.store.write(pack.name, bytes(damaged))
    with pytest.raises(Exception, match="Damage in the repository"):
        retrieve_file(repository, file.stored, tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()


def test_an_entry_whose_size_does_not_fit_its_pieces_is_called_damage(repository: Repository) -> None:
    folder = Folder({b"a.jpg": b"content"})
    after = stored(repository, folder, identified(repository, folder))
    entry = after.entries[b"a.jpg"]
    for wrong in (entry.size - 1, entry.size + 1):
        lying = FolderEntry(entry.name, wrong, entry.mtime_ns, entry.content)
        met: list[Damaged] = []

        def write(_: FolderEntry, parts: Iterable[bytes], met: list[Damaged] = met) -> None:
            try:
                list(parts)
            except Damaged as trouble:
                met.append(trouble)
                raise

        assert retrieve_entries(repository, [lying], write) == [lying]
        assert "do not add up" in met[0].problem


def test_damage_to_some_files_leaves_all_others_to_be_had(repository: Repository) -> None:
    folder = Folder(some_files())
    after = stored(repository, folder, identified(repository, folder))
    long, hit = read_pieces(repository.read, after.entries[b"long.mp4"].content)[1], after.entries[b"003.jpg"].content
    assert hit.root is not None
    for blob in (long, hit.root):
        place = repository.index().find(blob)
        assert place is not None
        spoiled = bytearray(repository.store.read(pack_name(place.pack)))
        spoiled[place.offset + place.stored // 2] ^= 1
        repository.store.write(pack_name(place.pack), bytes(spoiled))

    found: dict[bytes, bytes] = {}

    def keep(entry: FolderEntry, parts: Iterable[bytes]) -> None:
        found[entry.name] = b"".join(parts)

    damaged = retrieve_entries(repository, after.entries.values(), keep)
    assert [entry.name for entry in damaged] == [b"003.jpg", b"long.mp4", b"same"]
    assert found == {
        name: content for name, content in folder.files.items() if name not in {b"003.jpg", b"long.mp4", b"same"}
    }


def test_a_file_is_told_from_another_by_its_content(repository: Repository) -> None:
    folder = Folder(some_files())
    after = stored(repository, folder, identified(repository, folder))
    long = folder.files[b"long.mp4"]
    parts = [long[start : start + PART_BYTES] for start in range(0, len(long), PART_BYTES)]
    assert holds_entry(repository.seal, after.entries[b"long.mp4"], parts)
    assert not holds_entry(repository.seal, after.entries[b"long.mp4"], [*parts[:-1], b"other"])
    assert holds_entry(repository.seal, after.entries[b"empty"], [])


def test_the_entries_of_a_committed_folder_are_found_through_its_manifest(repository: Repository) -> None:
    folder = Folder(some_files())
    after = stored(repository, folder, identified(repository, folder))
    identity = new_snapshot_id(FIRST_MOMENT, b"\1\2\3\4")
    manifest = Manifest(
        identity, "Ada", PROFILE, "desk", "/home", FIRST_MOMENT, None, (), (after.listing.stored,), {"notes": 1}
    )
    ref, _ = repository.commit(manifest)
    again = repository.manifest(ref).folder("collection.media")
    assert again is not None
    assert {entry.name for entry in folder_entries(repository, again)} == set(folder.files)
    assert not any(isinstance(file, StoredFile) for file in repository.manifest(ref).files)
