from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from anki.collection import Collection

from profiles.errors import (
    AnkiIsOpen,
    AnkiRefused,
    CollectionDamaged,
    CollectionMissing,
    PackageUnusable,
    ProfileError,
    SourceBusy,
    TargetUnusable,
)
from profiles.recovery import adding
from profiles.recovery.adding import add_to_collection
from profiles.recovery.apkg import cut_apkg
from tests.profiles.recovery.living import (
    SCIENCE,
    SPANISH,
    VOCABULARY,
    add,
    change,
    deck_id_of,
    in_schema_11,
    make_collection,
    note_ids,
    opened,
    rows,
    schema_modified,
)

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="signals and POSIX locks")


@dataclass(frozen=True, slots=True)
class Lost:
    """A profile that lost notes, the copy of it from before, and a package of what was lost."""

    collection: Path
    copy: Path
    package: Path
    scratch: Path
    notes: tuple[int, ...]

    @property
    def media(self) -> Path:
        return self.collection.with_name("collection.media")

    def state(self) -> dict[str, bytes]:
        """All that lies in the profile's folder."""
        folder = self.collection.parent
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MEDIA = {"perro.jpg": b"a dog", "wuff.mp3": b"a bark", "_style.css": b".card {}"}


def cut(copy: Path, notes: list[int], package: Path, scratch: Path) -> None:
    package.unlink(missing_ok=True)
    cut_apkg(copy, lambda name: [MEDIA[name]] if name in MEDIA else None, notes, package, scratch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    folder = tmp_path_factory.mktemp("adding")
    lost = Lost(
        folder / "Ada" / "collection.anki2", folder / "copy.anki2", folder / "notes.apkg", folder / "scratch", ()
    )
    lost.scratch.mkdir()
    make_collection(lost.collection)
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name("Basic")
        assert note_type is not None
        note_type["css"] += '@import "_style.css";'
        collection.models.update_dict(note_type)
        pictured = add(collection, "Basic", SPANISH, ('<img src="perro.jpg">', "[sound:wuff.mp3]"), ["pictured"])
    shutil.copyfile(lost.collection, lost.copy)
    notes = note_ids(lost.copy, "note:Vocabulary or tag:pictured")
    assert pictured in notes
    cut(lost.copy, notes, lost.package, lost.scratch)
    with opened(lost.collection) as collection:
        collection.remove_notes(collection.find_notes("note:Vocabulary or tag:pictured"))
    lost.media.joinpath("mine.png").write_bytes(b"mine")
    return Lost(lost.collection, lost.copy, lost.package, lost.scratch, tuple(notes))


@pytest.fixture
def lost(made: Lost, tmp_path: Path) -> Lost:
    shutil.copytree(made.collection.parent, tmp_path / "Ada")
    for path in (made.copy, made.package):
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / "scratch").mkdir()
    return Lost(
        tmp_path / "Ada" / "collection.anki2",
        tmp_path / made.copy.name,
        tmp_path / made.package.name,
        tmp_path / "scratch",
        made.notes,
    )


def test_notes_come_back_as_they_were_with_their_media_and_nothing_else_changes(lost: Lost) -> None:
    others = [note for note in note_ids(lost.collection) if note not in lost.notes]
    kept, schema = rows(lost.collection, others), schema_modified(lost.collection)

    added = add_to_collection(lost.package, lost.collection, lost.scratch)

    assert (added.new, added.updated, added.duplicates, added.conflicting) == (5, 0, 0, 0)
    assert (added.cards, added.media, added.remarks, added.changed) == (
        9,
        ("_style.css", "perro.jpg", "wuff.mp3"),
        (),
        True,
    )
    assert rows(lost.collection, lost.notes) == rows(lost.copy, lost.notes)
    assert rows(lost.collection, others) == kept
    assert schema_modified(lost.collection) == schema
    assert {path.name: path.read_bytes() for path in lost.media.iterdir()} == MEDIA | {"mine.png": b"mine"}
    assert list(lost.scratch.iterdir()) == []
    assert {path.name for path in lost.collection.parent.iterdir()} <= {
        "collection.anki2",
        "collection.media",
        "collection.media.db2",
    }
    with opened(lost.collection) as collection:
        assert collection.fix_integrity()[1]
        assert collection.db is not None
        ids = ",".join(map(str, lost.notes))
        assert set(collection.db.list(f"select usn from notes where id in ({ids})")) == {-1}
        assert set(collection.db.list(f"select usn from cards where nid in ({ids})")) == {-1}
        assert collection.media.check().missing == []


def test_a_second_time_changes_not_a_byte(lost: Lost) -> None:
    add_to_collection(lost.package, lost.collection, lost.scratch)
    once = lost.state()
    again = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert (again.new, again.updated, again.duplicates, again.changed) == (0, 0, 5, False)
    assert lost.state() == once


def test_a_note_that_was_edited_since_stays_and_a_card_that_it_lost_comes_back(lost: Lost) -> None:
    with opened(lost.collection) as collection:
        # Dogs are still there; one was edited, and one lost a card.
        edited, robbed, *_ = collection.find_notes("note:Basic*reversed*")
        note = collection.get_note(edited)
        note["Back"] = "edited since"
        collection.update_note(note)
        change_later = collection.get_note(edited).mod
        collection.remove_cards_and_orphaned_notes(collection.card_ids_of_note(robbed)[:1])
    change(lost.collection, "update notes set mod = mod + 5 where id = ?", edited)
    cut(lost.copy, [edited, robbed, lost.notes[0]], lost.package, lost.scratch)

    added = add_to_collection(lost.package, lost.collection, lost.scratch)

    assert change_later
    assert (added.new, added.updated, added.duplicates) == (1, 0, 2)
    assert added.cards == 3
    assert rows(lost.collection, [robbed]) == rows(lost.copy, [robbed])
    with opened(lost.collection) as collection:
        assert collection.get_note(edited)["Back"] == "edited since"


def test_a_later_state_of_a_note_replaces_the_one_that_is_there(lost: Lost) -> None:
    (note,) = note_ids(lost.copy, "H1")
    change(lost.copy, "update notes set mod = mod + 60, flds = 'H1' || char(31) || 'later' where id = ?", note)
    cut(lost.copy, [note], lost.package, lost.scratch)
    added = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert (added.new, added.updated, added.changed) == (0, 1, True)
    assert rows(lost.collection, [note])["notes"] == rows(lost.copy, [note])["notes"]


# Note types


def test_a_note_type_that_is_gone_comes_back_and_is_told(lost: Lost) -> None:
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name(VOCABULARY)
        assert note_type is not None
        collection.models.remove(note_type["id"])
    schema = schema_modified(lost.collection)
    added = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert added.remarks == (
        "The note type 'Vocabulary' was not in the collection any more and came back with its notes",
    )
    assert rows(lost.collection, lost.notes) == rows(lost.copy, lost.notes)
    assert schema_modified(lost.collection) == schema


def test_notes_of_a_note_type_that_was_changed_come_under_a_copy_of_the_old_one(lost: Lost) -> None:
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name(VOCABULARY)
        assert note_type is not None
        collection.models.add_field(note_type, collection.models.new_field("Example"))
        collection.models.update_dict(note_type)
        kept = add(collection, VOCABULARY, SPANISH, ("pez", "fish", "", "", "el pez"))
    schema = schema_modified(lost.collection)

    added = add_to_collection(lost.package, lost.collection, lost.scratch)

    (remark,) = added.remarks
    assert remark.startswith(
        "The note type 'Vocabulary' has other fields or card types than it had then, so its notes came back under a "
        "copy of the old one, 'Vocabulary"
    )
    assert schema_modified(lost.collection) == schema
    with opened(lost.collection) as collection:
        back = [collection.get_note(note) for note in lost.notes]  # type: ignore[arg-type]
        old = next(note.note_type() for note in back if "Word" in note)
        assert old is not None
        assert old["name"] in remark
        assert [field["name"] for field in old["flds"]] == ["Word", "Meaning", "Sound", "Note"]
        assert collection.get_note(kept)["Example"] == "el pez"
        assert collection.get_note(kept).mid != old["id"]
    without = [(*row[:2], *row[3:]) for row in rows(lost.copy, lost.notes)["notes"]]
    assert [(*row[:2], *row[3:]) for row in rows(lost.collection, lost.notes)["notes"]] == without

    again = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert (again.new, again.changed) == (0, False)


def test_a_renamed_note_type_or_field_is_still_the_same(lost: Lost) -> None:
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name(VOCABULARY)
        assert note_type is not None
        note_type["name"] = "Words"
        collection.models.rename_field(note_type, note_type["flds"][1], "Translation")
        collection.models.update_dict(note_type)
    added = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert (added.new, added.remarks) == (5, ())
    assert rows(lost.collection, lost.notes) == rows(lost.copy, lost.notes)
    with opened(lost.collection) as collection:
        assert collection.models.by_name(VOCABULARY) is None


def test_notes_that_are_there_under_another_note_type_are_left_alone_and_counted(lost: Lost) -> None:
    notes = note_ids(lost.copy, "note:Basic*reversed*")
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name("Basic (and reversed card)")
        assert note_type is not None
        collection.models.add_field(note_type, collection.models.new_field("Example"))
        collection.models.update_dict(note_type)
    kept = rows(lost.collection, notes)
    cut(lost.copy, [notes[0]], lost.package, lost.scratch)
    one = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert (one.new, one.conflicting, one.changed) == (0, 1, False)
    assert one.remarks == (
        "1 note is still there, but under another note type or one that has changed since, and was left as it is",
    )

    cut(lost.copy, [*notes, lost.notes[0]], lost.package, lost.scratch)
    types = _note_types(lost.collection)
    several = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert (several.new, several.conflicting) == (1, 4)
    (remark,) = several.remarks
    assert remark.startswith("4 notes are still there")
    assert _note_types(lost.collection) == types
    assert rows(lost.collection, notes) == kept


def _note_types(path: Path) -> dict[int, str]:
    with opened(path) as collection:
        assert collection.fix_integrity()[1]
        return {note_type.id: note_type.name for note_type in collection.models.all_names_and_ids()}


def test_what_a_note_type_looks_like_now_stays(lost: Lost) -> None:
    change(lost.copy, "update notetypes set mtime_secs = mtime_secs + 1000")
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name(VOCABULARY)
        assert note_type is not None
        note_type["css"] = ".card { color: green }"
        collection.models.update_dict(note_type)
    cut(lost.copy, list(lost.notes), lost.package, lost.scratch)
    add_to_collection(lost.package, lost.collection, lost.scratch)
    with opened(lost.collection) as collection:
        note_type = collection.models.by_name(VOCABULARY)
        assert note_type is not None
        assert note_type["css"] == ".card { color: green }"


# Settings


def _settings(path: Path) -> dict[str, object]:
    with opened(path) as collection:
        return {
            "decks": sorted(collection.decks.all(), key=lambda deck: int(deck["id"])),
            "presets": sorted(collection.decks.all_config(), key=lambda preset: int(preset["id"])),
            "import": str(collection._backend.get_import_anki_package_presets()),
        }


def test_settings_of_decks_that_are_there_and_of_the_next_import_stay_as_they_are(lost: Lost) -> None:
    with opened(lost.collection) as collection:
        deck = collection.decks.by_name(SPANISH)
        assert deck is not None
        collection.decks.set_config_id_for_deck_dict(deck, 1)  # type: ignore[arg-type]
        deck = collection.decks.by_name(SPANISH)
        assert deck is not None
        deck["desc"] = "my own words"
        collection.decks.update(deck)
        slow = next(preset for preset in collection.decks.all_config() if preset["name"] == "Slow")
        collection.decks.remove_config(slow["id"])
    with opened(lost.copy) as collection:
        deck = collection.decks.by_name(SPANISH)
        assert deck is not None
        deck["desc"] = "the words of before"
        collection.decks.update(deck)
    cut(lost.copy, list(lost.notes), lost.package, lost.scratch)
    before = _settings(lost.collection)

    assert add_to_collection(lost.package, lost.collection, lost.scratch).new == 5

    assert _settings(lost.collection) == before


def test_a_deck_that_is_gone_comes_back_with_its_options(lost: Lost) -> None:
    with opened(lost.collection) as collection:
        collection.decks.remove([deck_id_of(collection, SPANISH)])
        slow = next(preset for preset in collection.decks.all_config() if preset["name"] == "Slow")
        collection.decks.remove_config(slow["id"])
    add_to_collection(lost.package, lost.collection, lost.scratch)
    with opened(lost.collection) as collection:
        options = collection.decks.config_dict_for_deck_id(deck_id_of(collection, SPANISH))
        assert (options["name"], options["new"]["perDay"]) == ("Slow", 7)
    assert rows(lost.collection, lost.notes) == rows(lost.copy, lost.notes)


# Media


def test_a_file_of_the_same_name_and_other_content_stays_and_the_note_names_its_own(lost: Lost) -> None:
    lost.media.joinpath("perro.jpg").write_bytes(b"another dog")
    lost.media.joinpath("wuff.mp3").write_bytes(MEDIA["wuff.mp3"])
    lost.media.joinpath("_style.css").write_bytes(b"/* mine */")
    own_name = f"perro-{hashlib.sha1(b'a dog').hexdigest()}.jpg"

    added = add_to_collection(lost.package, lost.collection, lost.scratch)

    assert added.media == (own_name,)
    assert lost.media.joinpath("perro.jpg").read_bytes() == b"another dog"
    assert lost.media.joinpath("_style.css").read_bytes() == b"/* mine */"
    assert lost.media.joinpath(own_name).read_bytes() == b"a dog"
    with opened(lost.collection) as collection:
        (note,) = collection.find_notes("tag:pictured")
        assert collection.get_note(note)["Front"] == f'<img src="{own_name}">'


def test_a_file_without_content_is_replaced(lost: Lost) -> None:
    lost.media.joinpath("perro.jpg").touch()
    assert "perro.jpg" in add_to_collection(lost.package, lost.collection, lost.scratch).media
    assert lost.media.joinpath("perro.jpg").read_bytes() == b"a dog"


def test_what_is_no_file_at_the_name_is_left_alone_and_told(lost: Lost, tmp_path: Path) -> None:
    lost.media.joinpath("perro.jpg").mkdir()
    lost.media.joinpath("wuff.mp3").symlink_to(tmp_path / "elsewhere")
    added = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert added.media == ("_style.css",)
    assert len(added.remarks) == 2
    assert "perro.jpg" in added.remarks[0]
    assert "wuff.mp3" in added.remarks[1]
    assert not (tmp_path / "elsewhere").exists()


def test_a_profile_without_a_media_folder_gets_one(lost: Lost) -> None:
    shutil.rmtree(lost.media)
    add_to_collection(lost.package, lost.collection, lost.scratch)
    assert {path.name for path in lost.media.iterdir()} == set(MEDIA)


def test_media_go_where_a_linked_media_folder_leads(lost: Lost, tmp_path: Path) -> None:
    elsewhere = tmp_path / "on another disk"
    lost.media.rename(elsewhere)
    lost.media.symlink_to(elsewhere, target_is_directory=True)
    add_to_collection(lost.package, lost.collection, lost.scratch)
    assert {path.name for path in elsewhere.iterdir()} == {*MEDIA, "mine.png"}


# What is refused


@pytest.fixture
def anki_elsewhere(lost: Lost) -> Iterator[subprocess.Popen[str]]:
    script = (
        "import sys; from anki.collection import Collection\n"
        "collection = Collection(sys.argv[1]); print('open', flush=True); sys.stdin.read(); collection.close()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(lost.collection)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process


def test_a_collection_that_anki_has_open_is_refused(lost: Lost, anki_elsewhere: subprocess.Popen[str]) -> None:
    before = lost.collection.read_bytes()
    with pytest.raises(AnkiIsOpen, match=r"has .* open"):
        add_to_collection(lost.package, lost.collection, lost.scratch)
    assert lost.collection.read_bytes() == before
    assert {path.name for path in lost.media.iterdir()} == {"mine.png"}
    assert list(lost.scratch.iterdir()) == []


def test_an_anki_that_opens_the_collection_at_the_last_moment_is_refused_too(
    lost: Lost, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def open_it(step: str) -> None:
        if step == "lock":
            request.getfixturevalue("anki_elsewhere")

    with pytest.raises(AnkiIsOpen):
        add_to_collection(lost.package, lost.collection, lost.scratch, before_step=open_it)
    assert note_ids(lost.copy, "note:Vocabulary")
    assert not list(lost.collection.parent.glob(".recollect*"))


@pytest.mark.parametrize("at", ["add-media", "prepare", "sync-prepared", "fold", "lock"])
def test_a_collection_that_changes_meanwhile_is_left_as_it_is_then(lost: Lost, at: str) -> None:
    changed: list[bytes] = []

    def review(step: str) -> None:
        if step == at:
            with opened(lost.collection) as collection:
                add(collection, "Basic", SCIENCE, ("written meanwhile", ""))
            changed.append(lost.collection.read_bytes())

    with pytest.raises(SourceBusy, match="changed while"):
        add_to_collection(lost.package, lost.collection, lost.scratch, before_step=review)
    assert changed == [lost.collection.read_bytes()]
    assert not list(lost.collection.parent.glob(".recollect*"))


def _noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 3 * 4096] = random.Random(3).randbytes(2 * 4096)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_noise, CollectionDamaged),
        (lambda path: path.write_bytes(b"no database " * 4096), CollectionDamaged),
        (lambda path: path.write_bytes(b""), CollectionDamaged),
        (lambda path: path.unlink(), CollectionMissing),
        (lambda path: change(path, "update col set ver = 99"), AnkiRefused),
        (lambda path: change(path, "update notetypes set config = x'ffffff'"), AnkiRefused),
        (lambda path: change(path, "drop table fields"), ProfileError),
    ],
    ids=range(7),
)
def test_a_damaged_collection_is_told_and_left_as_it_is(
    lost: Lost, spoil: Callable[[Path], object], error: type[ProfileError]
) -> None:
    spoil(lost.collection)
    before = lost.state()
    with pytest.raises(error) as caught:
        add_to_collection(lost.package, lost.collection, lost.scratch)
    assert str(lost.collection) in caught.value.problem
    assert caught.value.problem.isprintable()
    assert lost.state() == before


def test_a_collection_of_an_old_anki_is_not_made_unreadable_to_it(lost: Lost) -> None:
    in_schema_11(lost.copy, lost.collection)
    before = lost.collection.read_bytes()
    with pytest.raises(AnkiRefused, match="of an Anki so old"):
        add_to_collection(lost.package, lost.collection, lost.scratch)
    assert lost.collection.read_bytes() == before


def _without_collection(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("media", b"{}")


def _with(member: str, content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, old in members.items():
                archive.writestr(name, content if name == member else old)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.unlink(), PackageUnusable),
        (lambda path: path.write_bytes(b""), PackageUnusable),
        (lambda path: path.write_bytes(b"PK no package"), PackageUnusable),
        (lambda path: path.write_bytes(path.read_bytes()[:2_000]), PackageUnusable),
        (_without_collection, PackageUnusable),
        (_with("meta", b"\x08\x04"), PackageUnusable),
        (_with("media", b"noise"), PackageUnusable),
        (_with("collection.anki21b", b"noise"), AnkiRefused),
    ],
    ids=range(8),
)
def test_what_is_no_sound_package_is_told_and_nothing_changes(
    lost: Lost, spoil: Callable[[Path], object], error: type[ProfileError]
) -> None:
    spoil(lost.package)
    before = lost.state()
    with pytest.raises(error) as caught:
        add_to_collection(lost.package, lost.collection, lost.scratch)
    assert str(lost.package) in caught.value.problem
    assert lost.state() == before
    assert list(lost.scratch.iterdir()) == []


def test_a_legacy_package_can_be_added_too(lost: Lost, tmp_path: Path) -> None:
    from anki.collection import ExportAnkiPackageOptions, NoteIdsLimit

    legacy = tmp_path / "legacy.apkg"
    with opened(lost.copy) as collection:
        for name, content in MEDIA.items():
            collection.media.write_data(name, content)
        options = ExportAnkiPackageOptions(with_scheduling=True, with_deck_configs=True, with_media=True, legacy=True)
        collection.export_anki_package(
            out_path=str(legacy),
            options=options,
            limit=NoteIdsLimit(lost.notes),  # type: ignore[arg-type]
        )
    lost.media.joinpath("perro.jpg").write_bytes(b"another dog")
    added = add_to_collection(legacy, lost.collection, lost.scratch)
    assert added.new == 5
    assert len(added.media) == 3
    assert lost.media.joinpath("perro.jpg").read_bytes() == b"another dog"


def test_an_import_that_would_cost_a_one_way_sync_is_refused(lost: Lost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Collection.import_anki_package

    def careless(collection: Collection, request: object) -> object:
        log = real(collection, request)  # type: ignore[arg-type]
        collection.set_schema_modified()
        return log

    monkeypatch.setattr(Collection, "import_anki_package", careless)
    before = lost.state()
    with pytest.raises(AnkiRefused, match="did more"):
        add_to_collection(lost.package, lost.collection, lost.scratch)
    assert lost.state() == before


def test_a_full_disk_leaves_the_profile_as_it_is(lost: Lost, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    before = lost.collection.read_bytes()

    def fill(step: str) -> None:
        if step == "prepare":
            monkeypatch.setattr(shutil, "copyfile", full)

    with pytest.raises(TargetUnusable, match="no space"):
        add_to_collection(lost.package, lost.collection, lost.scratch, before_step=fill)
    assert lost.collection.read_bytes() == before
    assert not list(lost.collection.parent.glob(".recollect*"))


# Killed


_KILLED = """
import os, signal, sys
from pathlib import Path
from profiles.recovery.adding import add_to_collection
package, collection, scratch, at = sys.argv[1:]

def die(step):
    if step == at:
        os.kill(os.getpid(), signal.SIGKILL)

add_to_collection(Path(package), Path(collection), Path(scratch), before_step=die)
"""


@POSIX_ONLY
@pytest.mark.parametrize(
    ("at", "comes_back"),
    [("add-media", False), ("prepare", False), ("lock", False), ("swap-prepared", False), ("sync-installed", True)],
)
def test_killed_at_any_step_the_collection_is_as_before_or_complete_and_it_can_be_done_again(
    lost: Lost, at: str, comes_back: bool
) -> None:
    before = rows(lost.collection, lost.notes)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(lost.package), str(lost.collection), str(lost.scratch), at],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(adding.__file__).parents[2])},
    )
    assert killed.returncode == -signal.SIGKILL
    complete = rows(lost.copy, lost.notes)
    assert rows(lost.collection, lost.notes) == (complete if comes_back else before)
    found = {path.name: path.read_bytes() for path in lost.media.iterdir()}
    assert found.items() <= (MEDIA | {"mine.png": b"mine"}).items()

    add_to_collection(lost.package, lost.collection, lost.scratch)

    assert rows(lost.collection, lost.notes) == complete
    assert {path.name: path.read_bytes() for path in lost.media.iterdir()} == MEDIA | {"mine.png": b"mine"}
    if not comes_back:
        assert not list(lost.collection.parent.glob(".recollect*"))


def test_what_a_killed_run_left_among_the_media_goes_though_there_is_none_to_add(lost: Lost) -> None:
    add_to_collection(lost.package, lost.collection, lost.scratch)
    with opened(lost.collection) as anki:
        anki.remove_notes(anki.find_notes("note:Vocabulary or tag:pictured"))
    left = lost.media / ".recollect-0123456789abcdef.tmp"
    left.mkdir()
    (left / "file").write_bytes(b"half")
    added = add_to_collection(lost.package, lost.collection, lost.scratch)
    assert added.new == len(lost.notes)
    assert added.media == ()
    assert not left.exists()


def test_a_profile_without_a_media_folder_gets_none_for_notes_that_have_no_media(lost: Lost) -> None:
    bare = note_ids(lost.copy, "note:Vocabulary")
    cut(lost.copy, bare, lost.package, lost.scratch)
    shutil.rmtree(lost.media)
    assert add_to_collection(lost.package, lost.collection, lost.scratch).new == len(bare)
    assert not lost.media.exists()


@POSIX_ONLY
def test_what_a_crashed_anki_left_in_its_log_is_kept(lost: Lost) -> None:
    crash = (
        "import os, sys; from anki.collection import Collection\n"
        "collection = Collection(sys.argv[1])\n"
        "note = collection.new_note(collection.models.by_name('Basic')); note['Front'] = 'before the crash'\n"
        "collection.add_note(note, 1); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", crash, str(lost.collection)], check=True)
    wal = lost.collection.with_name("collection.anki2-wal")
    assert wal.stat().st_size > 0
    add_to_collection(lost.package, lost.collection, lost.scratch)
    assert not wal.exists()
    assert len(note_ids(lost.collection, '"before the crash"')) == 1
    assert rows(lost.collection, lost.notes) == rows(lost.copy, lost.notes)
