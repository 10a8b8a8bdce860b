"""Signs of life of runs that go on side by side."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun

from flows.running import signs_of_life
from flows.running.signs_of_life import SignsOfLife


@flow(name="walk")
def walk() -> None:
    raise AssertionError


def run() -> FlowRun:
    return FlowRun(id=uuid4(), flow_id=UUID(int=7), name="Ada")


def test_every_run_is_spoken_for_from_its_beginning_again_and_again_until_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []

    def hear(event: str, resource: dict[str, str], *, related: list[dict[str, str]]) -> None:
        assert event == "prefect.flow-run.heartbeat"
        assert related[0]["prefect.resource.name"] == "walk"
        heard.append(resource["prefect.resource.id"])

    monkeypatch.setattr(signs_of_life, "emit_event", hear)
    signs, ada, ben = SignsOfLife(), run(), run()
    left = [False, False, True]

    def ended(waits_s: float) -> bool:
        assert waits_s == 180
        heard.append("waited")
        return left.pop(0)

    with signs.of(walk, ada):
        with signs.of(walk, ben):
            pass
        signs.speak_until(ended, 180)
    left.append(True)
    signs.speak_until(ended, 180)

    of_ada, of_ben = (f"prefect.flow-run.{one.id}" for one in (ada, ben))
    assert heard == [of_ada, of_ben, "waited", of_ada, "waited", of_ada, "waited", "waited"]
