"""Keeps the server and the worker running, from `recollect up` to Ctrl-C or `recollect down`.

Everything that runs is a child of this one process. Whoever wants to know whether it lives looks at its lock; whoever
wants it to end says so by a file (`home.wish_to_end`), which works on every system, and can't hit another process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from deployments.catalog import FOR_ALL, deployment_of, this_machine
from deployments.local.asking import is_well
from deployments.local.environment import joined_environment, own_api_url, worker_environment
from deployments.local.home import (
    Home,
    Record,
    forget_up,
    home_of,
    made,
    remember_port,
    remember_up,
    remembered_port,
)
from deployments.local.introducing import introduce
from deployments.local.lock import held
from deployments.local.plans import planned, planned_further
from deployments.local.processes import ENDS_WITHIN_S, Child, Kept, end_left_over, shorten
from deployments.local.server import SERVER, ServerNotUp, refuse_taken_port, start_server, wait_until_well
from deployments.local.telling import lines_when_up
from deployments.local.unattended import what_needs_a_person
from deployments.local.worker import WORKER, start_worker
from recollect.addresses import shown_url
from recollect.errors import RecollectError
from recollect.settings import Settings

_LOOKS_EVERY_S = 0.5
_SHORTENS_EVERY_S = 600.0
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

Tell = Callable[[str], None]


class UpAlready(RecollectError):
    """Another process keeps the server and the worker running, or is about to."""

    code = "up-already"


@dataclass(slots=True)
class Stop:
    """Whether everything is to end, and how urgently."""

    times: int = 0
    wish: Path | None = None
    """A file that wants the same once it is there."""
    _asked: threading.Event = field(default_factory=threading.Event)

    def ask(self, *_: object) -> None:
        """End everything; the second time, by force."""
        self.times += 1
        self._asked.set()

    def within(self, seconds: float) -> bool:
        """Wait for so long at most; whether all is to end."""
        return self._asked.wait(seconds) or (self.wish is not None and self.wish.exists())


@contextmanager
def asked_by_signals(stop: Stop) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a terminal that goes away end everything in good order; not what `nohup` holds off."""

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.ask()

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, asked) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def supervise(settings: Settings, stop: Stop, tell: Tell, show: Tell, *, port: int | None, join: str | None) -> None:
    """Bring everything up, `show` what is there, and keep it running until `stop`, or until `recollect down`.

    `tell` hears what happens meanwhile. With `join`, the address of a server's API, no server of its own is started.
    Raises UpAlready, PortTaken, ServerNotUp, NotRegistered, HomeUnusable and ServerSilent; whatever was started has
    ended by then.
    """
    home = made(home_of(settings))
    with ExitStack() as stack:
        if not stack.enter_context(held(home.lock)):
            raise UpAlready("Another `recollect up` is under way on this computer", "Leave it to that one")
        forget_up(home)
        stack.callback(forget_up, home)
        stop.wish = home.wish_to_end
        upkeep = _Upkeep(settings, home, tell, show, stop)
        stack.callback(upkeep.end)
        if join is None:
            upkeep.bring_up_server(port or remembered_port(home))
        else:
            upkeep.join(join)
        if upkeep.introduce():
            upkeep.keep()


@dataclass(slots=True)
class _Upkeep:
    """What runs, and whom to tell of it."""

    settings: Settings
    home: Home
    tell: Tell
    show: Tell
    stop: Stop
    api_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """That of the worker, which may hold secrets."""
    joined: bool = False
    kept: list[Kept] = field(default_factory=list)

    def bring_up_server(self, port: int) -> None:
        """Start the server and wait for its first answer."""
        # The port may still be in the hands of the processes of one that was killed.
        for left_over in (WORKER, SERVER):
            end_left_over(self.home, left_over)
        refuse_taken_port(port)
        self.tell("Starting the Prefect server; the first time takes up to a minute")
        server = self._started(lambda: start_server(self.home, port, os.environ))
        wait_until_well(self.home, server, port, self.stop.within, self.tell)
        remember_port(self.home, port)
        self.api_url = own_api_url(port)
        self.environment = worker_environment(os.environ, self.settings, self.home, self.api_url)

    def join(self, api_url: str) -> None:
        """Go by the server that is there."""
        if not is_well(api_url):
            raise ServerNotUp(
                f"No Prefect server answers at {shown_url(api_url)}",
                "Start it, or correct its address; without one named, `recollect up` starts a server of its own",
            )
        self.api_url, self.joined = api_url, True
        self.environment = joined_environment(os.environ, self.settings, api_url)

    def introduce(self) -> bool:
        """Register what this computer brings, start its worker, and say what there is; False when it is to stop."""
        self.tell("Registering the deployments")
        sentences = introduce(self.home, self.environment, self.stop.within, back_up_new=not self.joined)
        if sentences is None:
            return False
        machine = this_machine(self.settings)
        self._started(lambda: start_worker(self.home, machine.host, self.environment))
        remarks = (*sentences, *what_needs_a_person(self.settings))
        record = Record(os.getpid(), datetime.now(UTC), self.api_url, self.joined, remarks, ())
        plans = planned(self.api_url, [*(deployment_of(name, machine.host) for name in machine.profiles), *FOR_ALL])
        further = planned_further(self.api_url, machine)
        lines = lines_when_up(record.ui_url, plans, self.home, further=further, joined=self.joined)
        record = replace(record, lines=lines)
        remember_up(self.home, record)
        for remark in record.remarks:
            self.tell(remark)
        for line in record.lines:
            self.show(line)
        return True

    def keep(self) -> None:
        """Start again what ends, until all is to end."""
        shorten_at = time.monotonic()
        while not self.stop.within(_LOOKS_EVERY_S):
            for kept in self.kept:
                kept.look_after(self.tell)
            if time.monotonic() >= shorten_at:
                shorten_at += _SHORTENS_EVERY_S
                for log in self.home.logs.glob("*.log"):
                    shorten(log)

    def end(self) -> None:
        """End the worker, then the server: the flows that the worker ends still have someone to tell."""
        running = [kept.child for kept in reversed(self.kept) if kept.child.ended is None]
        if not running:
            return
        # A terminal that has gone away takes no more words.
        with contextlib.suppress(OSError):
            self.tell("Stopping; once more stops at once")
        for child in running:
            child.end(lambda: ENDS_WITHIN_S if self.stop.times < 2 else 0.0)
        with contextlib.suppress(OSError):
            self.tell("Stopped")

    def _started(self, start: Callable[[], Child]) -> Child:
        kept = Kept(start, start())
        self.kept.append(kept)
        return kept.child
