"""Progress bars on long work, and the way in which Ctrl-C reaches work in other threads."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.output import side_console
from recollect.progress import Stage, listening


class _BarStage:
    """A bar that moves, unless the work is to stop."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, amount: int) -> None:
        if self._bars.stopped.is_set():
            raise KeyboardInterrupt
        self._bars.move(self._task, amount)


class Bars:
    """Bars for work that may go on in several threads."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.stopped = threading.Event()

    @contextmanager
    def stage(self, what: str, total: int | None) -> Iterator[Stage]:
        task = self._progress.add_task(what, total=total)
        try:
            yield _BarStage(self, task)
        finally:
            self._progress.remove_task(task)

    def move(self, task: TaskID, amount: int) -> None:
        """Move a bar."""
        self._progress.advance(task, amount)


@contextmanager
def progress_bars() -> Iterator[None]:
    """Show how far the work within the context is; on a terminal only. Ctrl-C ends it in every thread."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=side_console(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    bars = Bars(progress)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        bars.stopped.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with progress, listening(bars):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
