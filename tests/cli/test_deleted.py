"""`recollect deleted`."""

from __future__ import annotations

import errno
import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer
from anki.collection import ImportCsvRequest
from anki.notes import NoteId

from cli.deleted import moment_named
from tests.cli.desk import Desk
from tests.flows.chains.house import add_note, fronts, opened

OWN_ID = 1_600_000_000_000
COLUMNS = {
    *("note_id", "guid", "note_type_id", "note_type", "field_names", "fields", "tags", "deck", "modified_s"),
    *("how", "last_snapshot", "gone_in", "seen_at", "back"),
}


@pytest.fixture
def deleting(desk: Desk) -> Desk:
    """Of Ada's and Ben's notes, one of Ada's has gone with its deck since the first backup."""
    collection = desk.base / "Ada" / "collection.anki2"
    add_note(collection, "in a <b>doomed</b> deck", "words of the back")
    with opened(collection) as anki:
        (note,) = anki.find_notes("doomed")
        assert anki.db is not None
        # Made so soon after the sample, it may get the id of a note that was deleted there: Anki gives free ones again.
        anki.db.execute("update cards set nid = ? where nid = ?", OWN_ID, note)
        anki.db.execute("update notes set id = ? where id = ?", OWN_ID, note)
        note = NoteId(OWN_ID)
        deck = anki.decks.id("Doomed")
        assert deck is not None
        anki.set_deck(anki.card_ids_of_note(note), deck)
    assert desk.call("backup").code == 0
    with opened(collection) as anki:
        anki.decks.remove([deck])
    assert desk.call("backup", "Ada").code == 0
    return desk


def test_deleted_notes_are_listed_with_how_they_went_and_how_to_have_them_back(deleting: Desk) -> None:
    ran = deleting.call("deleted", "Ada")
    assert ran.code == 0
    heading, columns, _, *rows = ran.out.splitlines()
    assert heading == "Deleted notes of Ada"
    for column in ("Note", "Seen gone", "How", "Deck", "Note type", "First field", "Last snapshot"):
        assert column in columns
    assert len(rows) == 5
    assert "deleted" in rows[0]
    assert "Doomed" in rows[0]
    assert "in a doomed deck" in rows[0]
    assert "deleted here" in rows[1]
    assert "`recollect recover NOTE_ID... --profile 'Ada' --into`" in ran.err


def test_what_the_list_advises_brings_a_note_back_though_there_are_several_profiles(deleting: Desk) -> None:
    (advised,) = re.findall(r"`(recollect recover .*)`", deleting.call("deleted", "Ada", "--text", "doomed").err)
    _, *words = shlex.split(advised.replace("NOTE_ID...", str(OWN_ID)))
    assert deleting.call(*words, "--yes").code == 0
    assert "in a <b>doomed</b> deck" in fronts(deleting.base / "Ada" / "collection.anki2")


def test_a_long_list_is_cut_and_says_so(deleting: Desk) -> None:
    ran = deleting.call("deleted", "Ada", "--limit", "2")
    assert len(ran.out.splitlines()) == 3 + 2
    assert "Doomed" in ran.out
    assert "3 more went before these" in ran.err
    assert len(deleting.call("deleted", "Ada", "--limit", "2", "--json").json) == 5
    assert "more went" not in deleting.call("deleted", "Ada").err


def test_notes_that_went_with_a_collection_that_was_replaced_are_explained(deleting: Desk) -> None:
    add_note(deleting.base / "Ada" / "collection.anki2", "written since")
    first = deleting.call("snapshots", "Ada", "--json").json[0]["snapshot"]
    assert "Replaced:" not in deleting.call("deleted", "Ada").err
    assert deleting.call("restore", "Ada", "--snapshot", first, "--in-place", "--yes").code == 0
    assert deleting.call("backup", "Ada").code == 0
    ran = deleting.call("deleted", "Ada", "--text", "since")
    assert "replaced" in ran.out
    assert "Replaced: the collection was, by a restore or a one-way sync" in ran.err


def test_programs_get_every_column(deleting: Desk) -> None:
    notes = deleting.call("deleted", "Ada", "--json").json
    assert [set(note) for note in notes] == [COLUMNS] * 5
    newest, logged = notes[0], notes[-1]
    assert newest["fields"] == ["in a <b>doomed</b> deck", "words of the back"]
    assert newest["field_names"] == ["Front", "Back"]
    assert (newest["how"], newest["deck"], newest["tags"], newest["back"]) == ("deleted", "Doomed", [], False)
    assert newest["last_snapshot"] in {one["snapshot"] for one in deleting.call("snapshots", "Ada", "--json").json}
    assert (logged["how"], logged["guid"], logged["deck"], logged["last_snapshot"]) == ("log", None, None, None)


def test_notes_are_searched_by_deck_words_and_moment(deleting: Desk) -> None:
    def fronts(*arguments: str) -> list[str]:
        return [note["fields"][0] for note in deleting.call("deleted", "Ada", "--json", *arguments).json]

    assert fronts("--deck", "doomed") == ["in a <b>doomed</b> deck"]
    assert fronts("--text", "BACK words") == ["in a <b>doomed</b> deck"]
    assert fronts("--text", "Yugoslavia") == ["Capital of Yugoslavia"]
    assert len(fronts("--since", "1d")) == 5
    tomorrow = (datetime.now().astimezone() + timedelta(days=1)).date().isoformat()
    assert fronts("--since", tomorrow) == []
    ran = deleting.call("deleted", "Ada", "--deck", "Nowhere")
    assert (ran.code, ran.out) == (0, "")
    assert "knows of no note of that kind" in ran.err


def test_the_only_profile_need_not_be_named(deleting: Desk) -> None:
    ran = deleting.call("deleted")
    assert (ran.code, ran.out) == (1, "")
    assert "several profiles" in ran.err
    for folder in (deleting.repository / "snapshots").glob("Ben-*"):
        for manifest in folder.iterdir():
            manifest.unlink()
    ran = deleting.call("deleted")
    assert "Doomed" in ran.out
    assert "`recollect recover NOTE_ID... --into`" in ran.err


def test_files_for_anki_hold_deck_and_guid_where_they_are_known(deleting: Desk) -> None:
    (newest,) = deleting.call("deleted", "Ada", "--deck", "Doomed", "--json").json
    ran = deleting.call("deleted", "Ada", "--deck", "Doomed", "--to", "deleted-notes")
    assert ran.code == 0
    (file,) = ran.out.splitlines()
    collection = deleting.base / "Ada" / "collection.anki2"
    with opened(collection) as anki:
        metadata = anki.get_csv_metadata(path=file, delimiter=None)
        anki.import_csv(ImportCsvRequest(path=file, metadata=metadata))
        (note_id,) = anki.find_notes("deck:Doomed")
        note = anki.get_note(note_id)
        assert (note.guid, list(note.fields)) == (newest["guid"], newest["fields"])


def test_two_notes_that_had_one_id_are_both_written_each_with_its_guid(deleting: Desk, tmp_path: Path) -> None:
    collection = deleting.base / "Ada" / "collection.anki2"
    add_note(collection, "came later", "under that id")
    with opened(collection) as anki:
        (note,) = anki.find_notes('"came later"')
        assert anki.db is not None
        anki.db.execute("update cards set nid = ? where nid = ?", OWN_ID, note)
        anki.db.execute("update notes set id = ? where id = ?", OWN_ID, note)
    assert deleting.call("backup", "Ada").code == 0
    with opened(collection) as anki:
        anki.remove_notes([NoteId(OWN_ID)])
    assert deleting.call("backup", "Ada").code == 0
    assert deleting.call("deleted", "Ada", "--to", str(tmp_path / "out")).code == 0
    (text,) = [text for path in (tmp_path / "out").iterdir() if "came later" in (text := path.read_text("utf-8"))]
    rows = [line.split("\t") for line in text.splitlines() if "came later" in line or "doomed</b>" in line]
    assert len({guid for guid, *_ in rows}) == len(rows) == 2
    assert not any(str(OWN_ID) in guid for guid, *_ in rows)


def test_files_that_a_full_disk_does_not_take_are_told_of_and_leave_nothing(
    deleting: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "full", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    ran = deleting.call("deleted", "Ada", "--to", str(tmp_path / "files"))
    assert (ran.code, ran.out) == (1, "")
    assert "could not be written to" in ran.err
    assert "there is no space left" in ran.err
    assert not (tmp_path / "files").exists()


def test_files_are_written_once_and_listed_for_programs(stocked: Desk) -> None:
    ran = stocked.call("deleted", "Ada", "--to", "deleted-notes")
    assert ran.code == 0
    files = [Path(line) for line in ran.out.splitlines()]
    assert len(files) == 3
    assert all(file.is_file() for file in files)
    again = stocked.call("deleted", "Ada", "--to", "deleted-notes")
    assert again.code == 1
    assert "deleted-notes" in again.err
    assert len(stocked.call("deleted", "Ada", "--to", "others", "--json").json) == 3


def test_notes_that_came_back_are_left_out_and_counted(deleting: Desk) -> None:
    deleting.call("deleted", "Ada", "--deck", "Doomed", "--to", "deleted-notes")
    ids = [note["note_id"] for note in deleting.call("deleted", "Ada", "--json").json]
    collection = deleting.base / "Ada" / "collection.anki2"
    with opened(collection) as anki:
        assert anki.db is not None
        (there,) = anki.find_notes("")[:1]
        anki.db.execute("update cards set nid = ? where nid = ?", ids[0], there)
        anki.db.execute("update notes set id = ? where id = ?", ids[0], there)
    assert deleting.call("backup", "Ada").code == 0
    ran = deleting.call("deleted", "Ada", "--json")
    assert ids[0] not in [note["note_id"] for note in ran.json]
    assert "1 more came back, and are in the collection again: --back lists them, too" in ran.err
    told = {note["note_id"]: note["back"] for note in deleting.call("deleted", "Ada", "--back", "--json").json}
    assert told[ids[0]] is True
    assert len([back for back in told.values() if back]) == 1


def test_a_scan_of_all_snapshots_finds_what_the_archive_lacks(deleting: Desk) -> None:
    for file in (deleting.repository / "deletions").glob("*/*"):
        file.unlink()
    assert "knows of no note that is gone" in deleting.call("deleted", "Ada").err
    ran = deleting.call("deleted", "Ada", "--rescan", "--json")
    assert ran.code == 0
    assert [note["deck"] for note in ran.json] == ["Doomed"]
    assert "2 snapshots were compared: 1 deleted note is new to the archive" in ran.err
    again = deleting.call("deleted", "Ada", "--rescan")
    assert "the archive knows of all deleted notes already" in again.err
    (row,) = deleting.call("audit", "--action", "deletion-log-archive", "--limit", "1", "--json").json
    assert (row["profile"], row["outcome"], row["deletions_archived"]) == ("Ada", "unchanged", 0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22", datetime(2026, 11, 22).astimezone()),
        (" 2026-11-22T13:30 ", datetime(2026, 11, 22, 13, 30).astimezone()),
        ("2026-11-22T13:30+05:00", datetime.fromisoformat("2026-11-22T13:30+05:00")),
    ],
)
def test_a_moment_is_a_day_by_the_clock_on_that_wall(text: str, moment: datetime) -> None:
    assert moment_named(text) == moment


@pytest.mark.parametrize("text", ["30d", "30 days", "0d"])
def test_a_moment_is_so_many_days_ago(text: str) -> None:
    ago = timedelta(days=0 if text == "0d" else 30)
    before = datetime.now().astimezone()
    assert before <= moment_named(text) + ago <= datetime.now().astimezone()


@pytest.mark.parametrize("text", ["", "soon", "30", "d", "99999999999d", "2026-13-01", "-5d"])
def test_what_is_no_moment_is_told_in_a_sentence(stocked: Desk, text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment_named(text)
    assert stocked.call("deleted", "Ada", f"--since={text}").code == 2
