"""Asking whoever looks at a run in the Prefect UI: the run pauses with a question, until it is answered or time is up.

`prefect.flow_runs.pause_flow_run` does much the same, and ends differently: there the server calls a run *Failed* at
the very moment at which the waiting ends, a server that is restarted meanwhile ends the waiting, and an answer that
does not fit ends the run. Here nobody answering is no failure, and nothing ends the waiting but an answer and the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.input import Keyset, RunInput, keyset_from_paused_state
from prefect.states import Paused, Running
from pydantic import Field, ValidationError, create_model

from flows.chains.confirming import Unanswered
from recollect.errors import RecollectError
from tasks.step import running_flow_run_id

_POLL_S = 2.0
_MINUTE_S = 60.0
_SERVER_GRACE_S = 600
"""So much later than us the server would end the run itself: by then the question is closed."""
_LONGEST_TEXT = 20_000


class NobodyToAsk(RecollectError):
    """There is a question, and no run in the Prefect UI that could show it."""

    code = "nobody-to-ask"


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the answers there are. `text` stands above it, in Markdown."""

    name: str
    """For Prefect: lower-case letters and dashes."""
    title: str
    choices: Sequence[str]
    text: str


def asked(question: Question, within_minutes: float) -> str:
    """The answer to a question, which is one of its choices. Raises Unanswered, and NobodyToAsk."""
    flow_run_id = running_flow_run_id()
    if flow_run_id is None:
        raise NobodyToAsk(
            "There is a question, and nobody who could be asked", "Start the flow as a run of its own, or with ask off"
        )
    deadline = time.monotonic() + within_minutes * _MINUTE_S
    with get_client(sync_client=True) as client:
        try:
            return _answer(client, UUID(flow_run_id), question, deadline, within_minutes)
        except httpx.HTTPError as trouble:
            raise Unanswered(
                "Nothing was changed, for the Prefect server could not be asked to show a question",
                "Start it again once the server answers",
            ) from trouble


def shortened(text: str) -> str:
    """As many lines of a text as the form of a question shows."""
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT].rpartition(chr(10))[0]}\n\n…\n"


def _answer(
    client: SyncPrefectClient, flow_run_id: UUID, question: Question, deadline: float, within_minutes: float
) -> str:
    patience = f"{within_minutes:g} minute{'' if within_minutes == 1 else 's'}"
    get_run_logger().info("%s An answer is waited for, up to %s", question.title, patience)
    while True:
        form, keyset = _form(question), _show(client, flow_run_id, question, deadline)
        state = _state_after_waiting(client, flow_run_id, deadline)
        if state.is_paused():
            # From here on nobody can answer; whoever did so at the last moment is heard.
            state = _move(client, flow_run_id, Running())
        if not state.is_running():
            raise Unanswered(
                f"Nothing was changed, for the run was ended ({state.name}) before its question was answered",
                "Start it again, and answer its question on the page of the run",
            )
        try:
            found: Any = form.load(keyset, flow_run_id)
        except ValidationError:
            if time.monotonic() >= deadline:
                raise Unanswered(
                    f"Nothing was changed, for nobody answered within {patience}",
                    "Start it again, and answer its question on the page of the run",
                ) from None
            # The server checks an answer by the form. What passes there, or by its side, may still be no answer.
            get_run_logger().warning("The run went on without an answer, so it asks again")
            continue
        get_run_logger().info("There is an answer: %s", found.answer)
        return str(found.answer)


def _show(client: SyncPrefectClient, flow_run_id: UUID, question: Question, deadline: float) -> Keyset:
    """Pause the run with the question; returns where the answer will be."""
    left_s = max(deadline - time.monotonic(), 0.0)
    # A key of its own each time, for a question may be asked again, and a run started again.
    key = f"{question.name}-{uuid4().hex[:8]}"
    paused: State[Any] = Paused(timeout_seconds=int(left_s) + _SERVER_GRACE_S, pause_key=key)
    keyset = keyset_from_paused_state(paused)
    paused.state_details.run_input_keyset = {str(part): name for part, name in keyset.items()}
    # Before the run pauses: whoever sees it paused finds the form.
    _form(question).save(keyset, flow_run_id)
    _move(client, flow_run_id, paused)
    return keyset


def _form(question: Question) -> type[RunInput]:
    choices = Literal[tuple(question.choices)]  # type: ignore[valid-type]
    answer: Any = (choices, Field(title=question.title))
    form = create_model("Question", __base__=RunInput, answer=answer)
    return form.with_initial_data(description=question.text)


def _state_after_waiting(client: SyncPrefectClient, flow_run_id: UUID, deadline: float) -> State[Any]:
    """The state of the run when it is no longer paused, or time is up."""
    while True:
        left_s = deadline - time.monotonic()
        time.sleep(min(_POLL_S, left_s) if left_s > 0 else _POLL_S)
        try:
            state = client.read_flow_run(flow_run_id).state
        except (httpx.HTTPError, OSError):
            state = None  # a server that is being restarted; the question is still there afterwards
        # Whoever cancels the run is about to have this process ended, too.
        waits = state is None or state.is_paused() or state.is_cancelling()
        if state is not None and (not waits or time.monotonic() >= deadline):
            return state
        if state is None and time.monotonic() >= deadline + _SERVER_GRACE_S:
            raise Unanswered(
                "Nothing was changed, for the Prefect server was not there to bring an answer",
                "Start it again once the server answers",
            )


def _move(client: SyncPrefectClient, flow_run_id: UUID, to: State[Any]) -> State[Any]:
    """Bring the run into a state. Returns that in which it is then."""
    result = client.set_flow_run_state(flow_run_id, to)
    if result.status is SetStateStatus.ACCEPT and result.state is not None:
        return result.state
    return client.read_flow_run(flow_run_id).state or to
