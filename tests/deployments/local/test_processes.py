"""Child processes: how they end with this one, and how they are started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deployments.local import child as child_module
from deployments.local import processes
from deployments.local.home import Home, made
from deployments.local.lock import holder
from deployments.local.processes import Child, Kept, end_left_over, in_words, last_lines, shorten, start
from tests.deployments.local.until import eventually
from tests.servers.prefect_server import PROJECT

IDLING = "tests.deployments.local.idling"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}

KEEPING = """
import os, signal, sys
from pathlib import Path
from deployments.local.home import Home
from deployments.local.processes import start
signal.signal(signal.SIGINT, signal.SIG_IGN)
start("idler", ["tests.deployments.local.idling", *sys.argv[2:]], Home(Path(sys.argv[1])), os.environ)
print(flush=True)
input()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made(Home(tmp_path / "prefect"))


def said(home: Home) -> list[str]:
    return home.log_of("idler").read_text().splitlines()


def idler(home: Home, *arguments: str) -> Child:
    """A child that is ready."""
    started = start("idler", [IDLING, *arguments], home, ENVIRONMENT)
    eventually(lambda: any("ready" in line for line in said(home)))
    return started


def kept_by_another(home: Home, *arguments: str) -> subprocess.Popen[str]:
    """Another process with a child that is ready."""
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPING, str(home.folder), *arguments],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: home.log_of("idler").exists() and any("ready" in line for line in said(home)))
    return keeper


def test_a_child_holds_its_lock_works_in_the_home_and_ends_in_good_order(home: Home) -> None:
    child = idler(home, "an argument")
    assert holder(home.lock_of("idler")) == child.process.pid
    child.end()
    assert child.ended == 0
    assert holder(home.lock_of("idler")) is None
    assert said(home) == ["interruptible", "an argument ready", "an argument SIGTERM"]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")
def test_what_a_child_has_started_ends_in_good_order_before_it(home: Home) -> None:
    child = idler(home, "with another")
    child.end()
    assert said(home)[-2:] == ["another SIGTERM", "with another SIGTERM"]


@pytest.mark.skipif(os.name == "nt", reason="the tool is a script of the shell")
@pytest.mark.parametrize("ps", [None, "echo 1 2", "echo a b c"])
def test_a_child_ends_where_the_system_does_not_tell_what_it_has_started(
    ps: str | None, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    if ps is not None:
        (tmp_path / "bin" / "ps").write_text(f"#!/bin/sh\n{ps}\n")
        (tmp_path / "bin" / "ps").chmod(0o755)
    child = start("idler", [IDLING], home, {**ENVIRONMENT, "PATH": str(tmp_path / "bin")})
    eventually(lambda: "ready" in said(home))
    child.end()
    assert said(home)[-1] == "SIGTERM"


def test_a_child_that_does_not_end_is_ended_by_force(home: Home) -> None:
    child = idler(home, "stubborn")
    child.end(lambda: 0.2)
    assert child.ended == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")
def test_a_child_ends_in_good_order_when_its_parent_is_killed(home: Home) -> None:
    keeper = kept_by_another(home)
    keeper.kill()
    keeper.wait()
    eventually(lambda: holder(home.lock_of("idler")) is None)
    # Its parent ignored Ctrl-C, as what a shell starts in the background does, and it does not.
    assert said(home) == ["interruptible", "ready", "SIGTERM"]


def test_a_child_that_ignores_everything_ends_some_time_after_its_parent(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, for the thread that waits for the end would end this one."""
    assert child_module._OTHERS_END_WITHIN_S + child_module._PATIENCE_S < processes._LEFT_OVER_ENDS_WITHIN_S
    assert child_module._OTHERS_END_WITHIN_S + child_module._PATIENCE_S < processes.ENDS_WITHIN_S
    code = (
        "import signal, sys; from deployments.local import child\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child._PATIENCE_S = 0.1\n"
        "child._end_with_the_parent()\n"
        "import threading; threading.Event().wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")
def test_what_a_killed_parent_left_behind_is_ended_by_the_next_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = kept_by_another(home, "stubborn")
    left_over = holder(home.lock_of("idler"))
    monkeypatch.setattr(processes, "_LEFT_OVER_ENDS_WITHIN_S", 0.2)
    try:
        end_left_over(home, "idler")
        eventually(lambda: holder(home.lock_of("idler")) is None)
        assert left_over
    finally:
        keeper.kill()
        keeper.wait()


def test_a_second_child_of_the_same_name_does_not_run_beside_the_first(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = idler(home)
    monkeypatch.setattr(processes, "end_left_over", lambda *_: None)
    second = start("idler", [IDLING], home, ENVIRONMENT)
    assert second.process.wait() == child_module.TAKEN
    assert first.ended is None
    first.end()


class Ended:
    """A child that ended by itself."""

    name = "server"
    ended = -11


def test_a_child_that_ends_is_started_again_each_time_after_a_longer_while() -> None:
    now, told, starts = 0.0, list[str](), list[float]()

    def started() -> Any:
        starts.append(now)
        return Ended()

    kept = Kept(started, started(), lambda: now)
    while len(starts) < 10:
        kept.look_after(told.append)
        now += 0.5
    delays = [round(after - before) for before, after in pairwise(starts)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert told[0] == "The server ended by itself (by SIGSEGV); again in 1 s."
    assert told[1] == "The server is started again."


def test_a_child_that_ran_for_long_is_started_again_soon() -> None:
    now, told = 0.0, list[str]()
    ended: Any = Ended()
    kept = Kept(lambda: ended, ended, lambda: now)
    while len(told) < 10:
        kept.look_after(told.append)
        now += 0.5
    now += 3600.0
    kept.look_after(told.append)
    assert [told[8], told[-1]] == [
        "The server ended by itself (by SIGSEGV); again in 16 s.",
        "The server ended by itself (by SIGSEGV); again in 1 s.",
    ]


@pytest.mark.parametrize(("code", "words"), [(3, "with code 3"), (-9, "by SIGKILL"), (-200, "by signal 200")])
def test_how_a_process_ended_is_told_in_words(code: int, words: str) -> None:
    assert in_words(code) == words


def test_a_long_log_begins_anew_while_it_is_written_to_and_nothing_of_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_LARGEST_LOG", 10)
    log = tmp_path / "it.log"
    with log.open("ab", buffering=0) as written:
        written.write(b"short\n")
        shorten(log)
        assert log.read_bytes() == b"short\n"
        written.write(b"no more\n")
        shorten(log)
        written.write(b"new\n")
    assert (tmp_path / "it.log.1").read_bytes() == b"short\nno more\n"
    assert log.read_bytes() == b"new\n"
    assert last_lines(log) == "new"
