"""The whole chain over every kind of store, and over stores that refuse, fill up or go away."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows.chains.backup import back_up, back_up_several
from flows.chains.prune import prune
from flows.chains.restore import restore
from recollect.errors import RecollectError
from storage.errors import NotARepository, StorageError, StoreFull, StoreReadOnly, StoreUnreachable
from storage.format.audit_row import Outcome
from storage.stores import local_medium
from storage.stores.address import open_store
from storage.stores.trouble import RetryRule
from tasks.repositories import make_named
from tests.faults.faulty_store import ANY, WRITING
from tests.flows.chains.backdating import backdate
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    back_up_well,
    digests,
    fronts,
    tables_of,
    through_faults,
)
from tests.servers.process import free_port
from tests.servers.rclone import sftp_server
from tests.servers.ssh_keys import make_ssh_keys
from tests.storage.conftest import EVERY_KIND_OF_STORE, Places, places

__all__ = ["places"]


PASSPHRASE = "correct horse battery staple"


@pytest.mark.parametrize(
    ("kind", "passphrase"),
    [*((kind, PASSPHRASE) for kind in EVERY_KIND_OF_STORE), ("local", None), ("s3-rclone", None)],
)
def test_a_profile_lives_through_backup_change_restore_and_prune(
    house: House, tmp_path: Path, places: Places, kind: str, passphrase: str | None
) -> None:
    place = places.new(kind)
    with house.set(repo=place.url, repo_options=dict(place.options), passphrase=passphrase) as there:
        if passphrase is None:
            make_named(secret=None)
        first_tables, first_media = tables_of(house.collection()), digests(house.media())
        result = back_up_several([], "default", back_up)
        assert [report.outcome for report in result.reports] == [Outcome.COMPLETED] * 2, result.summary()
        first = result.reports[0].row.snapshot
        assert back_up("Ada").row.reason == "nothing-changed"

        add_note(house.collection(), "second state")
        (house.media() / "blue.png").unlink()
        (house.media() / "large.bin").write_bytes(os.urandom(9_000_000))
        second = back_up_well()

        out = there.restored(tmp_path / "first", "Ada", str(first))
        assert (tables_of(out / COLLECTION), digests(out / MEDIA)) == (first_tables, first_media)
        shutil.rmtree(house.cache)
        out = there.restored(tmp_path / "second")
        assert (out / COLLECTION).read_bytes() == house.collection().read_bytes()
        assert digests(out / MEDIA) == digests(house.media())

        report = restore("Ada", str(first))
        assert report.outcome is Outcome.COMPLETED, report.message
        assert "second state" not in fronts(house.collection())
        assert digests(house.media()).items() >= first_media.items()

        old = backdate(there, "Ada", days=[300, 301])
        with there.set(repo=place.url, repo_options=dict(place.options), daily=0, weekly=0, monthly=0):
            reports = prune()
        assert [report.outcome for report in reports] == [Outcome.COMPLETED] * 2
        left = [ref.id for ref in there.snapshots()]
        assert set(left).isdisjoint(old)
        assert {str(first), second} <= set(left)
        assert {row.action for row in there.rows()} == {"backup", "restore", "prune"}


@pytest.mark.parametrize("scheme", ["s3", "sftp"])
def test_a_repository_that_does_not_answer_is_told_in_a_sentence(
    house: House, tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tasks.repositories.open_store", lambda *place: open_store(*place, retries=RetryRule(pause=lambda _: None))
    )
    port = free_port()
    url = "s3://bucket/backups" if scheme == "s3" else f"sftp://someone@127.0.0.1:{port}/backups"
    options: dict[str, Any] = {"endpoint_url": f"http://127.0.0.1:{port}", "key": "k" * 16, "secret": "s" * 16}
    with house.set(repo=url, repo_options=options if scheme == "s3" else {"known_hosts": None}):
        with pytest.raises(StoreUnreachable) as told:
            back_up("Ada")
        with pytest.raises(StoreUnreachable):
            restore("Ada", to=tmp_path / "out")
    assert "s" * 16 not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_read_only_server_refuses_a_backup_and_gives_a_restore(house: House, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    keys = make_ssh_keys(scratch)
    with (
        sftp_server(tmp_path / "served", scratch, keys=keys) as server,
        house.set(repo=server.url("house"), repo_options=server.options, passphrase=PASSPHRASE),
    ):
        back_up_well()
    add_note(house.collection(), "later")
    with (
        sftp_server(tmp_path / "served", scratch, keys=keys, read_only=True) as server,
        house.set(repo=server.url("house"), repo_options=server.options, passphrase=PASSPHRASE) as there,
    ):
        report = back_up("Ada")
        assert report.outcome is Outcome.FAILED
        assert any("has no row of this" in remark for remark in report.remarks)
        assert "later" not in fronts(there.restored(tmp_path / "out") / COLLECTION)


def test_a_folder_that_is_no_repository_is_left_alone_everywhere(house: House, places: Places) -> None:
    for kind in ("memory", "s3-rclone"):
        place = places.new(kind)
        place.open().write("holiday/beach.jpg", b"a picture")
        with house.set(repo=place.url, repo_options=dict(place.options)), pytest.raises(NotARepository):
            back_up("Ada")
        assert [item.name for item in place.open().list("")] == ["holiday/beach.jpg"]


# A full disk


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[bool]:
    """A disk of that size at `folder`, where this process may mount one; False where it may not."""
    folder.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    mounted = (
        sys.platform == "linux"
        and mount is not None
        and unmount is not None
        and os.geteuid() == 0
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
        == 0
    )
    try:
        yield mounted
    finally:
        if mounted and unmount is not None:
            subprocess.run([unmount, str(folder)], check=True)


def test_a_full_repository_disk_is_told_and_every_snapshot_stays_whole(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        small_disk(tmp_path / "disk", 2_000) as mounted,
        house.set(repo=str(tmp_path / "disk" / "repository")) as there,
    ):
        first = back_up_well()
        before = (house.collection().read_bytes(), digests(house.media()))
        (house.media() / "too large.bin").write_bytes(os.urandom(5_000_000))
        with monkeypatch.context() as patch:
            if not mounted:
                patch.setattr(local_medium, "_write_durably", _no_space)
            report = back_up("Ada")
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-full")
        assert [ref.id for ref in there.snapshots()] == [first]
        out = there.restored(tmp_path / "out")
        assert ((out / COLLECTION).read_bytes(), digests(out / MEDIA)) == before
        (house.media() / "too large.bin").unlink()
        assert back_up("Ada").outcome is Outcome.UNCHANGED


def _no_space(path: Path, _data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_full_disk_for_private_copies_is_told(house: House, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 200) as mounted:
        if not mounted:
            pytest.skip("this process may not mount a small disk")
        with house.set(cache=tmp_path / "disk" / "cache"):
            report = back_up("Ada")
            assert list((tmp_path / "disk" / "cache" / "staging").iterdir()) == []
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
    assert "no room" in report.message


def test_a_full_disk_under_a_restore_is_told_and_leaves_nothing_behind(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    # Somebody else fills it up after the restore has seen that there is room.
    monkeypatch.setattr("flows.chains.restore._refuse_full_disk", lambda _: None)
    with small_disk(tmp_path / "disk", 200) as mounted:
        if not mounted:
            pytest.skip("this process may not mount a small disk")
        report = restore("Ada", to=tmp_path / "disk" / "out")
        left = [path for path in (tmp_path / "disk").rglob("*") if path.is_file()]
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
    assert "no space" in report.message
    assert left == []


# A store that fails in the middle


@pytest.mark.parametrize("error", [StoreUnreachable, StoreFull, StoreReadOnly])
def test_a_store_that_fails_at_any_write_keeps_every_snapshot_whole(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[StorageError]
) -> None:
    first = back_up_well()
    before = (house.collection().read_bytes(), digests(house.media()))
    store = through_faults(monkeypatch)
    ended: list[Outcome] = []
    failing = 0
    while ended[-1:] != [Outcome.COMPLETED] and failing < 30:
        failing += 1
        add_note(house.collection(), f"change {failing}")
        (house.media() / "changing.bin").write_bytes(os.urandom(100_000))
        store.heal()
        # The row of the audit table is written last; its own test looks at it.
        store.fail(WRITING, nth=failing, every=True, error=error)
        report = back_up("Ada")
        ended.append(report.outcome)
        store.heal()
        if any("has no row" in remark for remark in report.remarks) and report.outcome is Outcome.COMPLETED:
            ended[-1] = Outcome.SKIPPED
        out = house.restored(tmp_path / "first", "Ada", first)
        assert ((out / COLLECTION).read_bytes(), digests(out / MEDIA)) == before
        shutil.rmtree(out)
        for ref in house.snapshots()[-2:]:
            shutil.rmtree(house.restored(tmp_path / "any", "Ada", ref.id))
        again = back_up("Ada")
        assert again.outcome in {Outcome.COMPLETED, Outcome.UNCHANGED}, again.message
        out = house.restored(tmp_path / "again")
        assert f"change {failing}" in fronts(out / COLLECTION)
        assert digests(out / MEDIA) == digests(house.media())
        shutil.rmtree(out)
    assert ended.count(Outcome.FAILED) >= 3
    assert ended[-1] is Outcome.COMPLETED


def test_a_store_that_fails_at_any_request_ends_in_a_sentence(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up_well()
    store = through_faults(monkeypatch)
    told = []
    for failing in range(1, 60):
        # A run that ends well takes in what the failed one before it left, so that every run has as much to do.
        store.heal()
        assert back_up("Ada").outcome is not Outcome.FAILED
        add_note(house.collection(), f"change {failing}")
        store.fail(ANY, nth=failing)
        before = len(store.requests)
        try:
            report = back_up("Ada")
        except RecollectError as trouble:
            told.append(str(trouble))
            continue
        if report.outcome is Outcome.FAILED:
            told.append(report.message)
        elif len(store.requests) - before < failing:
            break
    else:
        raise AssertionError("the chain never came to its end")
    assert len(told) >= 8
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in told)
