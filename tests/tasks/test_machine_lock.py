"""Locks between processes and threads."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.machine_lock import LONGEST_NOTE, MachineLock

ROOT = Path(__file__).parents[2]
PROCESSES = 3
ORDERS = ("shared", "alone", "leave")


@dataclass
class Locker:
    """A process that takes the lock when it is told to."""

    file: Path
    process: subprocess.Popen[str] | None = None

    def does(self, order: str) -> bool:
        process = self.process = self.process or subprocess.Popen(
            [sys.executable, "-m", "tests.tasks.locking_process", str(self.file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{order}\n")
        process.stdin.flush()
        return {"True\n": True, "False\n": False}[process.stdout.readline()]

    def is_killed(self) -> None:
        """End it as the system does when there is no memory left, or a person who can't wait."""
        if self.process is not None:
            process, self.process = self.process, None
            process.kill()
            process.communicate()


@contextmanager
def lockers(file: Path) -> Iterator[list[Locker]]:
    made = [Locker(file) for _ in range(PROCESSES)]
    try:
        yield made
    finally:
        for locker in made:
            locker.is_killed()


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Locker]]:
    with lockers(tmp_path_factory.mktemp("locks") / "deep" / "ada") as made:
        yield made


@settings(deadline=None, max_examples=60)
@given(
    orders=st.lists(
        st.tuples(st.integers(0, PROCESSES - 1), st.sampled_from(ORDERS) | st.just("killed")), min_size=4, max_size=16
    )
)
def test_one_has_it_alone_or_any_number_share_it_whoever_comes_leaves_or_is_killed(
    group: list[Locker], orders: list[tuple[int, str]]
) -> None:
    held: dict[int, str] = {}
    for locker in group:
        locker.does("leave")
    for number, order in orders:
        held.pop(number, None)  # asking again gives back what it has
        if order == "killed":
            group[number].is_killed()
            continue
        others = set(held.values())
        free = {"shared": "alone" not in others, "alone": not others, "leave": False}[order]
        assert group[number].does(order) is free
        if free:
            held[number] = order


def test_threads_stand_against_each_other_as_processes_do(tmp_path: Path) -> None:
    taken = []

    def in_a_thread() -> None:
        with MachineLock(tmp_path / "ada") as lock:
            taken.append(lock.take(b"", alone=True))

    with MachineLock(tmp_path / "ada") as lock:
        assert lock.take(b"", alone=False)
        for _ in range(2):
            thread = Thread(target=in_a_thread)
            thread.start()
            thread.join()
    in_a_thread()
    assert taken == [False, False, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_process_that_was_forked_meanwhile_does_not_keep_it(tmp_path: Path) -> None:
    told, teller = os.pipe()
    with MachineLock(tmp_path / "ada") as lock:
        assert lock.take(b"", alone=True)
        child = os.fork()
        if not child:
            os.close(teller)
            os.read(told, 1)
            os._exit(0)
    with MachineLock(tmp_path / "ada") as lock:
        assert lock.take(b"", alone=True)
    os.close(teller)
    os.close(told)
    os.waitpid(child, 0)


def test_a_program_that_is_started_meanwhile_does_not_keep_it(tmp_path: Path) -> None:
    with MachineLock(tmp_path / "ada") as lock:
        assert lock.take(b"", alone=True)
        started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    with MachineLock(tmp_path / "ada") as lock:
        assert lock.take(b"", alone=True)
    started.communicate(b"\n")


def test_others_read_the_note_of_who_has_it_and_none_once_it_is_free(tmp_path: Path) -> None:
    with MachineLock(tmp_path / "ada") as other:
        with MachineLock(tmp_path / "ada") as holder:
            assert other.note() == b""
            holder.take(b"the holder of a long name", alone=True)
            assert other.note() == b"the holder of a long name"
        assert other.note() == b""
        with MachineLock(tmp_path / "ada") as holder:
            holder.take(b"short", alone=True)
            assert other.note() == b"short"
    assert (tmp_path / "ada").stat().st_size == LONGEST_NOTE


def test_who_shares_it_does_not_wipe_out_the_note_of_another(tmp_path: Path) -> None:
    for notes in itertools.permutations([b"one", b"two"]):
        with MachineLock(tmp_path / "ada") as stays, MachineLock(tmp_path / "ada") as other:
            with MachineLock(tmp_path / "ada") as goes:
                goes.take(notes[0], alone=False)
                stays.take(notes[1], alone=False)
            assert other.note() == notes[1]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_only_its_owner_may_look_into_it(tmp_path: Path) -> None:
    with MachineLock(tmp_path / "locks" / "ada"):
        assert (tmp_path / "locks").stat().st_mode & 0o077 == 0
        assert (tmp_path / "locks" / "ada").stat().st_mode & 0o077 == 0
