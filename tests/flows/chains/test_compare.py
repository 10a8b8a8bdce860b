"""Two states of a profile compared: snapshots with each other, and with what is there now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from flows.chains.compare import NOW, compare
from flows.chains.restore import restore
from flows.chains.restore_plan import plan_restore
from profiles.comparing.change import Change
from profiles.comparing.collections import Counts
from storage.errors import Damaged, SnapshotUnknown
from storage.format.audit_row import Outcome
from tasks.difference_text import difference_text
from tests.flows.chains.house import (
    House,
    add_note,
    anki_open,
    answer_a_card,
    back_up_well,
    fronts,
    opened,
    through_faults,
    tree_of,
)


def forget_a_note(collection: Path, front: str) -> None:
    with opened(collection) as anki:
        anki.remove_notes(anki.find_notes(f'"front:{front}"'))


@pytest.fixture
def two(house: House) -> tuple[str, str]:
    """A snapshot of Ada, and a later one: a note more, a note less, a review, and media that came, changed and went."""
    add_note(house.collection(), "will go")
    earlier = back_up_well()
    add_note(house.collection(), "has come", "now")
    forget_a_note(house.collection(), "will go")
    answer_a_card(house.collection())
    (house.media() / "came.png").write_bytes(b"came")
    (house.media() / "red.png").write_bytes(b"changed")
    (house.media() / "green.png").unlink(missing_ok=True)
    return earlier, back_up_well()


def test_two_snapshots_are_told_apart_by_notes_cards_reviews_and_media(house: House, two: tuple[str, str]) -> None:
    found = compare(*two)
    assert {(note.begins, note.change) for note in found.collection.notes} == {
        ("has come", Change.ADDED),
        ("will go", Change.DELETED),
    }
    assert found.collection.cards == Counts(added=1, changed=1, deleted=1)
    assert found.collection.reviews == Counts(added=1)
    assert found.media.added == ("came.png",)
    assert found.media.changed == ("red.png",)
    text = difference_text(found)
    for part in (*two, "1 added, 1 deleted", "has come", "will go", "came.png", "reviews: 1 added"):
        assert part in text
    back = compare(two[1], two[0])
    assert (back.media.deleted, back.collection.reviews) == (("came.png",), Counts(deleted=1))


def test_the_present_is_compared_as_it_is_and_nothing_is_stored_or_changed(house: House, two: tuple[str, str]) -> None:
    earlier, later = two
    before, packs = tree_of(house.base), tree_of(Path(house.repo))
    assert not compare(later, NOW).collection
    assert not compare(later, NOW).media
    assert compare(earlier).collection == compare(earlier, later).collection
    assert compare(earlier).media == compare(earlier, later).media
    assert compare(NOW, earlier).collection == compare(later, earlier).collection
    assert "nothing differs" in difference_text(compare("latest", profile="Ada"))
    assert tree_of(house.base) == before
    assert tree_of(Path(house.repo)) == packs


def test_a_collection_that_anki_has_open_is_compared_too(house: House, two: tuple[str, str]) -> None:
    with anki_open(house.collection()):
        assert compare(two[0]).collection.count(Change.ADDED) == 1


def test_what_both_have_is_not_fetched(house: House, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages that the present collection shares with the snapshot are taken from it."""
    store = through_faults(monkeypatch)
    compare(two[1])
    fetched = store.bytes_of("read_range", "packs")
    assert fetched < house.collection().stat().st_size / 10


def test_what_is_meant_is_asked_for_where_it_can_not_be_told(house: House, two: tuple[str, str]) -> None:
    back_up_well("Ben")
    with pytest.raises(SnapshotUnknown, match="several profiles") as unsaid:
        compare("latest", "now")
    assert "--profile" in unsaid.value.advice
    with pytest.raises(SnapshotUnknown, match="No snapshot"):
        compare("29991231T235959Z-00000000")
    assert compare(two[0], "latest").after == compare(*two).after


def test_the_plan_of_a_restore_in_place_says_what_it_means_for_the_present(house: House) -> None:
    add_note(house.collection(), "lost by accident")
    back_up_well()
    forget_a_note(house.collection(), "lost by accident")
    add_note(house.collection(), "written since")
    plan = plan_restore(house.repository, "Ada")
    assert plan.difference is not None
    assert (plan.difference.count(Change.ADDED), plan.difference.count(Change.DELETED)) == (1, 1)
    text = plan.as_text()
    for part in ("Compared with the present collection", "1 come back, 1 go", "lost by accident", "written since"):
        assert part in text


def test_a_present_that_can_not_be_compared_stops_no_restore(house: House) -> None:
    back_up_well()
    house.collection().write_bytes(b"noise" * 9999)
    plan = plan_restore(house.repository, "Ada")
    assert plan.difference is None
    assert "can't be told" in plan.as_text()
    assert restore("Ada").outcome is Outcome.COMPLETED
    assert len(fronts(house.collection())) > 200


def test_a_snapshot_whose_pages_are_lost_is_told_in_a_sentence(house: House, two: tuple[str, str]) -> None:
    shutil.rmtree(Path(house.repo) / "packs")
    shutil.rmtree(house.cache)
    os.utime(house.collection())
    with pytest.raises(Damaged):
        compare(*two)
