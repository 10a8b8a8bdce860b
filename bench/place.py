"""Where a tool keeps its backups while it is measured: a folder of this disk, or a bucket of a server far away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bench.latency_proxy import LatencyProxy, latency_proxy
from tests.servers.process import HOST, serving
from tests.servers.rclone import rclone_program

BUCKET: Final = "bench"
KEY: Final = "bench-access-key"
SECRET: Final = "bench-secret-key"  # noqa: S105 - of a server that lives as long as the benchmark
REGION: Final = "us-east-1"

_DAY_NS: Final = 86_400 * 1_000_000_000


class Kind(StrEnum):
    """The kinds of places."""

    LOCAL = "local"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class Place:
    """A tool's own place. Its bytes lie in `repository`, also where a server stands before it at `endpoint`.

    `home` is for all else that the tool keeps: caches, keys, settings.
    """

    kind: Kind
    name: str
    home: Path
    repository: Path
    endpoint: str | None = None
    notice: Callable[[], None] = lambda: None
    """Lets a server know that files were changed behind its back."""


class Far:
    """The S3 server, behind its proxy. Its bucket lies below `folder`."""

    def __init__(self, folder: Path, scratch: Path, proxy: LatencyProxy, server: ExitStack) -> None:
        self.proxy = proxy
        self.delay_s = proxy.delay_s
        self.bucket = folder / BUCKET
        self._folder = folder
        self._scratch = scratch
        self._server = server

    @property
    def endpoint(self) -> str:
        """The address that tools are given."""
        return f"http://{HOST}:{self.proxy.port}"

    def restart(self) -> None:
        """Serve anew: a server that runs would not notice that files were changed behind its back."""
        self._server.close()
        self.bucket.mkdir(parents=True, exist_ok=True)
        configuration = self._scratch / "server-rclone.conf"
        configuration.touch()
        command = [rclone_program(), "--config", str(configuration), "serve", "s3", "--auth-key", f"{KEY},{SECRET}"]
        # With a digest for its tag the server would read every file for every listing.
        command += ["--etag-hash", "", str(self._folder)]
        log = self._scratch / "s3-server.log"
        server = self._server.enter_context(serving(lambda port: [*command, "--addr", f"{HOST}:{port}"], log))
        self.proxy.target = server.port

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Let requests through at once: for what is not measured."""
        self.proxy.delay_s = 0.0
        try:
            yield
        finally:
            self.proxy.delay_s = self.delay_s


@contextmanager
def far_away(folder: Path, scratch: Path, delay_s: float) -> Iterator[Far]:
    """An S3 server over `folder`, every request to which waits `delay_s`; `scratch` takes its log."""
    with latency_proxy(delay_s) as proxy, ExitStack() as server:
        far = Far(folder, scratch, proxy, server)
        far.restart()
        yield far


def freeze(place: Place, copy: Path) -> None:
    """Keep what a tool has stored in the folder `copy`, which must not exist.

    Stored objects become hard links: no tool here writes into a file that it has stored. What is at home is copied.
    """
    carry_over(place, Place(place.kind, place.name, copy / "home", copy / "repository"), lambda _: None)


def thaw(place: Place, copy: Path, discard: Callable[[Path], None]) -> None:
    """Put back what `freeze` kept, in the place of what is there, which `discard` takes away."""
    carry_over(Place(place.kind, place.name, copy / "home", copy / "repository"), place, discard)


def carry_over(place: Place, other: Place, discard: Callable[[Path], None]) -> None:
    """Let a tool have at `other` what it has at `place`; what was there `discard` takes away."""
    for folder in (other.home, other.repository):
        discard(folder)
    shutil.copytree(place.home, other.home, symlinks=True)
    shutil.copytree(place.repository, other.repository, symlinks=True, copy_function=_link)
    other.notice()


def let_days_pass(place: Place, days: int) -> None:
    """Make all that is stored so much older."""
    for path in place.repository.rglob("*"):
        if path.is_file():
            found = path.stat()
            os.utime(path, ns=(found.st_atime_ns - days * _DAY_NS, found.st_mtime_ns - days * _DAY_NS))
    place.notice()


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target
