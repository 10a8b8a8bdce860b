"""Runs of flows side by side in one process, each a run of its own below the run that started it.

Called as they are, flows that run side by side trip over each other on a server that keeps its data in SQLite. Measured
with Prefect 3.8.8: creating the task run that stands for a run within a run is refused every other time, because the
server's transaction reads before it writes (SQLITE_BUSY_SNAPSHOT), and the client waits for 2, 4, 8 … seconds before it
asks again. Now and then two requests at the same time block each other until both time out, and a run that was created
twice stays pending for ever. So the runs are created here, each once whatever comes; their requests take turns; and one
that was refused is made again at once. What the runs do besides goes on side by side.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

import httpx
from prefect import Flow, Task
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy, State
from prefect.context import FlowRunContext, SyncClientContext
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import run_flow
from prefect.states import Pending, to_state_create

from flows.running.signs_of_life import SignsOfLife, signs_of_life
from recollect.progress import Progress, Stage, current_progress, listening

_PATIENCE_S: Final = 20.0
"""A request that waits for its turn here is answered in less than a second; Prefect's own patience is a minute."""
_AGAIN_AFTER_S: Final = "0.1"
_AT_ONCE_AGAIN: Final = 100
"""How often a request is made again that soon; then Prefect's own, slower patience takes over."""
_TRIES: Final = "recollect.tries"


class SideBySide:
    """What runs side by side share: the turns they take at the server, their signs of life, the wish that they end."""

    def __init__(self, signs: SignsOfLife | None = None) -> None:
        self._signs = signs
        self._turn = threading.Lock()
        self._mine = threading.local()
        self._stopped = threading.Event()

    def run(self, flow: Flow[..., Any], parameters: dict[str, Any], name: str) -> State[Any]:
        """Run a flow below the run that this thread's context belongs to; returns its final state.

        `name` tells it from its siblings. Raises TerminationSignal once they are to stop.
        """
        self.stop_if_wanted()
        try:
            created = _created(flow, parameters, name)
            with self._signs.of(flow, created) if self._signs else nullcontext():
                ended = run_flow(flow, flow_run=created, parameters=parameters, return_type="state")
        finally:
            self._end_request()
        assert isinstance(ended, State)
        return ended

    def stop(self) -> None:
        """Let every run end where it next tells how far it is."""
        self._stopped.set()

    def stop_if_wanted(self) -> None:
        """Raise TerminationSignal once the runs are to stop."""
        if self._stopped.is_set():
            raise TerminationSignal(signal.SIGTERM)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let no other thread ask the server anything within the context."""
        self._end_request()
        with self._turn:
            self._mine.whole = True
            try:
                yield
            finally:
                self._mine.whole = False

    def before_request(self, _: httpx.Request) -> None:
        """Wait for this thread's turn."""
        self._end_request()  # one that failed had no answer to end it
        if not getattr(self._mine, "whole", False):
            self._turn.acquire()
            self._mine.request = True

    def after_request(self, response: httpx.Response) -> None:
        """End this thread's turn. A request that SQLite had no time for is made again shortly.

        Prefect's client obeys these two headers: when to ask again, and not to count that as one of its few tries.
        """
        self._end_request()
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "Retry-After" not in response.headers:
            tries = response.request.extensions.get(_TRIES, 0)
            if tries < _AT_ONCE_AGAIN:
                response.request.extensions[_TRIES] = tries + 1
                response.headers.update({"Retry-After": _AGAIN_AFTER_S, "Prefect-Maintenance": "true"})

    def _end_request(self) -> None:
        if getattr(self._mine, "request", False):
            self._mine.request = False
            self._turn.release()


_present: ContextVar[SideBySide | None] = ContextVar("side_by_side", default=None)


@contextmanager
def side_by_side() -> Iterator[SideBySide]:
    """Let flows run side by side within the run that goes on now, in threads that have a copy of this context."""
    with signs_of_life() as signs:
        runs = SideBySide(signs)
        settings = {
            "event_hooks": {"request": [runs.before_request], "response": [runs.after_request]},
            # The server closes a connection on which it refused a request, and the next one on it would fail.
            "limits": httpx.Limits(max_keepalive_connections=0),
            "timeout": _PATIENCE_S,
        }
        token = _present.set(runs)
        try:
            with SyncClientContext(httpx_settings=settings), listening(_Stoppable(current_progress(), runs)):
                yield runs
        finally:
            _present.reset(token)


@contextmanager
def turn() -> Iterator[None]:
    """What a run asks the server besides, as to show something, it asks within this: in its turn, where there are."""
    runs = _present.get()
    if runs is None:
        yield
        return
    with runs.turn():
        yield


def _created(flow: Flow[..., Any], parameters: dict[str, Any], name: str) -> FlowRun:
    """A run of a flow below the one that this context belongs to: one, however often the server is asked.

    As Prefect does it for a flow within a flow (FlowRunEngine.create_flow_run), a task run of the parent stands for it.
    """
    context, clients = FlowRunContext.get(), SyncClientContext.get()
    assert context is not None
    assert context.flow_run is not None
    assert clients is not None
    parent, client = context.flow_run, clients.client
    # A parent that is run again has new runs below it.
    key = f"{name}-{parent.run_count}"
    stand_in = client.create_task_run(
        Task(name=flow.name, fn=flow.fn, version=flow.version),
        parent.id,
        dynamic_key=key,
        name=f"{flow.name}-{name}",
        state=Pending(),
    )
    wanted = FlowRunCreate(
        flow_id=client.create_flow(flow),
        flow_version=flow.version,
        parameters=flow.serialize_parameters(parameters),
        parent_task_run_id=stand_in.id,
        state=to_state_create(Pending()),
        empirical_policy=FlowRunPolicy(retries=flow.retries, retry_delay=0),
        idempotency_key=f"{parent.id}-{key}",
    )
    answer = client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))
    return FlowRun.model_validate(answer.json())


class _Stoppable:
    """Passes on how far the work is, unless it is to stop."""

    def __init__(self, listener: Progress, runs: SideBySide) -> None:
        self._listener = listener
        self._runs = runs

    @contextmanager
    def stage(self, what: str, total: int | None, files: int | None = None) -> Iterator[Stage]:
        self._runs.stop_if_wanted()
        with self._listener.stage(what, total, files) as stage:
            yield _StoppableStage(stage, self._runs)


class _StoppableStage:
    def __init__(self, stage: Stage, runs: SideBySide) -> None:
        self._stage = stage
        self._runs = runs

    def advance(self, amount: int, files: int = 0) -> None:
        self._runs.stop_if_wanted()
        self._stage.advance(amount, files)
