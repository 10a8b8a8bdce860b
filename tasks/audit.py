"""The audit row of an action, filled in while it runs and written however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from recollect.errors import RecollectError
from storage.audit_table import append_row
from storage.errors import StorageError
from storage.format.audit_row import AuditRow, Outcome
from storage.format.manifest import Manifest
from storage.repository import Repository
from tasks.settings_in_force import active_settings
from tasks.step import running_flow_run_id
from tasks.this_computer import this_host
from tasks.under_way import UnderWay
from tasks.versions import software_versions

Action = Literal[
    "backup",
    "restore",
    "recover",
    "export",
    "adopt",
    "forget",
    "unforget",
    "prune",
    "sweep",
    "verify",
    "repair",
    "deletion-log-archive",
]
"""What is done by name, each time with a row in the audit table."""

SUSPECT = "suspect"
"""The reason in the row of a backup that marked its snapshot, or found a marked one unchanged, and of a pruning that
waits on account of one."""

_COUNTS = ("notes", "cards", "reviews", "media_files", "media_bytes")


@dataclass(frozen=True, slots=True)
class Report:
    """How an action on one profile ended. `row` is what the audit table holds of it."""

    row: AuditRow
    warnings: tuple[str, ...] = ()
    """What somebody should look at."""
    snapshots: tuple[Manifest, ...] = ()
    """The profile's snapshots that are there now, oldest first, where the action had to read them all anyway."""

    told: tuple[str, ...] = ()
    """What is good to know, and asks for nobody's attention: where the state before is kept, what to do in Anki."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that is said to a person beside how it ended."""
        return (*self.warnings, *self.told)

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.row.profile

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return self.row.outcome

    @property
    def suspect(self) -> bool:
        """Whether a snapshot was made of a profile that looks wrong."""
        return self.outcome is Outcome.COMPLETED and self.row.reason == SUSPECT

    @property
    def how(self) -> str:
        """How it ended, in a word: its outcome, or *suspect*."""
        return SUSPECT if self.suspect else self.outcome.value

    @property
    def message(self) -> str:
        """What to tell a person."""
        return self.row.message or ""


@dataclass(slots=True)
class Audit:
    """An action under way."""

    action: Action
    profile: str
    repository: Repository
    profile_key: str = ""
    outcome: Outcome = Outcome.COMPLETED
    reason: str | None = None
    message: str | None = None
    error: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    snapshots: tuple[Manifest, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _done: str | None = None
    _row: AuditRow | None = None
    _clock: float = field(default_factory=time.monotonic)

    def note(self, **columns: Any) -> None:
        """Fill in columns of the row."""
        self.columns.update(columns)

    def unchanged(self, message: str, *, suspect: bool = False) -> None:
        """Say that there was nothing to do; `suspect` where what there is already looks wrong."""
        self.outcome, self.reason = Outcome.UNCHANGED, SUSPECT if suspect else "nothing-changed"
        self.message = message

    def skipped(self, trouble: RecollectError) -> None:
        """Say that it could not be done now, which is no failure."""
        self.outcome, self.reason, self.message = Outcome.SKIPPED, trouble.code, str(trouble)
        self.error = type(trouble).__name__

    def completed(self, message: str) -> None:
        """Say what was done."""
        self.message = message

    def suspect(self, message: str) -> None:
        """Say what was done, and that what it was done with looks wrong."""
        self.reason, self.message = SUSPECT, message

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step into its column `seconds_<step>`."""
        began = time.monotonic()
        try:
            yield
        finally:
            column = f"seconds_{step}"
            self.columns[column] = self.columns.get(column, 0.0) + time.monotonic() - began

    @contextmanager
    def after(self, done: str | None) -> Iterator[None]:
        """Let whatever ends the context early be told with what was `done` before; a clause without its full stop."""
        self._done = done
        yield
        self._done = None

    def report(self) -> Report:
        """How it ended; known once the context of `audited` was left."""
        assert self._row is not None
        return Report(self._row, tuple(self.warnings), self.snapshots, tuple(self.told))

    def failed(self, trouble: BaseException) -> None:
        """Say that it went wrong."""
        self.outcome, self.error = Outcome.FAILED, type(trouble).__name__
        if isinstance(trouble, RecollectError):
            self.reason, self.message = trouble.code, str(trouble)
        elif isinstance(trouble, Exception):
            self.reason, self.message = "unexpected", f"{type(trouble).__name__} in Recollect itself"
        else:
            self.reason, self.message = "interrupted", "It was stopped from outside before it was done"
        stored = self.columns.get("snapshot")
        if stored and self.action == "backup":
            self.message = f"The snapshot {stored} is stored, but what follows was not finished: {self.message}"
        if self._done:
            self.message = f"{self._done}: {self.message}"

    def end(self) -> None:
        """Fill in the row, as things stand."""
        self._row = AuditRow(
            action=self.action,
            profile=self.profile,
            profile_key=self.profile_key,
            started_at=self.started_at,
            started_local=self.started_at.astimezone().isoformat(timespec="seconds"),
            finished_at=datetime.now(UTC),
            flow_run=running_flow_run_id(),
            host=this_host(active_settings()),
            repository_id=self.repository.id,
            outcome=self.outcome,
            reason=self.reason,
            message=self.message,
            error=self.error,
            seconds_total=time.monotonic() - self._clock,
            **self.columns | software_versions(),
        )

    def close(self) -> None:
        """Write the row."""
        self.end()
        assert self._row is not None
        try:
            append_row(self.repository.store, self._row)
        except StorageError as trouble:
            # The outcome of the action stands, whatever becomes of its row.
            self.warnings.append(f"The audit table has no row of this: {trouble}")


def counts_of(manifest: Manifest | None) -> dict[str, int | None]:
    """What a snapshot holds, as its manifest says it, by column; None where it says nothing that can be a count."""
    facts = manifest.facts if manifest else {}
    return {name: found if type(found := facts.get(name)) is int and found >= 0 else None for name in _COUNTS}


@contextmanager
def audited(action: Action, profile: str, repository: Repository) -> Iterator[Audit]:
    """Do an action and write its row. Known trouble ends up in the report; anything else in the row, and goes on."""
    audit = Audit(action, profile, repository)
    try:
        yield audit
    except UnderWay as other:
        audit.skipped(other)
    except RecollectError as trouble:
        audit.failed(trouble)
    except BaseException as fault:
        audit.failed(fault)
        audit.close()
        if not isinstance(fault, Exception):
            # For whoever tells a person of it: how far this came is known here alone.
            fault.add_note(audit.message or "")
        raise
    audit.close()
