"""Ctrl-C and SIGTERM in the middle of a backup."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context

import pytest

from cli.progress import progress_bars
from cli.session import Stopped
from recollect.progress import current_progress
from tests.cli.desk import Desk, interrupted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")


@pytest.fixture
def busy_desk(desk: Desk) -> Desk:
    """Ada's and Ben's computer with so many sounds that storing them takes a while."""
    luck = random.Random(3)
    for profile in ("Ada", "Ben"):
        for number in range(16):
            (desk.base / profile / "collection.media" / f"long {number}.mp3").write_bytes(luck.randbytes(4 << 20))
    return desk


def first_pack_written(desk: Desk) -> Callable[[], bool]:
    return lambda: any(desk.repository.glob("packs/*/*.pack"))


def first_copy_begun(desk: Desk) -> Callable[[], bool]:
    return lambda: any(desk.staging.glob("*/*"))


@pytest.mark.parametrize(
    ("number", "code", "begun"),
    [(signal.SIGINT, 130, first_pack_written), (signal.SIGTERM, 143, first_copy_begun)],
)
def test_a_backup_that_is_stopped_leaves_a_row_and_nothing_half_done(
    busy_desk: Desk, number: signal.Signals, code: int, begun: Callable[[Desk], Callable[[], bool]]
) -> None:
    ended, out, err = interrupted(busy_desk, number, begun(busy_desk))
    assert (ended, out) == (code, "")
    assert "Stopped. What was stored before is untouched" in err
    assert "Traceback" not in err
    assert list(busy_desk.staging.iterdir()) == []
    rows = busy_desk.call("audit", "--json").json
    assert rows
    assert {(row["outcome"], row["reason"]) for row in rows} == {("failed", "interrupted")}
    assert busy_desk.call("snapshots", "--json").json == []
    again = busy_desk.call("backup", "--json")
    assert {row["profile"]: row["outcome"] for row in again.json} == {"Ada": "completed", "Ben": "completed"}


def test_profiles_side_by_side_are_all_stopped(busy_desk: Desk) -> None:
    """Once both have a snapshot they no longer wait for each other."""
    busy_desk.call("backup")
    luck = random.Random(4)
    for sound in busy_desk.base.glob("*/collection.media/long*"):
        sound.write_bytes(luck.randbytes(4 << 20))
    packs = set(busy_desk.repository.glob("packs/*/*.pack"))
    ended, _, err = interrupted(
        busy_desk, signal.SIGINT, lambda: set(busy_desk.repository.glob("packs/*/*.pack")) > packs
    )
    assert ended == 130
    assert "Traceback" not in err
    rows = busy_desk.call("audit", "--json", "--limit", "2").json
    assert {(row["profile"], row["reason"]) for row in rows} == {("Ada", "interrupted"), ("Ben", "interrupted")}
    assert len(busy_desk.call("snapshots", "--json").json) == 2


def test_a_signal_ends_work_in_a_thread_though_the_main_thread_never_hears_of_it() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        with current_progress().stage("work", None) as stage:
            begun.set()
            try:
                while True:
                    stage.advance(1)
            except Stopped:
                ended.set()

    def wait_for_work() -> None:
        with progress_bars():
            worker = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
            worker.start()
            begun.wait()
            # The system may choose any thread for a signal, and no other is woken from its waiting by it.
            signal.pthread_kill(worker.ident or 0, signal.SIGTERM)
            worker.join()

    with pytest.raises(Stopped) as stopped:
        wait_for_work()
    assert ended.is_set()
    assert stopped.value.signal_number == signal.SIGTERM


def test_no_new_stretch_of_work_begins_after_a_signal() -> None:
    with progress_bars():
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
        # The thread that hears of signals may be a moment behind the main one.
        with pytest.raises(Stopped):
            work_for_ever()


def work_for_ever() -> None:
    while True:
        with current_progress().stage("more", 1):
            pass


def test_signals_mean_again_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with progress_bars():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_second_signal_ends_the_command_at_once() -> None:
    """Even when the work never looks whether it should stop, as in a network call without an answer."""
    stuck = (
        "import sys, threading\n"
        "from cli.progress import progress_bars\n"
        "with progress_bars():\n"
        "    while True:\n"
        "        try:\n"
        "            print('ready', flush=True)\n"
        "            threading.Event().wait()\n"
        "        except KeyboardInterrupt:\n"
        "            print('once', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", stuck], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "once\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Once more stops at once." in err
