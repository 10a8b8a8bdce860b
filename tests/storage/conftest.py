"""A repository place on every kind of store: the local disk, memory, and real servers on 127.0.0.1."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage.store import Store
from storage.stores.address import open_store
from tests.servers.openssh import MISSING, openssh_server, sshd_program
from tests.servers.rclone import s3_server, sftp_server

EVERY_KIND_OF_STORE = ("local", "memory", "s3-rclone", "sftp-openssh", "sftp-rclone")


@dataclass(frozen=True, slots=True)
class RepositoryPlace:
    """Where a repository may be made: nothing is there yet. `kind` is one of EVERY_KIND_OF_STORE."""

    kind: str
    url: str
    options: Mapping[str, Any]

    def open(self, *, must_exist: bool = False) -> Store:
        """Return a store that shares nothing in memory with the others at this place."""
        return open_store(self.url, self.options, must_exist=must_exist)


class Places:
    """Starts each kind of server when it is first asked for, and keeps it until the tests end."""

    def __init__(self, scratch: Path, servers: ExitStack) -> None:
        self._scratch = scratch
        self._servers = servers
        self._running: dict[str, Any] = {}

    def new(self, kind: str) -> RepositoryPlace:
        fresh = uuid.uuid4().hex
        if kind == "local":
            return RepositoryPlace(kind, str(self._scratch / "local" / fresh), {})
        if kind == "memory":
            return RepositoryPlace(kind, f"memory://{fresh}", {})
        server = self._server(kind)
        return RepositoryPlace(kind, server.url(fresh), server.options)

    def _server(self, kind: str) -> Any:
        if kind == "sftp-openssh" and sshd_program() is None:
            pytest.skip(MISSING)
        if kind not in self._running:
            starts: dict[str, Callable[[Path, Path], Any]] = {
                "s3-rclone": s3_server,
                "sftp-openssh": openssh_server,
                "sftp-rclone": sftp_server,
            }
            scratch = self._scratch / kind
            scratch.mkdir()
            self._running[kind] = self._servers.enter_context(starts[kind](self._scratch / f"{kind}-served", scratch))
        return self._running[kind]


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with ExitStack() as servers:
        yield Places(tmp_path_factory.mktemp("places"), servers)


@pytest.fixture(params=EVERY_KIND_OF_STORE)
def repository_place(request: pytest.FixtureRequest, places: Places) -> RepositoryPlace:
    """A fresh place on each kind of store in turn."""
    return places.new(request.param)


@pytest.fixture
def store(repository_place: RepositoryPlace) -> Store:
    """An empty store of each kind in turn."""
    return repository_place.open()
