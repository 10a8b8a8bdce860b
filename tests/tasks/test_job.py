"""A job's private folder, and what it remembers from one run to the next."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flows.chains.backup import back_up
from profiles.discovery import Profile
from storage.repository import Repository
from tasks import profiles_here
from tasks.cache_trouble import CacheUnusable
from tasks.job import Job, job
from tasks.private_folder import staging_folder
from tasks.profiles_here import found_profiles
from tasks.repositories import open_named
from tests.flows.chains.house import House, back_up_well

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="modes and process ids of POSIX")


@pytest.fixture
def ada(house: House) -> Profile:
    return found_profiles().profiles[0]


@pytest.fixture
def repository(house: House) -> Repository:
    return open_named(create=True)


def a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@POSIX_ONLY
def test_only_the_owner_may_look_into_the_private_folder(house: House, ada: Profile, repository: Repository) -> None:
    old_mask = os.umask(0)
    try:
        with job(ada, repository) as work:
            for folder in (work.staging, work.staging.parent):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(old_mask)


@POSIX_ONLY
def test_a_staging_folder_that_others_could_read_is_closed_to_them(house: House) -> None:
    folder = house.cache / "staging"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    assert stat.S_IMODE(staging_folder().stat().st_mode) == 0o700


def test_the_private_folder_is_gone_however_the_job_ends(house: House, ada: Profile, repository: Repository) -> None:
    with job(ada, repository) as work:
        work.staged_collection.write_bytes(b"private")
    assert not work.staging.exists()
    with pytest.raises(KeyboardInterrupt), job(ada, repository):
        raise KeyboardInterrupt
    assert list(staging_folder().iterdir()) == []


@POSIX_ONLY
def test_what_killed_runs_left_is_swept_and_a_running_ones_is_not(
    house: House, ada: Profile, repository: Repository
) -> None:
    killed, other = staging_folder() / f"{a_dead_process()}-abc", staging_folder() / f"{os.getppid()}-def"
    unrelated = staging_folder() / "notes"
    for folder in (killed, other, unrelated):
        folder.mkdir()
        (folder / "collection.anki2").write_bytes(b"private")
    with job(ada, repository):
        assert not killed.exists()
        assert (other / "collection.anki2").exists()
        assert unrelated.exists()


def test_a_copy_that_no_run_can_still_need_is_swept_whoever_has_its_process_id(
    house: House, ada: Profile, repository: Repository
) -> None:
    stale, absurd = staging_folder() / f"{os.getpid()}-old", staging_folder() / f"{'9' * 40}-old"
    for folder in (stale, absurd):
        folder.mkdir()
        os.utime(folder, (1_700_000_000, 1_700_000_000))
    with job(ada, repository):
        assert not stale.exists()
        assert not absurd.exists()


def test_two_jobs_of_one_profile_have_folders_of_their_own(house: House, ada: Profile, repository: Repository) -> None:
    with job(ada, repository) as one, job(ada, repository) as other:
        assert one.staging != other.staging
        assert one.staging.exists()
        assert other.staging.exists()


def test_a_cache_that_is_a_file_is_told_in_a_sentence(house: House, ada: Profile, repository: Repository) -> None:
    shutil.rmtree(house.cache, ignore_errors=True)
    house.cache.write_text("in the way")
    with pytest.raises(CacheUnusable, match="Private copies can't be made in") as told, job(ada, repository):
        pass
    assert str(house.cache) in told.value.problem


@pytest.mark.parametrize("note", ["", "[1, 2]", "null", "{", '"text"', "NaN"])
def test_a_note_that_is_no_note_counts_as_none(
    house: House, ada: Profile, repository: Repository, note: str, tmp_path: Path
) -> None:
    work = Job(ada, repository, tmp_path)
    work.remember_run({"snapshot": "x"})
    work._memory.keep({}, {}, {"last run": note})
    assert work.last_run() == {}


def test_a_run_is_remembered_by_the_next_job_and_by_no_other_profile(
    house: House, ada: Profile, repository: Repository, tmp_path: Path
) -> None:
    Job(ada, repository, tmp_path).remember_run({"snapshot": "x", "taken_at_ns": 1})
    assert Job(ada, repository, tmp_path).last_run() == {"snapshot": "x", "taken_at_ns": 1}
    ben = found_profiles().profiles[1]
    assert Job(ben, repository, tmp_path).last_run() == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"stamp": None},
        {"stamp": {"main": 1}},
        {"taken_at_ns": "soon"},
        {"taken_at_ns": None},
        {"deletion_log": [0]},
        {"snapshot": "20200101T000000Z-00000000"},
    ],
)
def test_a_memory_that_says_something_odd_costs_a_look_and_hides_no_change(
    house: House, ada: Profile, tmp_path: Path, changed: dict[str, object]
) -> None:
    snapshot = back_up_well()
    assert back_up("Ada").row.reason == "nothing-changed"
    work = Job(ada, open_named(), tmp_path)
    work.remember_run(json.loads(json.dumps({**work.last_run(), **changed})))
    report = back_up("Ada")
    assert (report.row.snapshot, report.row.seconds_checksum is not None) == (snapshot, True)


def test_the_key_of_a_profile_tells_computers_and_folders_apart(house: House, ada: Profile) -> None:
    own = profiles_here.key_of(ada)
    with house.set(host="another"):
        assert profiles_here.key_of(ada) != own
    moved = Profile(ada.name, ada.folder.parent / "moved", ada.listed)
    assert profiles_here.key_of(moved) != own
    assert profiles_here.key_of(ada) == own
    assert own.startswith("Ada-")
