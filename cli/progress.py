"""Progress bars on long work, and the way in which Ctrl-C reaches work in other threads."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.output import count, harmless, side_console
from cli.session import Exit, Stopped
from recollect.progress import Stage, listening

_BAR_WIDTH = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _BarStage:
    """A bar that moves, unless the work is to stop."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, amount: int, files: int = 0) -> None:
        self._bars.stop_if_wanted()
        self._bars.move(self._task, amount, files)


class Bars:
    """Bars for work that may go on in several threads; on the screen only while there is a bar to show."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._files: dict[TaskID, tuple[int, int | None]] = {}
        self._shown = 0
        self._stopped_by: int | None = None

    @contextmanager
    def stage(self, what: str, total: int | None, files: int | None = None) -> Iterator[Stage]:
        self.stop_if_wanted()
        task = self._add(what, total, files)
        try:
            yield _BarStage(self, task)
        finally:
            self._remove(task)

    def move(self, task: TaskID, amount: int, files: int) -> None:
        """Move a bar."""
        if files:
            with self._lock:
                done, total = self._files[task]
                self._files[task] = done + files, total
                self._progress.update(task, files=files_text(done + files, total))
        self._progress.advance(task, amount)

    def stop_if_wanted(self) -> None:
        """Raise Stopped once a signal has come."""
        if self._stopped_by is not None:
            raise Stopped(self._stopped_by)

    def stop(self, signal_number: int) -> None:
        """Let every stage end where it next advances; the second time, end the process without waiting for that."""
        if self._stopped_by is not None:
            self._progress.console.show_cursor()
            os._exit(Exit.SIGNALLED + signal_number)
        self._stopped_by = signal_number
        with suppress(OSError):
            # Past all buffers and locks: the work may hold them.
            os.write(2, b"Stopping. Once more stops at once.\n")

    def _add(self, what: str, total: int | None, files: int | None) -> TaskID:
        with self._lock:
            if self._shown == 0:
                # Not earlier: a question to the person must not be painted over.
                self._progress.start()
            self._shown += 1
            task = self._progress.add_task(harmless(what), total=total, files=files_text(0, files))
            self._files[task] = 0, files
            return task

    def _remove(self, task: TaskID) -> None:
        with self._lock:
            self._progress.remove_task(task)
            del self._files[task]
            self._shown -= 1
            if self._shown == 0:
                self._progress.stop()


def files_text(done: int, total: int | None) -> str:
    """How many files are done, as a bar shows it; nothing where work does not go file by file."""
    return "" if total is None else f"{count(done)}/{count(total)} files"


@contextmanager
def progress_bars(*, visible: bool = True) -> Iterator[None]:
    """Show how far the work within the context is; on a terminal only, and if `visible`.

    Ctrl-C or SIGTERM ends it in every thread where it next tells how far it is; a second one ends the process at once.
    """
    progress = Progress(
        # A profile's name is no markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(_BAR_WIDTH),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[files]}"),
        TimeRemainingColumn(),
        console=side_console(),
        transient=True,
        disable=not (visible and sys.stderr.isatty()),
    )
    bars = Bars(progress)
    with _signals_told_to(bars), listening(bars):
        try:
            yield
        finally:
            progress.stop()


@contextmanager
def _signals_told_to(bars: Bars) -> Iterator[None]:
    """Let a thread hear of signals through a socket, for the main thread may wait where none reaches it.

    A handler in Python runs in the main thread, once that gets to run bytecode. Waiting for a lock, as for a pool of
    threads, it does so only if the system happens to choose this very thread for the signal, and on Windows never:
    https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd is told at once.
    """
    told, teller = socket.socketpair()
    with told, teller:
        teller.setblocking(False)
        watcher = threading.Thread(target=_watch, args=(told, bars), name="signals", daemon=True)
        watcher.start()
        fd_before = signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, _raise_stopped) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(fd_before)
            teller.shutdown(socket.SHUT_WR)
            watcher.join()


def _watch(told: socket.socket, bars: Bars) -> None:
    while number := told.recv(1):
        if number[0] in _SIGNALS:
            bars.stop(number[0])


def _raise_stopped(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)
