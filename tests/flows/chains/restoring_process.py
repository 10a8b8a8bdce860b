"""Processes that restore in place, to be killed.

argv: base, repository, cache, configuration, snapshot, and "exactly" where media that it lacks shall go. The moment at
which one shall kill itself is named as the order "moments" tells them: just before the n-th call of one kind ("2
tasks.restore_collection, profiles.replacing._replace: replace"). These are the calls by which anything on the disk is
changed, in whichever thread, and each kind is told with how often it was seen.

Where files are written through `os.write`, only a part is taken at a time, as POSIX allows: there are moments with half
a file on the disk, then.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from flows.chains.restore import restore
from flows.chains.restore_plan import Wanted
from recollect.settings import load_settings
from storage.format.audit_row import Outcome
from tasks import settings_in_force
from tests.flows.chains.killed_runs import obey

_HOUSE = ("flows.", "profiles.", "storage.", "tasks.")
_CHANGING = frozenset(
    {
        *("open", "write", "BufferedWriter.write", "fsync", "sync", "sendfile", "copy_file_range", "ftruncate"),
        *("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "utime"),
        *("chmod", "fchmod", "chown", "fchown", "lockf"),
        *("Connection.execute", "Connection.commit", "Connection.close"),
    }
)
_WRITTEN_AT_ONCE = 500_000

Hook = Callable[[FrameType, str, object], None]


def _name_of(frame: FrameType | None, call: str) -> str | None:
    """The call by the step that it belongs to, if to any, and by the function of the house that makes it."""
    maker, step = None, "no step"
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(_HOUSE):
            maker = maker or f"{module}.{frame.f_code.co_name}"
            if module.startswith("tasks."):
                step = module
                break
        frame = frame.f_back
    return f"{step}, {maker}: {call}" if maker else None


def watching(seen: Callable[[str], None]) -> Hook:
    """What the interpreter shall call, to have `seen` called with the name of every call that is about to be made."""

    def on_event(frame: FrameType, event: str, called: object) -> None:
        call = getattr(called, "__qualname__", "") if event == "c_call" else ""
        if call in _CHANGING and (name := _name_of(frame, call)):
            seen(name)

    return on_event


def _killing_at(moment: str) -> Callable[[str], None]:
    nth, _, wanted = moment.partition(" ")
    left = itertools.count(int(nth) - 1, -1)  # a step of its own, which no other thread can come between

    def seen(name: str) -> None:
        if name == wanted and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return seen


def _watch(hook: Hook | None) -> None:
    threading.setprofile(hook)
    sys.setprofile(hook)


def run(snapshot: str, wanted: Wanted, moment: str) -> str:
    """One restore in place; tells the moments there were, where it was asked for them."""
    moments: Counter[str] = Counter()
    write = os.write
    os.write = lambda descriptor, data: write(descriptor, data[:_WRITTEN_AT_ONCE])  # type: ignore[assignment]
    if moment != "0":
        _watch(watching((lambda name: moments.update([name])) if moment == "moments" else _killing_at(moment)))
    try:
        report = restore("Ada", snapshot, wanted=wanted)
    finally:
        _watch(None)
    assert report.outcome is Outcome.COMPLETED, report.message
    return json.dumps(moments)


def main(base: Path, repo: str, cache: Path, config: Path, snapshot: str, wanted: Wanted) -> None:
    settings = {"base": base, "repo": repo, "cache": cache, "state": cache.with_name("state")}
    with settings_in_force.using(load_settings(settings, config=config)):
        obey(lambda moment: run(snapshot, wanted, moment))


if __name__ == "__main__":
    what = Wanted(exact_media=sys.argv[6:] == ["exactly"])
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5], what)
