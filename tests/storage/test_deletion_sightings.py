"""A deletion seen by several, or again and again, is told once: the note as it was when it last went."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.deletion_sightings import Sightings, each_note_once
from storage.format.deletion_table import ArchivedNote, How, Sighting
from storage.format.manifest import SnapshotId, new_snapshot_id, snapshot_time

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAYS = [new_snapshot_id(NOON + timedelta(days=day), bytes((day, 0, 7, 7))) for day in range(6)]


def logged(day: int, *fields: str, note_id: int = 1, note_type: str | None = "Basic") -> ArchivedNote:
    """What deleted.txt tells in the backup of a day."""
    return ArchivedNote(
        key=f"log {note_id} {fields}".encode(),
        note_id=note_id,
        note_type_id=7,
        note_type=note_type,
        field_names=("Front", "Back") if note_type else (),
        fields=fields,
        how=How.LOG,
        gone_in=DAYS[day],
        seen_at=snapshot_time(DAYS[day]),
    )


def compared(
    held: int, gone: int, *fields: str, note_id: int = 1, how: How = How.DELETED, guid: str = "true guid"
) -> ArchivedNote:
    """What the snapshots of two days tell."""
    return ArchivedNote(
        key=f"compared {note_id} {held} {gone}".encode(),
        note_id=note_id,
        guid=guid,
        note_type_id=7,
        note_type="Basic",
        field_names=("Front", "Back"),
        fields=fields,
        tags=("tag",),
        deck="Deck",
        modified_s=1,
        how=how,
        last_snapshot=DAYS[held],
        gone_in=DAYS[gone],
        seen_at=snapshot_time(DAYS[gone]),
    )


def once(*rows: ArchivedNote) -> ArchivedNote:
    (note,) = each_note_once(rows)
    assert each_note_once(rows[::-1]) == [note]
    return note


def test_what_only_one_side_saw_is_told_as_it_is() -> None:
    assert once(logged(1, "a", "b")) == logged(1, "a", "b")
    assert once(compared(0, 1, "a", "b")) == compared(0, 1, "a", "b")


def test_what_both_saw_has_the_snapshots_fields_guid_deck_and_tags_and_the_logs_way() -> None:
    # The log's row had tabs inside a field, and was cut in the wrong place.
    note = once(logged(2, "a\tb", "c"), compared(1, 2, "a", "b\tc"))
    assert (note.fields, note.guid, note.deck, note.tags) == (("a", "b\tc"), "true guid", "Deck", ("tag",))
    assert (note.how, note.last_snapshot, note.gone_in, note.modified_s) == (How.LOG, DAYS[1], DAYS[2], 1)


def test_a_log_that_has_lost_tabs_at_its_end_says_the_same() -> None:
    assert once(logged(2, "a"), compared(1, 2, "a", "")).fields == ("a", "")


def test_a_text_changed_after_the_last_snapshot_is_the_logs() -> None:
    note = once(logged(2, "newer", "b"), compared(1, 2, "older", "b"))
    assert (note.fields, note.field_names, note.note_type) == (("newer", "b"), ("Front", "Back"), "Basic")
    assert (note.guid, note.deck, note.last_snapshot, note.modified_s) == ("true guid", "Deck", DAYS[1], None)


@pytest.mark.parametrize(
    ("fields", "names"), [(("newer", "b"), ("Front", "Back")), (("newer", "b", "c"), ())], ids=["two", "three"]
)
def test_a_note_type_that_went_as_well_is_known_from_the_snapshot(
    fields: tuple[str, ...], names: tuple[str, ...]
) -> None:
    note = once(logged(2, *fields, note_type=None), compared(1, 2, "older", "b"))
    assert (note.note_type, note.field_names, note.fields) == ("Basic", names, fields)


def test_a_log_that_was_read_late_tells_of_the_same_deletion() -> None:
    note = once(logged(4, "a", "b"), compared(1, 2, "a", "b"))
    assert (note.how, note.last_snapshot, note.gone_in) == (How.LOG, DAYS[1], DAYS[2])
    assert note.seen_at == snapshot_time(DAYS[2])


def test_a_log_that_was_read_before_a_late_comparison_says_when() -> None:
    note = once(logged(2, "a", "b"), compared(1, 4, "a", "b"))
    assert (note.gone_in, note.seen_at) == (DAYS[2], snapshot_time(DAYS[2]))


def test_a_note_that_came_back_and_went_another_way_is_told_as_it_was_then() -> None:
    first, again = logged(1, "first", ""), compared(3, 4, "again", "", how=How.REPLACED)
    assert once(first, compared(0, 1, "first", ""), again) == again


def test_of_several_deletions_the_last_one_counts() -> None:
    assert once(logged(1, "first", ""), logged(3, "again", "")).fields == ("again", "")
    assert once(compared(0, 1, "first", ""), compared(2, 3, "again", "")).fields == ("again", "")


def test_in_one_backup_the_log_tells_the_order() -> None:
    rows = [logged(1, "first", ""), logged(1, "again", "")]
    assert [note.fields for note in each_note_once(rows)] == [("again", "")]


def test_the_state_of_the_last_snapshot_that_held_it_counts_however_far_apart_two_were() -> None:
    exact, wide = compared(2, 3, "newer", ""), compared(0, 5, "older", "")
    assert once(exact, wide) == exact
    assert once(compared(2, 3, "newer", ""), compared(2, 5, "newer", "")).gone_in == DAYS[3]


def test_a_note_that_got_the_id_of_one_that_is_gone_does_not_hide_it() -> None:
    older, newer = compared(0, 1, "old", "one", guid="a"), compared(3, 4, "new", "one", guid="b")
    assert each_note_once([older, newer]) == each_note_once([newer, older]) == [older, newer]


def test_the_log_tells_of_the_note_that_had_the_id_last_by_then() -> None:
    older, newer = compared(0, 1, "old", "one", guid="a"), compared(3, 4, "new", "one", guid="b")
    first, second = each_note_once([logged(1, "old", "one"), older, newer])
    assert (first.how, first.guid, first.fields) == (How.LOG, "a", ("old", "one"))
    assert second == newer
    first, second = each_note_once([older, newer, logged(4, "new", "one")])
    assert first == older
    assert (second.how, second.guid) == (How.LOG, "b")
    both = each_note_once([logged(1, "old", "one"), logged(4, "new", "one"), older, newer])
    assert [(note.how, note.guid, note.fields) for note in both] == [
        (How.LOG, "a", ("old", "one")),
        (How.LOG, "b", ("new", "one")),
    ]


def test_a_comparison_of_another_note_of_that_id_is_new() -> None:
    held = Sightings([as_sighting(compared(2, 3, "new", guid="b"))])
    assert not held.takes(compared(1, 4, "new", guid="b"))
    assert held.takes(compared(0, 3, "old", guid="a"))


def test_notes_come_in_the_order_in_which_they_were_seen_to_go() -> None:
    rows = [compared(3, 4, "a", note_id=1), compared(0, 1, "b", note_id=3), logged(1, "c", note_id=2)]
    assert [note.note_id for note in each_note_once(rows)] == [2, 3, 1]


def as_sighting(note: ArchivedNote) -> Sighting:
    return Sighting(note.key, note.note_id, note.guid, note.last_snapshot, note.gone_in)


def test_a_comparison_over_a_snapshot_that_was_let_go_tells_nothing_new() -> None:
    held = Sightings([as_sighting(compared(1, 2, "a"))])
    assert not held.takes(compared(1, 2, "a"))
    assert not held.takes(compared(0, 2, "a"))
    assert not held.takes(compared(1, 3, "a"))
    assert not held.takes(compared(0, 5, "a"))
    assert held.takes(compared(0, 5, "a", note_id=2))
    assert held.takes(compared(2, 3, "a"))


def test_a_comparison_that_tells_more_exactly_when_is_new() -> None:
    held = Sightings([as_sighting(compared(0, 5, "a"))])
    assert held.takes(compared(2, 3, "a"))
    assert not held.takes(compared(2, 3, "a"))
    assert not held.takes(compared(2, 4, "a"))


def test_a_snapshot_under_a_new_id_tells_nothing_new() -> None:
    held = Sightings([as_sighting(compared(1, 2, "a"))])
    for letters in ("0000", "ffff"):
        back = SnapshotId(DAYS[1][:-4] + letters)
        assert not held.takes(replace(compared(1, 2, "a"), key=letters.encode(), last_snapshot=back))


def test_what_the_log_tells_is_told_by_its_key_alone() -> None:
    held = Sightings([as_sighting(compared(1, 2, "a")), as_sighting(logged(2, "a"))])
    assert not held.takes(logged(4, "a"))
    assert held.takes(logged(4, "b"))


rows = st.lists(
    st.builds(
        lambda days, note_id, text, how: (
            logged(days[1], text, note_id=note_id)
            if how is How.LOG
            else compared(days[0], days[1], text, note_id=note_id, how=how)
        ),
        st.sampled_from(list(itertools.combinations(range(6), 2))),
        st.integers(1, 3),
        st.sampled_from("abc"),
        st.sampled_from(How),
    ),
    max_size=12,
)


@given(rows)
def test_each_note_is_told_once_whatever_was_seen_of_it(rows: list[ArchivedNote]) -> None:
    notes = each_note_once(rows)
    assert sorted(note.note_id for note in notes) == sorted({row.note_id for row in rows})
    for note in notes:
        of_it = [row for row in rows if row.note_id == note.note_id]
        assert note.fields in {row.fields for row in of_it}
        held = [row.last_snapshot for row in of_it if row.last_snapshot is not None]
        assert note.last_snapshot == max(held, default=None)
        assert note.last_snapshot is None or note.last_snapshot < note.gone_in


@given(rows)
def test_rows_that_are_not_written_would_have_told_nothing(rows: list[ArchivedNote]) -> None:
    held = Sightings(())
    written = [row for row in rows if held.takes(row)]
    assert {note.note_id for note in each_note_once(written)} == {row.note_id for row in rows}
    assert not any(held.takes(row) for row in rows)
    for row in rows:
        if row.how is not How.LOG:
            assert any(
                other.last_snapshot is not None
                and other.note_id == row.note_id
                and str(row.last_snapshot) <= other.last_snapshot
                and other.gone_in <= row.gone_in
                for other in written
            )
