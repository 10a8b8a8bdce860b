"""How far long work is, shown in the Prefect UI while it goes on.

Work tells of each file and each pack, from several threads, and must not wait for a server. So a thread of its own
looks at what was told, once a second at most, and passes it on; for work that is done within seconds it never wakes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext

from flows.report.markdown import count, plain
from flows.report.page import page_key
from flows.report.showing import patient_client
from flows.running.side_by_side import turn
from recollect.progress import Progress, Stage, current_progress, listening
from recollect.units import size

LONG_S = 3.0
"""Work that takes longer than this is shown."""

EVERY_S = 1.0
"""Seconds between two updates, at least."""

_WHOLE = 100.0
_WAITS_S = 5.0


class _Told:
    """What one stretch of work has told so far, and passed on to whoever listened before."""

    def __init__(self, what: str, total: int, files: int | None, inner: Stage) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._what, self._total, self._files = what, total, files
        self._done = self._files_done = 0

    def advance(self, amount: int, files: int = 0) -> None:
        with self._lock:
            self._done += amount
            self._files_done += files
        self._inner.advance(amount, files)

    def percent(self) -> float:
        """How much is done."""
        return round(_WHOLE * self._bytes() / self._total, 1)

    def in_words(self) -> str:
        """The same for a person, as Markdown."""
        files = f", {count(self._files_done)} of {count(self._files)} files" if self._files else ""
        return plain(f"{self._what}: {size(self._bytes())} of {size(self._total)}{files}")

    def _bytes(self) -> int:
        # What turns out to be more than was expected does not pass the end.
        return min(self._done, self._total)


class ShownProgress:
    """Shows each long stretch of work of a flow run, and lets `inner` hear of all."""

    def __init__(self, flow_run_id: UUID, key: str, inner: Progress) -> None:
        self._flow_run_id = flow_run_id
        self._key = key
        self.inner = inner

    @contextmanager
    def stage(self, what: str, total: int | None, files: int | None = None) -> Iterator[Stage]:
        with self.inner.stage(what, total, files) as inner:
            if not total:
                yield inner
                return
            told, ended = _Told(what, total, files, inner), threading.Event()
            # The settings, among them the server's address, belong to the context of this thread.
            shower = threading.Thread(
                target=copy_context().run, args=(self._show, told, ended), name="progress", daemon=True
            )
            shower.start()
            try:
                yield told
            finally:
                ended.set()
                # A server that is slow to answer must not hold up the work itself.
                shower.join(_WAITS_S)

    def _show(self, told: _Told, ended: threading.Event) -> None:
        if ended.wait(LONG_S):
            return
        # The server may not answer, or take nothing: the work goes on all the same, and is not shown.
        with suppress(Exception), patient_client(retries=0) as client:
            shown = self._create(client, told)
            began = time.monotonic()
            # An upload of a whole night moves by a percent in minutes: nobody needs its progress by the second.
            while not ended.wait(max(EVERY_S, (time.monotonic() - began) / _WHOLE)):
                self._update(client, shown, told)
            self._update(client, shown, told)

    def _create(self, client: SyncPrefectClient, told: _Told) -> UUID:
        with turn():
            return client.create_artifact(
                ArtifactCreate(
                    key=self._key,
                    type="progress",
                    description=told.in_words(),
                    data=told.percent(),
                    flow_run_id=self._flow_run_id,
                )
            ).id

    def _update(self, client: SyncPrefectClient, shown: UUID, told: _Told) -> None:
        with turn():
            client.update_artifact(shown, ArtifactUpdate(data=told.percent(), description=told.in_words()))


@contextmanager
def shown_progress() -> Iterator[None]:
    """Show how far the work within the context is, as that of the flow run that is running."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield
        return
    profile = str((context.parameters or {}).get("profile") or "")
    key = page_key("progress", profile or context.flow_run.name, context.flow_run.name)
    with listening(ShownProgress(context.flow_run.id, key, for_runs_within())):
        yield


def for_runs_within() -> Progress:
    """Who is to hear of a run within the present one: what it does is shown as its own, and not as that of both."""
    present = current_progress()
    return present.inner if isinstance(present, ShownProgress) else present
