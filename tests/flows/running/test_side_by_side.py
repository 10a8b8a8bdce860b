"""Turns at the server, for runs that go on side by side."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import httpx
import pytest
from prefect import flow
from prefect.exceptions import TerminationSignal

import flows.running.side_by_side
from flows.running.side_by_side import SideBySide, side_by_side, turn
from recollect.progress import SILENT, current_progress, listening

Handler = Callable[[httpx.Request], httpx.Response]


def client(runs: SideBySide, handler: Handler) -> httpx.Client:
    hooks = {"request": [runs.before_request], "response": [runs.after_request]}
    return httpx.Client(transport=httpx.MockTransport(handler), event_hooks=hooks, base_url="http://server")


def answering(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200)


def unreachable(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody there")


def test_no_request_is_made_before_the_one_of_another_thread_is_answered() -> None:
    runs = SideBySide()
    answered: list[str] = []

    def first(_: httpx.Request) -> httpx.Response:
        other.start()
        other.join(0.2)
        assert answered == []
        return httpx.Response(200)

    def ask() -> None:
        client(runs, answering).get("/second")
        answered.append("second")

    other = Thread(target=ask)
    client(runs, first).get("/first")
    other.join(60)
    assert answered == ["second"]


def test_what_is_asked_besides_takes_its_turn_too_and_may_ask_several_times() -> None:
    runs = SideBySide()
    answered: list[str] = []

    def ask() -> None:
        client(runs, answering).get("/")
        answered.append("other")

    other = Thread(target=ask)
    with runs.turn():
        other.start()
        for _ in range(2):
            client(runs, answering).get("/")
            other.join(0.1)
        assert answered == []
    other.join(60)
    assert answered == ["other"]


def test_nobody_waits_where_nothing_runs_side_by_side() -> None:
    with turn(), turn():
        pass


def test_a_request_without_an_answer_ends_the_turn_with_the_next_one_or_with_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = SideBySide()

    @flow
    def never() -> None:
        raise AssertionError

    def created(*_: object) -> None:
        client(runs, unreachable).get("/")

    def asked_by_another() -> bool:
        other = Thread(target=lambda: client(runs, answering).get("/"), daemon=True)
        other.start()
        other.join(60)
        return not other.is_alive()

    with pytest.raises(httpx.ConnectError):
        client(runs, unreachable).get("/")
    client(runs, answering).get("/")
    assert asked_by_another()
    monkeypatch.setattr(flows.running.side_by_side, "_created", created)
    with pytest.raises(httpx.ConnectError):
        runs.run(never, {}, "Ada")
    assert asked_by_another()


def test_a_request_that_the_server_had_no_time_for_is_to_be_made_again_at_once_but_not_for_ever() -> None:
    runs = SideBySide()
    with client(runs, lambda _: httpx.Response(503)) as asking:
        request = asking.build_request("GET", "/")
        told = [asking.send(request).headers.get("Retry-After") for _ in range(102)]
        assert told == ["0.1"] * 100 + [None] * 2
    with client(runs, lambda _: httpx.Response(503, headers={"Retry-After": "7"})) as asking:
        answer = asking.get("/")
        assert (answer.headers["Retry-After"], answer.headers.get("Prefect-Maintenance")) == ("7", None)
    with client(runs, answering) as asking:
        assert "Retry-After" not in asking.get("/").headers


def test_runs_that_are_to_stop_do_so_where_they_tell_how_far_they_are_and_no_other_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flows.running.side_by_side, "SyncClientContext", _NoClient)
    with listening(SILENT), side_by_side() as runs, current_progress().stage("work", 2) as stage:
        stage.advance(1)
        runs.stop()
        with pytest.raises(TerminationSignal):
            stage.advance(1)
        with pytest.raises(TerminationSignal), current_progress().stage("more work", None):
            pass
        with pytest.raises(TerminationSignal):
            runs.run(flow(lambda: None, name="never"), {}, "Ada")


class _NoClient:
    def __init__(self, **_: object) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
