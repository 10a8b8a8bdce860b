"""Where the time of one action goes: `python -m bench.where RESULT.json backup|restore|prune …` (as `bench.action`).

A thread looks every few milliseconds at what every other thread does. What a thread computed since the last look
(Linux tells it to the nanosecond) goes to the innermost function of the project on its stack; so does the time it
waited, unless it waited for work. Thus native code counts for the function of ours that called it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_ROOMS = ("recollect", "profiles", "storage", "tasks", "flows", "cli")
_EVERY_S = 0.004
_SCHEDULER = Path("/proc/self/task")
_HANDING_OVER = ("threading.py", "queue.py", "concurrent/futures/thread.py", "concurrent/futures/_base.py")
LOADING = "loading modules"
ELSEWHERE = "outside of the project"


@dataclass(frozen=True, slots=True)
class Spent:
    """What one function cost, over all threads, in seconds; `waited` is for disks, servers and Python's lock."""

    function: str
    computed: float
    waited: float


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """An action in seconds; `native` is what threads computed that Python doesn't know, such as those of Arrow."""

    action: str
    wall: float
    computed: float
    native: float
    spent: tuple[Spent, ...]


class Watcher:
    """Watches the threads of this process from `start` to `stop`."""

    def __init__(self) -> None:
        self._computed: dict[str, float] = defaultdict(float)
        self._waited: dict[str, float] = defaultdict(float)
        self._seen: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._began, self._process = time.monotonic(), time.process_time()
        self._thread.start()

    def stop(self, action: str) -> Whereabouts:
        """End watching, and say what was seen."""
        wall, computed = time.monotonic() - self._began, time.process_time() - self._process
        self._ended.set()
        self._thread.join()
        names = sorted({*self._computed, *self._waited}, key=lambda name: -self._computed[name] - self._waited[name])
        spent = tuple(Spent(name, round(self._computed[name], 3), round(self._waited[name], 3)) for name in names)
        own = _computed_by(self._thread.native_id or 0) or 0.0
        native = max(0.0, computed - sum(self._computed.values()) - own)
        return Whereabouts(action, round(wall, 3), round(computed, 3), round(native, 3), spent)

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(_EVERY_S):
            now = time.monotonic()
            threads = {thread.ident: thread.native_id for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                native_id = threads.get(ident)
                if ident != threading.get_ident() and native_id is not None:
                    self._account(native_id, frame, now - before)
            before = now

    def _account(self, native_id: int, frame: FrameType, elapsed: float) -> None:
        computed = _computed_by(native_id)
        if computed is None:
            return
        spent = min(computed - self._seen.get(native_id, computed), elapsed)
        self._seen[native_id] = computed
        name = _function(frame)
        self._computed[name] += spent
        if not frame.f_code.co_filename.endswith(_HANDING_OVER):
            self._waited[name] += elapsed - spent


def _computed_by(native_id: int) -> float | None:
    """Seconds that a thread has computed so far; None when it has ended (or the system does not tell)."""
    try:
        # Documentation/scheduler/sched-stats.rst: time on the processor, time waiting for one (both in ns), turns.
        return int((_SCHEDULER / str(native_id) / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _function(frame: FrameType | None) -> str:
    """The innermost function of the project on a stack, or what else the thread is about."""
    while frame is not None:
        path = frame.f_code.co_filename
        if "importlib._bootstrap" in path:
            return LOADING
        if path.startswith(str(_ROOT)):
            inside = Path(path).relative_to(_ROOT)
            if inside.parts[0] in _ROOMS:
                return f"{inside.as_posix()}: {frame.f_code.co_qualname}"
        frame = frame.f_back
    return ELSEWHERE


def read_whereabouts(path: Path, action: str) -> Whereabouts:
    """What an earlier run of this module wrote, under the name `action`."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    spent = tuple(Spent(**one) for one in found["spent"])
    return Whereabouts(**{**found, "action": action, "spent": spent})


def main(arguments: list[str]) -> int:
    """Watch one action of `bench.action`, and write what was seen to the file named first."""
    target, *action = arguments
    watcher = Watcher()
    watcher.start()
    from bench.action import main as run  # noqa: PLC0415 - loading it is a part of what is watched

    code = run(action)
    seen = watcher.stop(action[0])
    Path(target).write_text(json.dumps(asdict(seen), indent=1), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
