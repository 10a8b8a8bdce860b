"""What the server that `recollect up` starts does otherwise than Prefect's own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.servers.prefect_server import OURS, PrefectServer, prefect_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("serving"), OURS) as started:
        yield started


def sent(server: PrefectServer, path: str, what: object) -> Any:
    answer = httpx.post(f"{server.api_url}/{path}", json=what, timeout=60)
    answer.raise_for_status()
    return answer.json()


def test_nobody_is_refused_because_somebody_else_wrote_at_the_same_moment(server: PrefectServer) -> None:
    flow = sent(server, "flows/", {"name": "walk"})["id"]
    run = sent(server, "flow_runs/", {"flow_id": flow, "state": {"type": "RUNNING"}})["id"]

    def create(number: int) -> int:
        # A task run is looked for before it is made.
        wanted = {"flow_run_id": run, "task_key": "step", "dynamic_key": f"{number}-{uuid4()}"}
        return httpx.post(f"{server.api_url}/task_runs/", json=wanted, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(80))) == {httpx.codes.CREATED}


def test_kinds_of_workers_are_told_without_asking_anybody_and_without_pictures_from_elsewhere(
    server: PrefectServer,
) -> None:
    told = httpx.get(f"{server.api_url}/collections/views/aggregate-worker-metadata", timeout=30)
    assert told.json()["prefect"]["process"]["type"] == "process"
    assert "logo" not in told.text
    # Views that Prefect does not bring along it would fetch.
    assert httpx.get(f"{server.api_url}/collections/views/demo-flows", timeout=30).status_code == httpx.codes.NOT_FOUND
