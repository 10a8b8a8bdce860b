"""What is remembered of a snapshot's notes comes back as it was, or not at all."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.file_memory import FileMemory
from storage.format.manifest import SnapshotId
from tasks.known_notes import KnownNotes, known_in, remembered

SNAPSHOT = SnapshotId("20261122T120000Z-0a1b2c3d")


class Kept(FileMemory):
    """A memory that holds what it is given."""

    def __init__(self, notes: dict[str, str]) -> None:
        super().__init__(None)
        self._kept = notes

    def note(self, key: str) -> str | None:
        return self._kept.get(key)


@given(st.sets(st.integers(-(2**63), 2**63 - 1)))
def test_ids_come_back_as_they_were(ids: set[int]) -> None:
    known = KnownNotes(SNAPSHOT, array("q", sorted(ids)))
    assert known_in(Kept(remembered(known))) == known


def test_they_outlive_the_run(tmp_path: Path) -> None:
    known = KnownNotes(SNAPSHOT, array("q", [1, 2, 3]))
    FileMemory(tmp_path / "memory.sqlite").keep({}, {}, remembered(known))
    assert known_in(FileMemory(tmp_path / "memory.sqlite")) == known
    assert known_in(FileMemory(tmp_path / "another.sqlite")) is None


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_letter_that_changed_is_found_out_or_changes_nothing(place: int, letter: str) -> None:
    known = KnownNotes(SNAPSHOT, array("q", range(1_600_000_000_000, 1_600_000_300_000, 999)))
    ((key, text),) = remembered(known).items()
    place = len(SNAPSHOT) + 1 + place % (len(text) - len(SNAPSHOT) - 1)
    found = known_in(Kept({key: text[:place] + letter + text[place + 1 :]}))
    assert found is None or found == known


@pytest.mark.parametrize("text", ["", " ", "yesterday 000", f"{SNAPSHOT}", f"{SNAPSHOT} ", f"{SNAPSHOT} \u2603"])
def test_what_is_no_memory_of_notes_counts_as_none(text: str) -> None:
    ((key, _),) = remembered(KnownNotes(SNAPSHOT, array("q"))).items()
    assert known_in(Kept({key: text})) is None


def test_a_hundred_thousand_notes_take_little_room() -> None:
    luck = random.Random(7)
    ids = array("q", sorted(luck.randrange(1_500_000_000_000, 1_800_000_000_000) for _ in range(100_000)))
    ((_, text),) = remembered(KnownNotes(SNAPSHOT, ids)).items()
    assert len(text) < 800_000
