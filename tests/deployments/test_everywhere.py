"""Backing up on all computers of a real server: two with a worker each, and one that is off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.workplace import Workplace, until
from tests.flows.chains.house import copy_base
from tests.servers.prefect_server import OURS, PrefectServer, prefect_server, running

ON = ("laptop", "tower")
OFF = "attic"
BEGINS_WITHIN_S = 20
"""Long enough for workers that look for runs each second, on a busy machine."""

EVERYWHERE = """
import flows.running.everywhere
flows.running.everywhere._BEGINS_WITHIN_S = {within}
end(back_up_all(everywhere=True, return_state=True, **{asked!r}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("everywhere"), OURS) as started:
        yield started


@pytest.fixture(scope="module")
def places(server: PrefectServer, sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workplace]:
    """A home for each computer, of which the server knows."""
    made = {}
    for host in (*ON, OFF):
        folder = tmp_path_factory.mktemp(host)
        copy_base(sample_base, folder / "Anki2")
        (folder / "recollect.toml").touch()
        made[host] = Workplace(server, folder, host=host)
    # The first one sees that there are others when it comes again.
    for host in (*ON, OFF, ON[0]):
        made[host].register("Ada", "Ben", host=host)
    for name in made[OFF].names():
        if name.startswith(("Ada on ", "Ben on ")):
            made[OFF].edit(name, paused=True)  # their schedules are no part of this
    return made


@contextmanager
def working(place: Workplace) -> Iterator[None]:
    """A worker on that computer, as `recollect up --join` starts it."""
    command = ["prefect", "worker", "start", "--pool", "recollect", "--work-queue", place.host]
    with running(command, place.folder / "worker.log", place.environment):
        yield


@pytest.fixture(scope="module")
def laptop(places: dict[str, Workplace]) -> Iterator[Workplace]:
    with ExitStack() as stack:
        for host in ON:
            stack.enter_context(working(places[host]))
        laptop = places[ON[0]]
        until(lambda: len(laptop.send("POST", "work_pools/recollect/workers/filter")) == len(ON))
        yield laptop


def runs_below(place: Workplace, run: str) -> list[dict[str, Any]]:
    wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
    found: list[dict[str, Any]] = place.send("POST", "flow_runs/filter", wanted)
    return found


def test_each_computer_backs_up_its_own_and_what_went_wrong_and_who_is_off_is_told_apart(
    laptop: Workplace, places: dict[str, Workplace]
) -> None:
    places["tower"].collection("Ben").write_bytes(b"no database at all" * 1000)
    (run,) = laptop.run(EVERYWHERE.format(within=BEGINS_WITHIN_S, asked={}))

    assert (run.name, run.state) == ("all profiles on all computers", "Failed"), run.message
    off, on, failed = run.message.split("; ", 2)
    assert off.startswith("attic: it did not begin within ")
    assert "its run waits until the computer is on" in off
    assert on == "laptop: 2 completed"
    assert failed.startswith("tower: 1 completed, 1 failed. Ben: ")
    (page,) = run.artifacts().values()
    assert "| laptop | completed |" in page
    assert "| tower | failed |" in page
    assert page.index("- tower\\: 1 completed") < page.index("- attic\\: it did not begin")

    below = {found["name"] for found in runs_below(laptop, run.id)}
    assert {"all profiles on laptop", "all profiles on tower"} <= below
    assert {row.profile for row in laptop.rows()} == {"Ada", "Ben"}
    assert {row.host for row in places["tower"].rows()} == {"tower"}

    # The one that was off does it when it is on again.
    with working(places[OFF]):
        (later,) = until(lambda: places[OFF].runs("all profiles on attic") or None)
    assert (later["state_name"], later["state"]["message"]) == ("Completed", "2 completed")
    assert later["id"] in {found["id"] for found in runs_below(laptop, run.id)}


def test_a_computer_that_somebody_has_paused_is_left_out_and_one_that_lacks_the_repository_says_so(
    laptop: Workplace,
) -> None:
    for paused in ("attic", "laptop"):
        laptop.edit(f"all profiles on {paused}", paused=True)
    (run,) = laptop.run(EVERYWHERE.format(within=1, asked={"repository": "usb"}))

    assert run.state == "Failed"
    assert run.message == (
        "attic: left out, for its deployment is paused; laptop: left out, for its deployment is paused; tower: it "
        "takes no such run: most likely it has no repository of the name usb"
    )


def test_profiles_are_not_named_for_all_computers_at_once(laptop: Workplace) -> None:
    (run,) = laptop.run(EVERYWHERE.format(within=1, asked={"profiles": ["Ada"]}))

    assert run.state == "Failed"
    assert run.message.startswith("Nothing was backed up, for profiles were named, and all computers asked for")
    assert runs_below(laptop, run.id) == []


def test_where_one_computer_has_a_server_for_itself_all_computers_are_that_one(
    laptop: Workplace,
) -> None:
    for name in laptop.names():
        if not name.endswith("laptop") or name.startswith("all profiles"):
            laptop.send("DELETE", f"deployments/{laptop.deployment(name)['id']}")
    (run,) = laptop.run(EVERYWHERE.format(within=1, asked={}))

    assert (run.state, run.message) == ("Completed", "2 unchanged")
    assert {found["name"] for found in runs_below(laptop, run.id)} == {"Ada", "Ben"}
