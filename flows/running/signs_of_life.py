"""Signs of life of runs that go on side by side: without them a run whose process was killed would be shown as running.

Prefect gives each run a thread for that, and at the end of the run waits until the thread has slept out its second
(3.8.8, flow_engine.py, _send_heartbeats): half of all that a small run costs. Here one thread speaks for all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings

EVENT = "prefect.flow-run.heartbeat"
"""As Prefect calls its own, for the automation that looks for runs that died unseen."""


@dataclass(frozen=True, slots=True)
class _Alive:
    run: Mapping[str, str]
    flow: Mapping[str, str]


class SignsOfLife:
    """Speaks for the runs that go on, each from its beginning to its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going_on: dict[UUID, _Alive] = {}

    @contextmanager
    def of(self, flow: Flow[..., object], run: FlowRun) -> Iterator[None]:
        """Speak for a run within the context, for the first time now."""
        alive = _Alive(
            {"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},
            {
                "prefect.resource.id": f"prefect.flow.{run.flow_id}",
                "prefect.resource.role": "flow",
                "prefect.resource.name": flow.name,
            },
        )
        with self._lock:
            self._going_on[run.id] = alive
            _speak_for(alive)
        try:
            yield
        finally:
            with self._lock:
                del self._going_on[run.id]

    def speak_until(self, ended: Callable[[float], bool], every_s: float) -> None:
        """Speak for all of them again and again; `ended` waits for so many seconds, and says whether that was all."""
        while not ended(every_s):
            # Under the lock, for a sign after its end would be waited for again.
            with self._lock:
                for alive in self._going_on.values():
                    _speak_for(alive)


@contextmanager
def signs_of_life() -> Iterator[SignsOfLife | None]:
    """Signs of life from one thread for all runs that begin within the context; none where Prefect is set to none."""
    every_s = get_current_settings().flows.heartbeat_frequency
    if every_s is None:
        yield None
        return
    signs, ended = SignsOfLife(), threading.Event()
    # The server's address belongs to the context of this thread.
    speaker = threading.Thread(
        target=copy_context().run, args=(signs.speak_until, ended.wait, every_s), name="signs of life", daemon=True
    )
    speaker.start()
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield signs
    finally:
        ended.set()
        speaker.join()


def _speak_for(alive: _Alive) -> None:
    emit_event(EVENT, dict(alive.run), related=[dict(alive.flow)])
