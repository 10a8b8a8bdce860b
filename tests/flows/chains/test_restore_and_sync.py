"""After a restore in place, with Anki's own sync server and a second device: nothing is lost that nobody let go.

What a copy by hand does in the same story stands beside it, under `test_what_is_prevented_...`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.chains.restore import restore
from flows.chains.restore_plan import Wanted, plan_restore
from flows.chains.undo import undo
from profiles.media_sync_record import MEDIA_SYNC_RECORD
from profiles.unicase import register
from storage.format.audit_row import Outcome
from tasks.media_sync import ForeseenDeletions
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    answer_a_card,
    back_up_well,
    fronts,
    opened,
)
from tests.flows.chains.killed_runs import runs_of
from tests.servers.anki_sync import AnkiSyncServer, anki_sync_server

# One for each test: they share a server, and no user sees another's.
_USERS = {f"user{number}": "secret" for number in range(20)}
_NEXT_USER = iter(_USERS)

# `graves` holds what a server has yet to be told, the others what each device counts for itself.
_OWN_TO_A_DEVICE = frozenset({"col", "graves", "sqlite_stat1", "sqlite_stat4"})

Content = dict[str, list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnkiSyncServer]:
    with anki_sync_server(tmp_path_factory.mktemp("server"), _USERS) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Devices:
    """Ada's computer and her phone, in sync through a server; and a snapshot from before both were last changed."""

    house: House
    server: AnkiSyncServer
    user: str
    scratch: Path
    snapshot: str
    by_hand: Path
    """A copy of the profile's folder as the snapshot holds it, as a careful person makes it."""

    @property
    def home(self) -> Path:
        return self.house.collection()

    @property
    def phone(self) -> Path:
        return self.scratch / "phone" / COLLECTION

    def sync(self, device: Path, *, upload: bool | None = None) -> str:
        with opened(device) as anki:
            return self.server.sync(anki, self.user, upload=upload)

    def sync_all_media(self) -> None:
        for device in (self.home, self.phone):
            with opened(device) as anki:
                self.server.sync_media(anki, self.user)

    def on_the_server(self) -> Content:
        """What a new device gets that downloads everything."""
        device = self.scratch / "new device" / COLLECTION
        device.parent.mkdir()
        try:
            assert self.sync(device, upload=False) in {"FULL_SYNC", "FULL_DOWNLOAD"}
            return content_of(device)
        finally:
            shutil.rmtree(device.parent)

    def media_on_the_server(self) -> dict[str, bytes]:
        return files_in(self.server.base / self.user / "media")

    def media_of(self, device: Path) -> dict[str, bytes]:
        return files_in(device.with_name(MEDIA))

    def restore_well(self) -> None:
        report = restore("Ada", self.snapshot)
        assert report.outcome is Outcome.COMPLETED, report.message


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def content_of(collection: Path) -> Content:
    """Every row a person could miss, in a closed collection; without the numbers that tell what was synced."""
    with closing(sqlite3.connect(f"{collection.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        register(database)
        tables = [name for (name,) in database.execute("select name from sqlite_schema where type = 'table'")]
        found: Content = {}
        for table in sorted(set(tables) - _OWN_TO_A_DEVICE):
            # A sync stamps every setting anew, whatever is in it.
            left_out = {"usn", "mtime_secs"} if table == "config" else {"usn"}
            columns = [row[1] for row in database.execute(f'pragma table_info("{table}")') if row[1] not in left_out]
            chosen = ", ".join(f'"{column}"' for column in columns)
            found[table] = sorted(database.execute(f'select {chosen} from "{table}"').fetchall(), key=repr)
    assert {"notes", "cards", "revlog", "notetypes", "decks", "tags"} <= found.keys()
    return found


def change_media(folder: Path) -> None:
    """A picture less, one drawn over, and one more."""
    (folder / "blue.png").unlink()
    (folder / "red.png").write_bytes(b"painted over since")
    (folder / "since.png").write_bytes(b"drawn since")
    for name in ("red.png", "since.png"):
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture
def devices(server: AnkiSyncServer, house: House, tmp_path: Path) -> Devices:
    user, home = next(_NEXT_USER), house.collection()
    (tmp_path / "phone").mkdir()
    with opened(home) as anki:
        assert server.sync(anki, user, upload=True) == "FULL_UPLOAD"
    shutil.copytree(house.folder(), tmp_path / "by hand")
    made = Devices(house, server, user, tmp_path, back_up_well(), tmp_path / "by hand")
    assert made.sync(made.phone, upload=False) == "FULL_DOWNLOAD"
    made.sync_all_media()
    with opened(home) as anki:
        anki.remove_notes(anki.find_notes("deck:Geography"))
    add_note(home, "written since at home")
    answer_a_card(home)
    change_media(house.media())
    assert made.sync(home) == "NO_CHANGES"
    add_note(made.phone, "written since on the phone")
    for device in (made.phone, home):
        assert made.sync(device) == "NO_CHANGES"
    made.sync_all_media()
    assert content_of(home) == content_of(made.phone) == made.on_the_server()
    assert made.media_of(home) == made.media_of(made.phone) == made.media_on_the_server()
    return made


# The collection


def test_a_restore_alone_changes_nothing_elsewhere_and_the_next_sync_only_asks(devices: Devices) -> None:
    elsewhere = devices.on_the_server()
    as_backed_up = content_of(devices.by_hand / COLLECTION)
    assert elsewhere != as_backed_up
    devices.restore_well()

    for _ in range(2):
        with opened(devices.home) as anki:
            assert devices.server.needed(anki, devices.user) == "FULL_SYNC"
        assert devices.sync(devices.home) == "FULL_SYNC"
        assert content_of(devices.home) == as_backed_up
        assert devices.on_the_server() == elsewhere
    assert devices.sync(devices.phone) == "NO_CHANGES"
    assert content_of(devices.phone) == elsewhere


def test_upload_gives_the_restored_state_to_the_server_and_to_every_device(devices: Devices) -> None:
    as_backed_up = content_of(devices.by_hand / COLLECTION)
    devices.restore_well()

    assert devices.sync(devices.home, upload=True) == "FULL_SYNC"
    assert content_of(devices.home) == devices.on_the_server() == as_backed_up
    assert devices.sync(devices.phone) == "FULL_SYNC"
    assert "written since on the phone" in fronts(devices.phone)
    assert devices.sync(devices.phone, upload=False) == "FULL_SYNC"
    assert content_of(devices.phone) == as_backed_up
    assert_life_goes_on(devices)


def test_download_brings_back_what_was_on_the_server(devices: Devices) -> None:
    elsewhere = devices.on_the_server()
    devices.restore_well()

    assert devices.sync(devices.home, upload=False) == "FULL_SYNC"
    assert content_of(devices.home) == devices.on_the_server() == elsewhere
    assert devices.sync(devices.phone) == "NO_CHANGES"
    assert content_of(devices.phone) == elsewhere
    assert_life_goes_on(devices)


def test_what_was_studied_between_the_restore_and_the_answer_goes_up_with_it(devices: Devices) -> None:
    devices.restore_well()
    add_note(devices.home, "written after the restore")
    answer_a_card(devices.home)
    mine = content_of(devices.home)

    assert devices.sync(devices.home) == "FULL_SYNC"
    assert devices.sync(devices.home, upload=True) == "FULL_SYNC"
    assert content_of(devices.home) == devices.on_the_server() == mine


def test_a_restore_of_the_safety_snapshot_takes_a_wrong_restore_back_for_every_device(devices: Devices) -> None:
    elsewhere = devices.on_the_server()
    devices.restore_well()
    assert devices.sync(devices.home, upload=True) == "FULL_SYNC"
    (safety,) = [ref for ref in devices.house.snapshots() if devices.house.manifest(ref).facts["purpose"] == "safety"]

    assert restore("Ada", safety.id).outcome is Outcome.COMPLETED
    assert devices.sync(devices.home, upload=True) == "FULL_SYNC"
    assert content_of(devices.home) == devices.on_the_server() == elsewhere


def test_what_is_prevented_a_collection_copied_over_by_hand_is_silently_undone_by_the_next_sync(
    devices: Devices,
) -> None:
    """The server's deletions and changes since are simply told to the old file again, and nobody is asked."""
    elsewhere = devices.on_the_server()
    as_backed_up = content_of(devices.by_hand / COLLECTION)
    shutil.copyfile(devices.by_hand / COLLECTION, devices.home)
    assert content_of(devices.home) == as_backed_up
    assert as_backed_up["notes"] != elsewhere["notes"]

    assert devices.sync(devices.home) == "NO_CHANGES"
    assert content_of(devices.home)["notes"] == elsewhere["notes"]
    assert devices.on_the_server()["notes"] == elsewhere["notes"]


def assert_life_goes_on(devices: Devices) -> None:
    """A note from each device reaches the other, by ordinary syncs."""
    for device in (devices.phone, devices.home):
        add_note(device, f"later, from {device.parent.name}")
    for device in (devices.phone, devices.home, devices.phone):
        assert devices.sync(device) == "NO_CHANGES"
    assert content_of(devices.phone) == content_of(devices.home) == devices.on_the_server()
    assert {"later, from Ada", "later, from phone"} <= fronts(devices.phone)


# The media


def test_media_that_came_back_go_up_and_none_is_deleted_anywhere(devices: Devices) -> None:
    before = devices.media_on_the_server()
    as_backed_up = files_in(devices.by_hand / MEDIA)
    assert before["red.png"] != as_backed_up["red.png"]
    assert "blue.png" not in before
    devices.restore_well()

    # Anki syncs media by itself every quarter of an hour, before anyone has answered for the collection.
    devices.sync_all_media()
    wanted = {**as_backed_up, "since.png": b"drawn since"}
    assert devices.media_of(devices.home) == devices.media_of(devices.phone) == wanted
    assert devices.media_on_the_server() == wanted


@pytest.mark.parametrize("upload", [True, False])
def test_neither_answer_costs_a_media_file(devices: Devices, upload: bool) -> None:
    everything = {*files_in(devices.by_hand / MEDIA), *devices.media_on_the_server()}
    devices.restore_well()
    assert devices.sync(devices.home, upload=upload) == "FULL_SYNC"
    if upload:
        assert devices.sync(devices.phone, upload=False) == "FULL_SYNC"

    for _ in range(2):
        devices.sync_all_media()
    assert everything == {*devices.media_of(devices.home)} == {*devices.media_of(devices.phone)}
    assert everything == {*devices.media_on_the_server()}


def test_media_taken_away_by_request_goes_everywhere_and_comes_back_everywhere_when_that_is_undone(
    devices: Devices,
) -> None:
    before, as_backed_up = devices.media_on_the_server(), files_in(devices.by_hand / MEDIA)
    report = restore("Ada", devices.snapshot, wanted=Wanted(exact_media=True))
    assert report.outcome is Outcome.COMPLETED, report.message
    devices.sync_all_media()
    assert devices.media_of(devices.home) == devices.media_of(devices.phone) == as_backed_up
    assert devices.media_on_the_server() == as_backed_up

    assert undo("Ada").outcome is Outcome.COMPLETED
    devices.sync_all_media()
    # An undoing deletes nothing either, so what the restore had brought back stays.
    assert devices.media_of(devices.home) == devices.media_of(devices.phone) == {**as_backed_up, **before}
    assert devices.media_on_the_server() == {**as_backed_up, **before}


def test_what_a_restore_puts_back_into_an_emptied_media_folder_is_not_taken_for_deleted(devices: Devices) -> None:
    as_backed_up = files_in(devices.by_hand / MEDIA)
    empty(devices.house.media())
    devices.restore_well()

    devices.sync_all_media()
    # Of what came after the backup nothing is known here but that it is gone.
    for found in (devices.media_of(devices.home), devices.media_of(devices.phone), devices.media_on_the_server()):
        assert as_backed_up.items() <= found.items()


def test_a_profile_lost_with_its_folder_gets_from_the_server_what_came_after_the_backup(devices: Devices) -> None:
    elsewhere, media = devices.on_the_server(), devices.media_on_the_server()
    as_backed_up = files_in(devices.by_hand / MEDIA)
    shutil.rmtree(devices.house.folder())
    devices.restore_well()

    assert devices.sync(devices.home, upload=False) == "FULL_SYNC"
    devices.sync_all_media()
    assert content_of(devices.home) == elsewhere
    # Nobody here can know any more which of the two is newer: Anki takes the server's.
    merged = {**as_backed_up, **media}
    assert devices.media_of(devices.home) == devices.media_of(devices.phone) == merged
    assert devices.media_on_the_server() == merged


def test_what_is_neither_here_nor_restored_is_foretold_to_go_and_goes_everywhere(devices: Devices) -> None:
    (devices.house.media() / "since.png").unlink()
    plan = plan_restore(devices.house.repository, "Ada", devices.snapshot)
    assert plan.media.foreseen == ForeseenDeletions(("since.png",))
    assert "neither here nor restored: 1 ('since.png')" in plan.as_text()
    report = restore("Ada", devices.snapshot)
    assert set(plan.media.foreseen.remarks()) <= set(report.remarks)

    before = {*devices.media_on_the_server(), *devices.media_of(devices.phone)}
    devices.sync_all_media()
    wanted = (before | files_in(devices.by_hand / MEDIA).keys()) - {"since.png"}
    assert devices.media_on_the_server().keys() == devices.media_of(devices.phone).keys() == wanted


def test_what_was_foretold_to_go_stays_where_the_record_was_moved_away_as_the_plan_says(devices: Devices) -> None:
    before = devices.media_on_the_server()
    (devices.house.media() / "since.png").unlink()
    devices.restore_well()
    record = devices.house.folder() / MEDIA_SYNC_RECORD
    record.rename(devices.scratch / "moved away")
    assert plan_restore(devices.house.repository, "Ada", devices.snapshot).media.foreseen == ForeseenDeletions()

    devices.sync_all_media()
    wanted = {**files_in(devices.by_hand / MEDIA), **before}
    assert devices.media_on_the_server() == devices.media_of(devices.phone) == wanted
    assert devices.media_of(devices.home) == wanted


def test_a_newer_file_on_the_server_comes_back_though_its_name_was_foretold_to_go(devices: Devices) -> None:
    (devices.house.media() / "since.png").unlink()
    drawn_anew = devices.phone.with_name(MEDIA) / "since.png"
    drawn_anew.unlink()
    drawn_anew.write_bytes(b"drawn anew on the phone")
    with opened(devices.phone) as anki:
        devices.server.sync_media(anki, devices.user)
    devices.restore_well()

    devices.sync_all_media()
    assert devices.media_of(devices.home)["since.png"] == b"drawn anew on the phone"
    assert devices.media_on_the_server()["since.png"] == b"drawn anew on the phone"


def test_nothing_is_foretold_to_go_that_the_restore_brings_back(devices: Devices) -> None:
    empty(devices.house.media())
    as_backed_up = files_in(devices.by_hand / MEDIA)
    everything = plan_restore(devices.house.repository, "Ada", devices.snapshot).media.foreseen.names
    assert everything == ("since.png",)
    only = Wanted(only=("collection", "red.png"))
    some = plan_restore(devices.house.repository, "Ada", devices.snapshot, wanted=only).media.foreseen.names
    # Of those that were taken away since by a person, a sync has told everybody.
    assert set(some) == {*as_backed_up, "since.png"} - {"red.png", "blue.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_a_killed_restore_left_half_written_is_sent_to_no_server_and_no_device(devices: Devices) -> None:
    house, media = devices.house, devices.house.media()
    before = {path.name for path in media.iterdir()}
    places = [str(house.base), house.repo, str(house.cache), str(house.config)]
    with runs_of("tests.flows.chains.restoring_process", *places, devices.snapshot) as runs:
        assert runs.killed_at("1 tasks.restore_media, profiles.durable.sync_descriptor: fsync")
    left = [path for path in media.rglob("*") if path.is_file() and path.name not in before]
    assert any(path.stat().st_size for path in left)

    devices.sync_all_media()
    assert not [name for name in devices.media_on_the_server() if name.startswith(".recollect-")]
    assert set(devices.media_on_the_server()) == set(devices.media_of(devices.phone)) == before
    devices.restore_well()
    assert not list(media.glob(".recollect-*"))


def test_what_is_prevented_an_older_media_folder_put_in_place_by_hand_deletes_what_is_newer_everywhere(
    devices: Devices,
) -> None:
    assert "since.png" in devices.media_of(devices.phone)
    empty(devices.house.media())
    for path in (devices.by_hand / MEDIA).iterdir():
        shutil.copy2(path, devices.house.media())

    devices.sync_all_media()
    assert "since.png" not in devices.media_on_the_server()
    assert "since.png" not in devices.media_of(devices.phone)
