"""Every version of a note, over the snapshots of a real repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.chains.history import history
from flows.chains.recover import recover
from profiles.errors import NotesMissing
from profiles.note_history import NoteState
from storage.errors import SnapshotUnknown
from storage.format.audit_row import Outcome
from tasks.find_notes import Wanted
from tasks.history_text import history_text, recover_advice
from tests.flows.chains.house import House, add_note, anki_open, back_up_well, opened, tree_of
from tests.profiles.recovery.living import change, deck_id_of, rows


def write(collection: Path, note: int, *, front: str | None = None, tags: list[str] | None = None) -> None:
    """Change a note as a person does."""
    with opened(collection) as anki:
        found = anki.get_note(note)  # type: ignore[arg-type]
        found["Front"] = found["Front"] if front is None else front
        found.tags = found.tags if tags is None else tags
        anki.update_note(found)


def added(collection: Path, front: str, back: str = "") -> int:
    add_note(collection, front, back)
    with opened(collection) as anki:
        (note,) = anki.find_notes(f'"front:{front}"')
    return note


def test_every_version_is_told_with_the_snapshots_that_hold_it(house: House) -> None:
    ada = house.collection()
    before_it_was = back_up_well()
    note = added(ada, "hola")
    with opened(ada) as anki:
        anki.set_deck(anki.card_ids_of_note(note), deck_id_of(anki, "Chemistry"))  # type: ignore[arg-type]
    first = back_up_well()
    add_note(ada, "of no concern")
    same = back_up_well()
    write(ada, note, front="hola!")
    changed = back_up_well()
    write(ada, note, tags=["verb", "late"])
    with opened(ada) as anki:
        anki.set_deck(anki.card_ids_of_note(note), deck_id_of(anki, "Music"))  # type: ignore[arg-type]
    moved = back_up_well()
    with opened(ada) as anki:
        anki.remove_notes([note])  # type: ignore[list-item]
    gone = back_up_well()
    report, _ = recover(Wanted((note,)))
    assert report.outcome is Outcome.COMPLETED
    back = back_up_well()

    found = history(note)

    states = [version.state for version in found.versions]
    assert states == [
        NoteState("Basic", "Chemistry", (), (("Front", "hola"), ("Back", ""))),
        NoteState("Basic", "Chemistry", (), (("Front", "hola!"), ("Back", ""))),
        moved_state := NoteState("Basic", "Music", ("late", "verb"), (("Front", "hola!"), ("Back", ""))),
        None,
        moved_state,
    ]
    spans = [(version.first.snapshot, version.last.snapshot) for version in found.versions]
    safety = house.snapshots()[-2].id
    assert spans == [(first, same), (changed, changed), (moved, moved), (gone, safety), (back, back)]
    assert (found.looked_into, found.unread) == (8, ())
    text = history_text(found)
    assert before_it_was not in text
    assert same not in text
    for lines in (
        f"{first}  first seen\n    note type: Basic\n    deck: Chemistry\n    Front: hola\n    Back: (empty)\n",
        f"{changed}  changed\n    Front:\n      - hola\n      + hola!\n",
        f"{moved}  changed\n    deck: Chemistry -> Music\n    tags: +late +verb\n",
        f"{gone}  gone\n",
        f"{back}  back, as it was\nLast seen: ",
    ):
        assert lines in text
    assert f"recollect recover {note} --snapshot ID" in recover_advice(found)


def test_any_version_comes_back(house: House) -> None:
    note = added(house.collection(), "first")
    # Anki tells versions apart by the second in which they were written.
    change(house.collection(), "update notes set mod = mod - 60 where id = ?", note)
    first, original = back_up_well(), rows(house.collection(), [note])
    write(house.collection(), note, front="second")
    back_up_well()
    assert history(note).versions[0].first.snapshot == first
    report, _ = recover(Wanted((note,)), snapshot=first, overwriting=True)
    assert report.outcome is Outcome.COMPLETED
    assert rows(house.collection(), [note])["notes"] == original["notes"]


def test_a_note_that_is_gone_says_since_when(house: House) -> None:
    note = added(house.collection(), "hola")
    held = back_up_well()
    with opened(house.collection()) as anki:
        anki.remove_notes([note])  # type: ignore[list-item]
    gone = back_up_well()
    add_note(house.collection(), "of no concern")
    back_up_well()
    *_, seen, since = history_text(history(note)).splitlines()
    assert (seen.split()[:2], seen.split()[-1]) == (["Last", "seen:"], held)
    assert (since.split()[:2], since.split()[-1]) == (["Gone", "since:"], gone)


def test_looking_changes_nothing_and_anki_may_be_open(house: House) -> None:
    note = added(house.collection(), "hola")
    back_up_well()
    with anki_open(house.collection()):
        before, packs = tree_of(house.base), tree_of(Path(house.repo))
        assert len(history(note).versions) == 1
        assert (tree_of(house.base), tree_of(Path(house.repo))) == (before, packs)


def test_a_damaged_snapshot_is_named_and_passed_over(house: House) -> None:
    note = added(house.collection(), "hola")
    first = back_up_well()
    packs = {item.name for item in house.repository.store.list("packs")}
    write(house.collection(), note, front="lost version")
    broken = back_up_well()
    lost = {item.name for item in house.repository.store.list("packs")} - packs
    write(house.collection(), note, front="last version")
    last = back_up_well()
    for name in lost:
        house.repository.store.remove(name)
    (ref,) = (ref for ref in house.snapshots() if ref.id == first)
    unreadable = f"snapshots/{ref.profile_key}/{first}"
    shutil.rmtree(house.cache)
    found = history(note, profile="Ada")
    assert [snapshot for snapshot, _ in found.unread] == [broken]
    assert f"The snapshot {broken} could not be looked into: Damage in the repository" in found.unread[0][1]
    assert [(version.first.snapshot, version.last.snapshot) for version in found.versions] == [
        (first, first),
        (last, last),
    ]
    house.repository.store.write(unreadable, b"noise")
    shutil.rmtree(house.cache)
    assert [snapshot for snapshot, _ in history(note, profile="Ada").unread] == [first, broken]


def test_a_note_that_was_never_there_is_said_to_be_so(house: House) -> None:
    back_up_well()
    with pytest.raises(NotesMissing, match="None of 1 snapshots of Ada holds a note 4711"):
        history(4711)
    back_up_well("Ben")
    with pytest.raises(SnapshotUnknown, match="several profiles"):
        history(4711)


def test_long_fields_are_shown_where_they_changed(house: House) -> None:
    long = " ".join(f"word{number}" for number in range(500))
    note = added(house.collection(), "hola", "x")
    write(house.collection(), note, front=long)
    back_up_well()
    write(house.collection(), note, front=long.replace("word250 ", "other\n"))
    back_up_well()
    text = history_text(history(note))
    (before,) = (line for line in text.splitlines() if line.startswith("      - "))
    (after,) = (line for line in text.splitlines() if line.startswith("      + "))
    assert "word250 word251" in before
    assert "other⏎word251" in after
    assert max(map(len, text.splitlines())) < 400
    assert "word250 " not in after
