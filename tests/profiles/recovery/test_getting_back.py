"""The whole way: notes deleted in one of the ways there are, recovered from an older copy, and synced."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from anki.collection import Collection

from profiles.recovery.adding import add_to_collection
from profiles.recovery.apkg import cut_apkg
from profiles.recovery.choosing import choose_notes
from tests.profiles.recovery.living import (
    SCIENCE,
    SPANISH,
    add,
    deck_id_of,
    import_package,
    make_collection,
    note_ids,
    opened,
    rows,
    schema_modified,
)
from tests.servers.anki_sync import AnkiSyncServer, anki_sync_server

_USERS = {f"user{number}": "secret" for number in range(12)}
_NEXT_USER = itertools.cycle(_USERS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnkiSyncServer]:
    with anki_sync_server(tmp_path_factory.mktemp("server"), _USERS) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Devices:
    """Two devices of one user in sync, and an older copy of what both hold."""

    server: AnkiSyncServer
    user: str
    home: Path
    phone: Path
    copy: Path

    def sync(self, path: Path) -> str:
        with opened(path) as collection:
            return self.server.sync(collection, self.user)


@pytest.fixture
def devices(server: AnkiSyncServer, tmp_path: Path) -> Devices:
    made = Devices(
        server=server,
        user=next(_NEXT_USER),
        home=tmp_path / "home" / "collection.anki2",
        phone=tmp_path / "phone" / "collection.anki2",
        copy=tmp_path / "copy.anki2",
    )
    make_collection(made.home)
    with opened(made.home) as collection:
        assert server.sync(collection, made.user, upload=True) == "FULL_UPLOAD"
    shutil.copyfile(made.home, made.copy)
    made.phone.parent.mkdir()
    with opened(made.phone) as collection:
        assert server.sync(collection, made.user, upload=False) == "FULL_DOWNLOAD"
    return made


def in_the_browser(devices: Devices) -> None:
    with opened(devices.home) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SPANISH}"))
    devices.sync(devices.home)
    devices.sync(devices.phone)


def in_the_browser_and_not_yet_synced(devices: Devices) -> None:
    with opened(devices.home) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SPANISH}"))


def with_their_deck(devices: Devices) -> None:
    with opened(devices.home) as collection:
        collection.decks.remove([deck_id_of(collection, SPANISH)])
    devices.sync(devices.home)
    devices.sync(devices.phone)


def on_the_phone(devices: Devices) -> None:
    with opened(devices.phone) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SPANISH}"))
    devices.sync(devices.phone)
    devices.sync(devices.home)


def by_ankis_import(package: Path, collection: Path, scratch: Path) -> None:
    with opened(collection) as anki:
        import_package(anki, package)


def by_adding(package: Path, collection: Path, scratch: Path) -> None:
    added = add_to_collection(package, collection, scratch)
    assert (added.new, added.updated, added.duplicates, added.conflicting) == (12, 0, 0, 0)


@pytest.mark.parametrize("recover", [by_ankis_import, by_adding])
@pytest.mark.parametrize("delete", [in_the_browser, in_the_browser_and_not_yet_synced, with_their_deck, on_the_phone])
def test_deleted_notes_come_back_as_they_were_and_the_next_sync_carries_them_on(
    devices: Devices,
    tmp_path: Path,
    delete: Callable[[Devices], None],
    recover: Callable[[Path, Path, Path], None],
) -> None:
    chosen = choose_notes(devices.copy, decks=["languages::ESPAÑOL"]).notes
    original = rows(devices.copy, chosen)
    assert [len(original[table]) for table in ("notes", "cards", "reviews")] == [12, 24, 5]
    delete(devices)
    assert rows(devices.home, chosen) == {"notes": [], "cards": [], "reviews": []}
    with opened(devices.home) as collection:
        add(collection, "Basic", SCIENCE, ("written since", ""))
        others = [note for note in collection.find_notes("") if note not in chosen]
    kept, schema = rows(devices.home, others), schema_modified(devices.home)

    package = tmp_path / "notes.apkg"
    cut = cut_apkg(devices.copy, lambda _name: None, chosen, package, tmp_path)
    recover(package, devices.home, tmp_path)

    assert (cut.notes, cut.cards, cut.left_out) == (12, 24, ())
    assert rows(devices.home, chosen) == original
    assert rows(devices.home, others) == kept
    assert schema_modified(devices.home) == schema
    with opened(devices.home) as collection:
        assert _options(collection, SPANISH) == ("Slow", 7)
        assert devices.server.needed(collection, devices.user) == "NORMAL_SYNC"
        assert devices.server.sync(collection, devices.user) == "NO_CHANGES"
    assert devices.sync(devices.phone) == "NO_CHANGES"
    assert rows(devices.home, chosen) == original
    assert rows(devices.phone, chosen) == original
    assert rows(devices.phone, others) == kept
    with opened(devices.phone) as collection:
        assert _options(collection, SPANISH) == ("Slow", 7)
        assert set(collection.tags.all()) >= {"animal", "é", "verb::ser", "marked"}


def _options(collection: Collection, deck: str) -> tuple[str, int]:
    config = collection.decks.config_dict_for_deck_id(deck_id_of(collection, deck))
    return config["name"], config["new"]["perDay"]


def test_a_recovery_done_twice_changes_nothing_the_second_time(devices: Devices, tmp_path: Path) -> None:
    in_the_browser(devices)
    chosen = note_ids(devices.copy, "tag:animal")
    package = tmp_path / "notes.apkg"
    cut_apkg(devices.copy, lambda _name: None, chosen, package, tmp_path)
    add_to_collection(package, devices.home, tmp_path)
    once = devices.home.read_bytes()

    again = add_to_collection(package, devices.home, tmp_path)

    assert (again.new, again.duplicates, again.changed) == (0, len(chosen), False)
    assert devices.home.read_bytes() == once


def test_media_that_come_back_go_on_with_the_next_media_sync_and_cost_no_others(
    devices: Devices, tmp_path: Path
) -> None:
    with opened(devices.home) as collection:
        collection.media.write_data("mine.png", b"mine")
        note = add(collection, "Basic", SPANISH, ('<img src="perro.jpg">', "[sound:wuff.mp3]"))
        assert devices.server.sync(collection, devices.user) == "NO_CHANGES"
        devices.server.sync_media(collection, devices.user)
    shutil.copyfile(devices.home, devices.copy)
    with opened(devices.home) as collection:
        collection.remove_notes([note])
    package = tmp_path / "notes.apkg"
    cut_apkg(devices.copy, lambda name: [name.encode()], [note], package, tmp_path)

    assert add_to_collection(package, devices.home, tmp_path).media == ("perro.jpg", "wuff.mp3")

    for path in (devices.home, devices.phone):
        with opened(path) as collection:
            assert devices.server.sync(collection, devices.user) == "NO_CHANGES"
            devices.server.sync_media(collection, devices.user)
        media = path.with_name("collection.media")
        assert {file.name: file.read_bytes() for file in media.iterdir()} == {
            "mine.png": b"mine",
            "perro.jpg": b"perro.jpg",
            "wuff.mp3": b"wuff.mp3",
        }
    assert rows(devices.phone, [note]) == rows(devices.copy, [note])
