"""Runs on a real Prefect server that somebody cancels, or whose worker is killed: each costs what it did, no more.

The tests go on where the one before them ended.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.automations import REFRESH, ZOMBIES
from flows.chains.verify import verify
from flows.restore import RESTORE
from recollect.settings import load_settings
from storage.format.audit_row import AuditRow, Outcome
from storage.format.manifest import Manifest
from tasks.machine_lock import MachineLock
from tasks.profiles_here import found_profiles, key_of
from tasks.repositories import open_named
from tasks.settings_in_force import using
from tests.deployments.gate import Gate, gate
from tests.deployments.hastened import end_in_silence, hastened
from tests.deployments.workplace import HOST, Workplace, deployed, until, working
from tests.flows.chains.house import MEDIA, add_note, digests, fronts, sample_base
from tests.flows.on_prefect import pressed
from tests.servers.prefect_server import OURS, prefect_server
from tests.servers.process import ServerProcess

__all__ = ["sample_base"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")


@pytest.fixture(scope="module")
def place(sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Ada's and Ben's computer, named in the deployments; a worker comes with each test."""
    scratch = tmp_path_factory.mktemp("broken-off")
    with prefect_server(scratch, OURS) as server:
        place = deployed(server, sample_base, scratch / "home")
        place.register("Ada", "Ben")
        # Nothing else is to run beside.
        place.send("PATCH", f"automations/{place.automation(REFRESH)['id']}", {"enabled": False})
        yield place


@pytest.fixture(scope="module")
def worker(place: Workplace) -> Iterator[subprocess.Popen[bytes]]:
    """The worker of the first tests; one of them kills it."""
    with working(place) as started:
        yield started


@pytest.fixture(scope="module")
def held_up() -> Iterator[Gate]:
    with gate() as opened:
        yield opened


@contextmanager
def at_home(place: Workplace) -> Iterator[None]:
    """What is done within the block is done on that computer, by this process."""
    folders = {name: place.folder / name for name in ("cache", "state")}
    given = {"base": place.base, "repo": str(place.folder / "repository"), "host": HOST, **folders}
    with using(load_settings(given, config=place.folder / "recollect.toml")):
        yield


def row_of(place: Workplace, run: str, action: str = "backup") -> AuditRow:
    (row,) = [row for row in place.rows() if (row.flow_run, row.action) == (run, action)]
    return row


def new_run(place: Workplace, deployment: str, known: set[str]) -> dict[str, Any] | None:
    """The first run of a deployment that is none of those known, once it has ended."""
    return next((run for run in place.runs(deployment, left_out=False) if run["id"] not in known), None)


def assert_cancelled(place: Workplace, run: str) -> None:
    ended = place.end_of(run)
    assert (ended["state_type"], ended["state_name"]) == ("CANCELLED", "Cancelled"), ended["state"]["message"]


def assert_nothing_is_left_of_it(place: Workplace, profile: str) -> None:
    """No run holds the profile, and neither in its folder nor in the repository lies what was being written."""
    assert list((place.folder / "cache" / "staging").iterdir()) == []
    left = [*place.base.rglob(".recollect-*"), *(place.folder / "repository").rglob("*.tmp")]
    assert left == []
    with at_home(place):
        (found,) = [found for found in found_profiles().profiles if found.name == profile]
        for lock in (place.folder / "state" / "under-way").glob(f"{key_of(found)}*"):
            with MachineLock(lock) as free:
                assert free.take(b"", alone=True)


def assert_whole(place: Workplace) -> None:
    """The repository is whole, and holds the snapshots that runs have told of, and no other."""
    with at_home(place):
        verified = verify().report
        assert verified.outcome is Outcome.COMPLETED, verified.message
        repository = open_named()
        stored = repository.snapshots()
        assert all(isinstance(found, Manifest) for found in repository.manifests(stored))
    told = {row.snapshot for row in place.rows() if row.action == "backup" and row.outcome is Outcome.COMPLETED}
    assert {ref.id for ref in stored} == told


@pytest.mark.usefixtures("worker")
def test_a_backup_that_is_cancelled_ends_as_such_and_leaves_nothing_half_done(place: Workplace, held_up: Gate) -> None:
    run = place.start("Ada on laptop", held_up.at("until-ended object packs/"))
    with held_up.held() as held:
        place.cancel(run)
        held.ends()

    assert_cancelled(place, run)
    assert "It was stopped from outside before it was done. Nothing is broken by that" in place.log_of(run)
    row = row_of(place, run)
    assert (row.profile, row.outcome, row.reason) == ("Ada", Outcome.FAILED, "interrupted")
    assert_nothing_is_left_of_it(place, "Ada")
    again = place.end_of(place.start("Ada on laptop"))
    assert again["state_name"] == "Completed", again["state"]["message"]
    assert_whole(place)


@pytest.mark.usefixtures("worker")
def test_a_restore_that_is_cancelled_among_the_media_leaves_each_file_whole(place: Workplace, held_up: Gate) -> None:
    media = place.base / "Ada" / MEDIA
    before, notes = digests(media), fronts(place.collection("Ada"))
    for file in media.iterdir():
        file.unlink()
    add_note(place.collection("Ada"), "too much")
    run = place.start("restore-profile", held_up.at("until-ended media 3"), profile="Ada", in_place=True)
    until(lambda: place.run_of(run)["state_type"] == "PAUSED")
    pressed(f"{place.server.api_url}/flow_runs/{run}/resume", {"run_input": {"answer": RESTORE}})
    with held_up.held() as held:
        place.cancel(run)
        held.ends()

    assert_cancelled(place, run)
    assert fronts(place.collection("Ada")) == notes
    assert 0 < len(digests(media)) < len(before)
    assert digests(media).items() <= before.items()
    row = row_of(place, run, "restore")
    assert (row.profile, row.outcome, row.reason) == ("Ada", Outcome.FAILED, "interrupted")
    assert f"The collection of the snapshot {row.snapshot} is restored in " in (row.message or "")
    assert "but not all of its media: It was stopped from outside" in (row.message or "")
    assert row.message in place.log_of(run)
    assert_nothing_is_left_of_it(place, "Ada")

    again = place.start("restore-profile", profile="Ada", in_place=True, ask=False, snapshot=row.snapshot)
    assert place.end_of(again)["state_name"] == "Completed"
    assert digests(media) == before
    assert_whole(place)


@pytest.mark.usefixtures("worker")
def test_all_profiles_are_cancelled_with_the_run_that_started_them(place: Workplace, held_up: Gate) -> None:
    run = place.start("back-up-all", held_up.at("until-stopped object packs/"))
    with held_up.held() as held:
        place.cancel(run)
        held.ends()

    assert_cancelled(place, run)
    ended = {child["id"]: place.end_of(child["id"])["state_name"] for child in place.children_of(run)}
    assert set(ended.values()) <= {"Cancelled", "Completed", "Unchanged"}
    stopped = {child for child, state in ended.items() if state == "Cancelled"}
    rows = [row for row in place.rows() if row.flow_run in stopped]
    assert {(row.outcome, row.reason) for row in rows} == {(Outcome.FAILED, "interrupted")}
    assert_nothing_is_left_of_it(place, rows[0].profile)


def test_a_run_whose_worker_is_killed_goes_on_and_ends_well(
    place: Workplace, held_up: Gate, worker: subprocess.Popen[bytes]
) -> None:
    add_note(place.collection("Ben"), "while a worker is killed")
    run = place.start("Ben on laptop", held_up.at("object packs/"))
    with held_up.held() as held:
        worker.kill()
        worker.wait()
        held.goes_on()
        held.ends()

    ended = place.end_of(run)
    assert ended["state_name"] == "Completed", ended["state"]["message"]
    assert row_of(place, run).outcome is Outcome.COMPLETED
    assert_nothing_is_left_of_it(place, "Ben")


def test_a_worker_that_is_killed_with_its_run_costs_nothing(place: Workplace, held_up: Gate) -> None:
    add_note(place.collection("Ada"), "when all was killed")
    with hastened(place, ZOMBIES, 540), working(place) as worker:
        run = place.start("Ada on laptop", held_up.at("object snapshots/"))
        with held_up.held() as held:
            ServerProcess(0, worker).kill()
            held.ends()
        assert place.run_of(run)["state_name"] == "Running"
        ended = end_in_silence(place, run)
    assert (ended["state_type"], ended["state_name"]) == ("CRASHED", "Crashed")
    assert "Nothing is broken by that; the next run does the work." in ended["state"]["message"]
    torn = [file for file in (place.folder / "repository" / "snapshots").rglob("*.tmp") if file.stat().st_size]
    assert len(torn) == 1
    assert_whole(place)

    soon = f"DTSTART:{datetime.now(UTC):%Y%m%dT%H%M%SZ}\nRRULE:FREQ=SECONDLY;INTERVAL=10;COUNT=12"
    with working(place):
        earlier = {run["id"] for run in place.all_runs("Ada on laptop")}
        place.reschedule("Ada on laptop", {"rrule": soon, "timezone": "UTC"})
        later = until(lambda: new_run(place, "Ada on laptop", earlier))
    assert later["auto_scheduled"]
    assert later["state_name"] == "Completed", later["state"]["message"]
    assert_whole(place)
