"""The deletion archive: each deleted note kept once, whoever archives it and how often."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.deletion_archive import archive_notes, archived_notes
from storage.errors import Damaged
from storage.format.deletion_table import ArchivedNote, deletions_name, read_deletions, write_deletions
from storage.format.manifest import SnapshotId, profile_key
from storage.format.sealing import OpenSeal
from storage.repository import Repository, create_repository
from storage.stores.address import open_store

KEY = profile_key("Ada", "desk", "/home/ada")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SNAPSHOT = SnapshotId("20261122T120000Z-0a1b2c3d")
SEAL = OpenSeal(bytes(16))

notes = st.builds(
    ArchivedNote,
    key=st.binary(min_size=16, max_size=16),
    note_id=st.integers(-(2**63), 2**63 - 1),
    note_type_id=st.integers(-(2**63), 2**63 - 1),
    note_type=st.none() | st.text(),
    field_names=st.lists(st.text(), max_size=4).map(tuple),
    fields=st.lists(st.text(), max_size=4).map(tuple),
    archived_at=st.just(NOW),
    snapshot=st.just(SNAPSHOT),
)


def note(number: int) -> ArchivedNote:
    return ArchivedNote(number.to_bytes(16, "big"), number, 1, "Basic", ("Front",), (f"note {number}",), NOW, SNAPSHOT)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(open_store(str(tmp_path / "repository")))


@given(st.lists(notes, max_size=5))
def test_notes_come_back_as_they_were_archived(archived: list[ArchivedNote]) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    assert read_deletions(SEAL, name, write_deletions(SEAL, name, archived)) == archived


def test_a_note_is_archived_once_however_often_it_is_seen(repository: Repository) -> None:
    assert archive_notes(repository, KEY, [note(1), note(2), note(1)], NOW) == 2
    assert archive_notes(repository, KEY, [note(2), note(3)], NOW) == 1
    assert archive_notes(repository, KEY, [note(1), note(2), note(3)], NOW) == 0
    assert len(repository.store.list("deletions")) == 2
    assert {found.note_id for found in archived_notes(repository, KEY)} == {1, 2, 3}


def test_a_note_that_two_runs_archived_at_once_counts_once(repository: Repository) -> None:
    for random_bytes in (b"\0\0\0\1", b"\0\0\0\2"):
        name = deletions_name(KEY, NOW, random_bytes)
        repository.store.write(name, write_deletions(repository.seal, name, [note(1)]))
    assert archived_notes(repository, KEY) == [note(1)]


def test_the_archives_of_two_profiles_are_apart(repository: Repository) -> None:
    archive_notes(repository, KEY, [note(1)], NOW)
    assert archived_notes(repository, profile_key("Ben", "desk", "/home/ben")) == []


def test_text_that_is_no_valid_unicode_does_not_lose_the_note() -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    odd = ArchivedNote(bytes(16), 1, 1, None, (), ("a\ud800b",), NOW, SNAPSHOT)
    (back,) = read_deletions(SEAL, name, write_deletions(SEAL, name, [odd]))
    assert back.fields == ("a?b",)


@given(st.integers(min_value=0), st.integers(0, 7))
def test_a_flipped_bit_is_called_damage(place: int, bit: int) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    stored = bytearray(write_deletions(SEAL, name, [note(1)]))
    stored[place % len(stored)] ^= 1 << bit
    with pytest.raises(Damaged):
        read_deletions(SEAL, name, bytes(stored))


def test_a_file_under_the_name_of_another_is_called_damage() -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    stored = write_deletions(SEAL, name, [note(1)])
    with pytest.raises(Damaged):
        read_deletions(SEAL, deletions_name(KEY, NOW, b"\0\1\2\4"), stored)
