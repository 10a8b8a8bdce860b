"""The deletion archive: each deleted note kept once, whoever archives it and how often."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import deletion_archive
from storage.deletion_archive import archive_notes, archived_notes
from storage.errors import Damaged
from storage.format.deletion_table import (
    DELETIONS_SCHEMA,
    ArchivedNote,
    How,
    deletions_name,
    read_deletions,
    read_sightings,
    write_deletions,
)
from storage.format.manifest import SnapshotId, profile_key
from storage.format.sealing import OpenSeal, Purpose
from storage.opening import create_repository, open_repository
from storage.repository import Repository
from storage.stores.address import open_store
from tests.faults.faulty_store import FaultyStore

KEY = profile_key("Ada", "desk", "/home/ada")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SNAPSHOT = SnapshotId("20261122T120000Z-0a1b2c3d")
SEAL = OpenSeal(bytes(16))

EARLIER = SnapshotId("20261121T120000Z-0a1b2c3d")

texts = st.lists(st.text(), max_size=4).map(tuple)
integers = st.integers(-(2**63), 2**63 - 1)
notes = st.builds(
    ArchivedNote,
    key=st.binary(min_size=16, max_size=16),
    note_id=integers,
    guid=st.none() | st.text(),
    note_type_id=integers,
    note_type=st.none() | st.text(),
    field_names=texts,
    fields=texts,
    tags=st.none() | texts,
    deck=st.none() | st.text(),
    modified_s=st.none() | integers,
    how=st.just(How.LOG),
    gone_in=st.just(SNAPSHOT),
    seen_at=st.just(NOW),
) | st.builds(
    ArchivedNote,
    key=st.binary(min_size=16, max_size=16),
    note_id=integers,
    note_type_id=integers,
    note_type=st.text(),
    field_names=texts,
    fields=texts,
    how=st.sampled_from([How.DELETED, How.REPLACED]),
    last_snapshot=st.just(EARLIER),
    gone_in=st.just(SNAPSHOT),
    seen_at=st.just(NOW),
)


def note(number: int) -> ArchivedNote:
    return ArchivedNote(
        key=number.to_bytes(16, "big"),
        note_id=number,
        note_type_id=1,
        note_type="Basic",
        field_names=("Front",),
        fields=(f"note {number}",),
        how=How.LOG,
        gone_in=SNAPSHOT,
        seen_at=NOW,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(open_store(str(tmp_path / "repository")))


@given(st.lists(notes, max_size=5))
def test_notes_come_back_as_they_were_archived(archived: list[ArchivedNote]) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    assert read_deletions(SEAL, name, write_deletions(SEAL, name, archived)) == archived


def test_a_note_is_archived_once_however_often_it_is_seen(repository: Repository) -> None:
    assert archive_notes(repository, KEY, [note(1), note(2), note(1)], now=NOW) == {1, 2}
    assert archive_notes(repository, KEY, [note(2), note(3)], now=NOW) == {3}
    assert archive_notes(repository, KEY, [note(1), note(2), note(3)], now=NOW) == set()
    assert len(repository.store.list("deletions")) == 2
    assert {found.note_id for found in archived_notes(repository, KEY)} == {1, 2, 3}


@given(st.lists(notes, max_size=5))
def test_sightings_are_read_without_the_notes(archived: list[ArchivedNote]) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    assert read_sightings(SEAL, name, write_deletions(SEAL, name, archived)) == [
        (note.key, note.note_id, note.guid, note.last_snapshot, note.gone_in) for note in archived
    ]


def test_no_note_is_read_to_know_which_ones_are_archived(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_notes(repository, KEY, [note(1), note(2)], now=NOW)
    with monkeypatch.context() as blind:
        blind.setattr(deletion_archive, "read_deletions", lambda *_: pytest.fail("notes were read"))
        assert archive_notes(repository, KEY, [note(2), note(3)], now=NOW) == {3}
    assert {found.note_id for found in archived_notes(repository, KEY)} == {1, 2, 3}


def test_no_notes_are_no_reason_to_look_at_the_archive(repository: Repository) -> None:
    store = FaultyStore(repository.store)
    repository.store = store
    assert archive_notes(repository, KEY, [], now=NOW) == set()
    assert store.requests == []


def test_a_file_of_the_archive_is_fetched_once(tmp_path: Path) -> None:
    place = open_store(str(tmp_path / "repository"))
    archive_notes(create_repository(place), KEY, [note(1)], now=NOW)
    repository = open_repository(place, tmp_path / "cache")
    store = repository.store = FaultyStore(place)
    archive_notes(repository, KEY, [note(2)], now=NOW)
    assert {found.note_id for found in archived_notes(repository, KEY)} == {1, 2}
    assert (store.count("read"), store.count("list")) == (1, 2)


def test_copies_of_files_that_were_sealed_anew_are_let_go(tmp_path: Path) -> None:
    place = open_store(str(tmp_path / "repository"))
    create_repository(place)
    repository = open_repository(place, tmp_path / "cache")
    archive_notes(repository, KEY, [note(1)], now=NOW)
    ((name, _),) = [(item.name, item.size) for item in place.list("deletions")]
    place.remove(name)
    assert repository.cache.get(name) is not None
    assert archived_notes(repository, KEY) == []
    assert repository.cache.get(name) is None


def test_notes_are_written_as_they_come(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion_archive, "_FILE_BYTES", 1)

    def coming() -> Iterator[ArchivedNote]:
        for number in range(1, 5):
            yield note(number)
            assert len(repository.store.list("deletions")) == number

    archive_notes(repository, KEY, coming(), now=NOW)


def test_a_note_that_two_runs_archived_at_once_counts_once(repository: Repository) -> None:
    for random_bytes in (b"\0\0\0\1", b"\0\0\0\2"):
        name = deletions_name(KEY, NOW, random_bytes)
        repository.store.write(name, write_deletions(repository.seal, name, [note(1)]))
    assert archived_notes(repository, KEY) == [note(1)]


def test_the_archives_of_two_profiles_are_apart(repository: Repository) -> None:
    archive_notes(repository, KEY, [note(1)], now=NOW)
    assert archived_notes(repository, profile_key("Ben", "desk", "/home/ben")) == []


def test_text_that_is_no_valid_unicode_does_not_lose_the_note() -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    text = "a\ud800b"
    odd = replace(note(1), guid=text, note_type=text, field_names=(text,), fields=(text,), tags=(text,), deck=text)
    (back,) = read_deletions(SEAL, name, write_deletions(SEAL, name, [odd]))
    assert {back.guid, back.note_type, back.deck, *back.field_names, *back.fields, *(back.tags or ())} == {"a?b"}


@given(st.integers(min_value=0), st.integers(0, 7))
def test_a_flipped_bit_is_called_damage(place: int, bit: int) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    stored = bytearray(write_deletions(SEAL, name, [note(1)]))
    stored[place % len(stored)] ^= 1 << bit
    with pytest.raises(Damaged):
        read_deletions(SEAL, name, bytes(stored))


def damaged_file(repository: Repository) -> str:
    name = deletions_name(KEY, NOW, b"\xff\0\0\0")
    repository.store.write(name, b"nonsense")
    return name


def test_a_damaged_file_is_passed_over_and_named_and_the_others_still_count(repository: Repository) -> None:
    archive_notes(repository, KEY, [note(1)], now=NOW)
    name = damaged_file(repository)
    remarks: list[str] = []
    assert archive_notes(repository, KEY, [note(1), note(2)], now=NOW, remarks=remarks) == {2}
    assert len(remarks) == 1
    assert name in remarks[0]
    again: list[str] = []
    assert {found.note_id for found in archived_notes(repository, KEY, remarks=again)} == {1, 2}
    assert again == remarks
    assert len(archived_notes(repository, KEY)) == 2


def test_many_or_long_notes_go_into_several_files(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion_archive, "_FILE_BYTES", 100)
    assert archive_notes(repository, KEY, [note(number) for number in range(20)], now=NOW) == set(range(20))
    assert len(repository.store.list("deletions")) > 4
    assert {found.note_id for found in archived_notes(repository, KEY)} == set(range(20))


def sealed(rows: list[dict[str, object]], name: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=DELETIONS_SCHEMA), sink, compression="zstd")
    return SEAL.seal(Purpose.DELETIONS, name.encode(), sink.getvalue())


ROW: dict[str, object] = {
    "key": b"k",
    "note_id": 1,
    "guid": None,
    "note_type_id": 1,
    "note_type": None,
    "field_names": ["Front"],
    "fields": ["a"],
    "tags": None,
    "deck": None,
    "modified_s": None,
    "how": "log",
    "last_snapshot": None,
    "gone_in": SNAPSHOT,
    "seen_at": NOW,
}
LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    "rows",
    [
        [ROW | {"seen_at": 2**62}],
        [ROW | {"seen_at": -(2**62)}],
        [ROW | {"seen_at": -1}],
        [ROW] * 200_000,
        [ROW | {"fields": [LONG] * 300}],
        [ROW | {"tags": [LONG] * 300}],
        [ROW | {"note_type": LONG}] * 300,
        [ROW | {"deck": LONG}] * 300,
        [ROW | {"fields": [None]}],
        [ROW | {"field_names": [None]}],
        [ROW | {"tags": ["a", None]}],
        [ROW | {"how": "eaten"}],
        [ROW | {"how": "deleted"}],
        [ROW | {"last_snapshot": EARLIER}],
        [ROW | {"gone_in": "../../etc"}],
        [ROW | {"how": "replaced", "last_snapshot": "yesterday"}],
    ],
    ids=[
        *("far future", "far past", "before 1970", "rows", "fields", "tags", "note types", "decks"),
        *("no field", "no field name", "no tag", "no such way", "compared with nothing", "logged and compared"),
        *("no snapshot", "no last snapshot"),
    ],
)
def test_a_table_that_can_not_be_or_is_a_bomb_is_called_damage(rows: list[dict[str, object]]) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    assert read_deletions(SEAL, name, sealed([ROW], name))[0].key == b"k"
    stored = sealed(rows, name)
    assert len(stored) < 100_000
    with pytest.raises(Damaged, match="no table of deleted notes"):
        read_deletions(SEAL, name, stored)


@pytest.mark.parametrize("rows", [[ROW] * 200_000, [ROW | {"key": LONG.encode()}] * 300])
def test_keys_that_are_a_bomb_are_not_read(rows: list[dict[str, object]]) -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    stored = sealed(rows, name)
    assert len(stored) < 100_000
    with pytest.raises(Damaged, match="no table of deleted notes"):
        read_sightings(SEAL, name, stored)


def test_a_file_under_the_name_of_another_is_called_damage() -> None:
    name = deletions_name(KEY, NOW, b"\0\1\2\3")
    stored = write_deletions(SEAL, name, [note(1)])
    with pytest.raises(Damaged):
        read_deletions(SEAL, deletions_name(KEY, NOW, b"\0\1\2\4"), stored)
