"""Backups with a past: Anki's rule keeps everything of today, so that a benchmark would have to wait for its snapshots.

The other tools have an option for it. Recollect has none, so the clock of one of its steps is set back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from unittest.mock import patch

import tasks.snapshot


@contextmanager
def dated(moment: datetime) -> Iterator[None]:
    """Let snapshots that are taken within the context be of that `moment` (aware)."""

    class Dated(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return moment.astimezone(tz)

    with patch.object(tasks.snapshot, "datetime", Dated):
        yield
