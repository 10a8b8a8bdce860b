"""A workplace: a real Prefect server, to which prefect.yaml was deployed before a worker came, and a home with Anki."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.workplace import Workplace, workplace
from tests.flows.chains.house import sample_base
from tests.servers.prefect_server import OURS, prefect_server
from tests.servers.webhook import receiver

__all__ = ["sample_base"]


@pytest.fixture(scope="module")
def place(sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    scratch = tmp_path_factory.mktemp("workplace")
    with (
        prefect_server(scratch, OURS) as server,
        receiver() as notified,
        workplace(server, sample_base, scratch, notified) as ready,
    ):
        yield ready
