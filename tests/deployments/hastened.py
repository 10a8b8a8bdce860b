"""Automations that wait for hours, or minutes, in copies that wait for seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.deployments.workplace import Workplace, until


@contextmanager
def hastened(place: Workplace, name: str, within_s: int) -> Iterator[None]:
    """An automation of ours that waits for as long as that, in a copy that waits for ten seconds."""
    found = place.automation(name)
    assert found["trigger"]["within"] == within_s
    trigger = {key: value for key, value in found["trigger"].items() if key != "id"} | {"within": 10}
    copy = {"name": "Hastened", "description": "", "trigger": trigger, "actions": found["actions"]}
    made = place.send("POST", "automations/", copy)
    try:
        yield
    finally:
        place.send("DELETE", f"automations/{made['id']}")


def sign_of_life(place: Workplace, run: str) -> None:
    """Let the server hear of a run, as it does every few minutes from one that goes on."""
    found = place.run_of(run)
    flow = place.send("GET", f"flows/{found['flow_id']}")
    about = {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": found["name"]}
    its_flow = {
        "prefect.resource.id": f"prefect.flow.{flow['id']}",
        "prefect.resource.role": "flow",
        "prefect.resource.name": flow["name"],
    }
    place.emit("prefect.flow-run.heartbeat", about, its_flow)


def end_in_silence(place: Workplace, run: str) -> dict[str, Any]:
    """How a run ended of which the server hears nothing any more.

    Its last sign of life is repeated: an automation that is new misses what comes in its first moment, and a server
    whose database is busy loses one now and then.
    """

    def ended() -> dict[str, Any] | None:
        with suppress(AssertionError):
            return until(lambda: place.ended(run), within_s=30)
        sign_of_life(place, run)
        return None

    return until(ended)
