"""Runs of flows side by side in one process, each a run of its own below the run that started it.

Called as they are, flows that run side by side trip over each other on a server that keeps its data in SQLite. Measured
with Prefect 3.8.8: creating the task run that stands for a run within a run, which Prefect does first, is refused every
other time, because its transaction reads before it writes (SQLITE_BUSY_SNAPSHOT), and the client waits for 2, 4, 8 …
seconds before it asks again; and two requests that the server handles at the same time can block each other until both
time out after 60 seconds, after which the client creates a second run. So requests to the server take turns here, and
a refused one is made again at once. What the runs do besides goes on side by side.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
from prefect import Flow, Task
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, SyncClientContext
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import run_flow
from prefect.states import Pending

from recollect.progress import Progress, Stage, current_progress, listening

_AGAIN_AFTER_S: Final = "0.05"
_AT_ONCE_AGAIN: Final = 200
"""How often a request is made again that soon; then Prefect's own, slower patience takes over."""
_TRIES: Final = "recollect.tries"


class SideBySide:
    """What runs side by side share: the turns they take at the server, and the wish that they end."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._has_turn = threading.local()
        self._stopped = threading.Event()

    def run(self, flow: Flow[..., Any], parameters: dict[str, Any], name: str) -> State[Any]:
        """Run a flow below the run that this thread's context belongs to; returns its final state.

        `name` tells it from its siblings. Raises TerminationSignal once they are to stop.
        """
        self.stop_if_wanted()
        parent = FlowRunContext.get()
        clients = SyncClientContext.get()
        assert parent is not None
        assert parent.flow_run is not None
        assert clients is not None
        try:
            # What Prefect does for a flow within a flow, through a client that takes turns (FlowRunEngine
            # .create_flow_run): a task run of the parent stands for the run.
            stand_in = clients.client.create_task_run(
                Task(name=flow.name, fn=flow.fn, version=flow.version),
                parent.flow_run.id,
                dynamic_key=name,
                name=f"{flow.name}-{name}",
                state=Pending(),
            )
            flow_run = clients.client.create_flow_run(
                flow,
                parameters=flow.serialize_parameters(parameters),
                state=Pending(),
                parent_task_run_id=stand_in.id,
            )
            ended = run_flow(flow, flow_run=flow_run, parameters=parameters, return_type="state")
        finally:
            self._pass_on()
        assert isinstance(ended, State)
        return ended

    def stop(self) -> None:
        """Let every run end where it next tells how far it is."""
        self._stopped.set()

    def stop_if_wanted(self) -> None:
        """Raise TerminationSignal once the runs are to stop."""
        if self._stopped.is_set():
            raise TerminationSignal(signal.SIGTERM)

    def before_request(self, _: httpx.Request) -> None:
        """Wait for this thread's turn."""
        self._pass_on()  # a request that failed had no answer to end its turn
        self._turn.acquire()
        self._has_turn.yes = True

    def after_request(self, response: httpx.Response) -> None:
        """End this thread's turn. A request that SQLite had no time for is made again shortly.

        Prefect's client obeys these two headers: when to ask again, and not to count that as one of its few tries.
        """
        self._pass_on()
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "Retry-After" not in response.headers:
            tries = response.request.extensions.get(_TRIES, 0)
            if tries < _AT_ONCE_AGAIN:
                response.request.extensions[_TRIES] = tries + 1
                response.headers.update({"Retry-After": _AGAIN_AFTER_S, "Prefect-Maintenance": "true"})

    def _pass_on(self) -> None:
        if getattr(self._has_turn, "yes", False):
            self._has_turn.yes = False
            self._turn.release()


@contextmanager
def side_by_side() -> Iterator[SideBySide]:
    """Let flows run side by side within the run that goes on now, in threads that have a copy of this context."""
    runs = SideBySide()
    settings = {
        "event_hooks": {"request": [runs.before_request], "response": [runs.after_request]},
        # The server closes a connection on which it refused a request, and the next one on it would fail.
        "limits": httpx.Limits(max_keepalive_connections=0),
    }
    with SyncClientContext(httpx_settings=settings), listening(_Stoppable(current_progress(), runs)):
        yield runs


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
