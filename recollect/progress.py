"""How long work tells a person how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class Stage(Protocol):
    """One stretch of work under way. Safe to call from several threads."""

    def advance(self, amount: int, files: int = 0) -> None:
        """Report `amount` more bytes done, and `files` more files."""


class Progress(Protocol):
    """Whoever wants to hear how far the work is."""

    def stage(self, what: str, total: int | None, files: int | None = None) -> AbstractContextManager[Stage]:
        """Begin a stretch of work named `what` of `total` bytes (None when unknown); it ends with the context.

        `files` is how many files there are to it, where it goes file by file.
        """


class _SilentStage:
    def advance(self, amount: int, files: int = 0) -> None:
        """Nobody listens."""


class _Silent:
    @contextmanager
    def stage(self, what: str, total: int | None, files: int | None = None) -> Iterator[Stage]:  # noqa: ARG002
        yield _SilentStage()


SILENT: Progress = _Silent()


_listener: ContextVar[Progress] = ContextVar("progress", default=SILENT)


def current_progress() -> Progress:
    """Whoever listens to the work of this thread or flow."""
    return _listener.get()


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Let `progress` hear of all work that is done within the context."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)
