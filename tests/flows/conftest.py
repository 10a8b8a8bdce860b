"""One Prefect server for all tests of the flows, and a home for each: a base folder, a repository and a cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.chains.house import copy_base, sample_base
from tests.flows.on_prefect import Home
from tests.servers.prefect_server import OURS, PrefectServer, prefect_server

__all__ = ["sample_base"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), OURS) as started:
        yield started


@pytest.fixture
def home(server: PrefectServer, sample_base: Path, tmp_path: Path) -> Home:
    """Ada and Ben at home, with an empty place for their repository."""
    copy_base(sample_base, tmp_path / "Anki2")
    (tmp_path / "recollect.toml").touch()
    return Home(server, tmp_path)
