"""One definition of a step for both ways of running: a Prefect task while a flow runs, a plain call otherwise.

Importing Prefect takes a second, and its engine needs a server; a person at a terminal without one waits for neither.
So a step is an ordinary function until a flow runs in this process, which only happens where Prefect was imported.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from recollect.errors import RecollectError
from storage.errors import StoreUnreachable

if TYPE_CHECKING:
    from prefect import Task

P = ParamSpec("P")
R = TypeVar("R")

_RETRIES = 3
_FIRST_DELAY_S = 2
_SAYS_NOTHING = "Finished in state Completed()"
"""What Prefect logs of each step that went well (task_engine.py, set_state), which the page of the run shows anyway."""


class _Call:
    """A call's arguments, out of Prefect's sight: it would look for futures in every media file's name."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs


class Step(Generic[P, R]):
    """A named step of a chain. Calling it runs it, as a Prefect task when a flow is running."""

    def __init__(self, function: Callable[P, R], name: str, *, retried: bool) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.retried = retried

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if running_flow_run_id() is None:
            return self.function(*args, **kwargs)
        return self.task(_Call(args, kwargs))

    @functools.cached_property
    def task(self) -> Task[[_Call], R]:
        """The step as Prefect knows it. Nothing is cached or persisted: what a step gives stays in this process."""
        from prefect import task
        from prefect.cache_policies import NO_CACHE
        from prefect.tasks import exponential_backoff

        _log_what_matters()

        def run(call: _Call) -> R:
            return self.function(*call.args, **call.kwargs)

        # Prefect makes the key by which it tells tasks apart of this.
        run.__qualname__ = self.function.__qualname__
        made: Task[[_Call], R] = task(
            name=self.name,
            description=self.function.__doc__,
            task_run_name=self.name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=_RETRIES if self.retried else 0,
            retry_delay_seconds=exponential_backoff(backoff_factor=_FIRST_DELAY_S),
            retry_jitter_factor=0.5,
            retry_condition_fn=_may_pass,
        )(run)
        return made


def step(name: str, *, retried: bool) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function the step `name`; `retried` for one that touches the network."""

    def make(function: Callable[P, R]) -> Step[P, R]:
        return Step(function, name, retried=retried)

    return make


def running_flow_run_id() -> str | None:
    """The id of the Prefect flow run that this code runs in, None outside of one. Never imports Prefect."""
    context = sys.modules.get("prefect.context")
    if context is None:
        return None
    run_context = context.FlowRunContext.get()
    flow_run = run_context.flow_run if run_context is not None else None
    return str(flow_run.id) if flow_run is not None else None


def prefect_at_hand() -> bool:
    """Whether a Prefect server can be asked. Without one, Prefect would start one of its own, which has no blocks."""
    return bool(os.environ.get("PREFECT_API_URL")) or running_flow_run_id() is not None


def _may_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Only a store that did not answer may answer later; a full or read-only one stays so."""
    return isinstance(state.data, StoreUnreachable)


class _WhatMatters(logging.Filter):
    """Known trouble says everything in its sentence; the stack below it helps nobody who reads the log. And a step that
    went well without a word, as most do, says nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == _SAYS_NOTHING:
            return False
        trouble = record.exc_info[1] if record.exc_info else None
        if isinstance(trouble, RecollectError):
            record.exc_info = record.exc_text = None
            record.msg = str(record.msg).replace(repr(trouble), str(trouble))
        if isinstance(record.args, tuple):
            record.args = tuple(str(value) if isinstance(value, RecollectError) else value for value in record.args)
        return True


@functools.cache
def _log_what_matters() -> None:
    for name in ("prefect.task_runs", "prefect.flow_runs"):
        logging.getLogger(name).addFilter(_WhatMatters())
