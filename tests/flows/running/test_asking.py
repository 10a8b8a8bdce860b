"""A question's text, and the patience with a server that is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.states import Cancelling, Paused, Running

from flows.chains.confirming import Unanswered
from flows.running import asking
from flows.running.asking import Question, asked, shortened


class Clock:
    """A clock that stands still but for those who sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class Server:
    """Gives its answers one after the other, the last of them for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def read_flow_run(self, _: object) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(state=answer)


AWAY = httpx.ConnectError("nobody there")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(asking, "time", made)
    return made


def test_a_server_that_is_started_anew_does_not_end_the_waiting(clock: Clock) -> None:
    server: Any = Server(Paused(), AWAY, AWAY, Paused(), Running())
    assert asking._state_after_waiting(server, uuid4(), deadline=60).is_running()
    assert clock.now == 10


def test_one_that_is_away_when_time_is_up_is_waited_for_a_while_longer(clock: Clock) -> None:
    server: Any = Server(*[AWAY] * 40, Paused())
    assert asking._state_after_waiting(server, uuid4(), deadline=60).is_paused()
    assert 60 < clock.now < 100
    server = Server(AWAY)
    with pytest.raises(Unanswered, match="the Prefect server was not there to bring an answer"):
        asking._state_after_waiting(server, uuid4(), deadline=60)


def test_a_run_that_is_cancelled_waits_for_whoever_ends_its_process(clock: Clock) -> None:
    server: Any = Server(Cancelling())
    assert asking._state_after_waiting(server, uuid4(), deadline=30).is_cancelling()
    assert clock.now == 30


def test_without_a_run_there_is_nobody_to_ask() -> None:
    with pytest.raises(asking.NobodyToAsk):
        asked(Question("which", "Which?", ("this", "that"), ""), 1)


def test_a_text_that_no_form_can_show_is_cut_at_the_end_of_a_line() -> None:
    told = shortened("- a line\n" * 5000)
    assert len(told) <= 20_010
    assert told.endswith("- a line\n\n…\n")
    assert shortened("- a line\n") == "- a line\n"
