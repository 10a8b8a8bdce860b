"""The settings in force, and the person at hand: what the command line chose for this run, else what is set anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from recollect.settings import Settings, load_settings
from tasks.secret import Person

_active: ContextVar[Settings | None] = ContextVar("settings", default=None)
_person: ContextVar[Person] = ContextVar("person", default=Person())  # noqa: B039 -- nobody to ask: it stays as it is


def active_settings() -> Settings:
    """The settings in force: those the command line chose, else what environment and recollect.toml say."""
    return _active.get() or load_settings()


@contextmanager
def using(settings: Settings, person: Person | None = None) -> Iterator[None]:
    """Let `settings` be in force within the context, and `person` be asked for a passphrase where one is needed."""
    token, others = _active.set(settings), _person.set(person or _person.get())
    try:
        yield
    finally:
        _active.reset(token)
        _person.reset(others)


def person_at_hand() -> Person:
    """Whoever started this run, to be asked for a passphrase and told things."""
    return _person.get()
