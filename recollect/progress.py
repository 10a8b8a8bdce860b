"""How long work tells a person how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One stretch of work under way. Safe to call from several threads."""

    def advance(self, amount: int) -> None:
        """Report `amount` more bytes done."""


class Progress(Protocol):
    """Whoever wants to hear how far the work is."""

    def stage(self, what: str, total: int | None) -> AbstractContextManager[Stage]:
        """Begin a stretch of work named `what` of `total` bytes (None when unknown); it ends with the context."""


class _SilentStage:
    def advance(self, amount: int) -> None:
        """Nobody listens."""


class _Silent:
    @contextmanager
    def stage(self, what: str, total: int | None) -> Iterator[Stage]:  # noqa: ARG002
        yield _SilentStage()


SILENT: Progress = _Silent()
