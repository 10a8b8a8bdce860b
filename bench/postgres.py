"""A PostgreSQL server of its own for a measurement: below a folder, on 127.0.0.1, run by someone without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.process import free_port

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "bench"


class PostgresMissingError(Exception):
    """PostgreSQL is not installed, or there is nobody to run it as."""


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server with an empty database; its URL, as Prefect wants it. It is gone afterwards."""
    programs = _programs()
    # Not below a folder of whoever measures: another user must get there.
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    somebody = _somebody(folder)
    data, port = folder / "data", free_port()
    options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -p {port}"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    try:
        _do([str(programs / "initdb"), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8"], somebody)
        _do([*control, "-o", options, "start"], somebody)
        try:
            _do([str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", _USER, "prefect"], somebody)
            yield f"postgresql+asyncpg://{_USER}@127.0.0.1:{port}/prefect"
        finally:
            _do([*control, "-m", "immediate", "stop"], somebody)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of the newest version that Debian has installed, or of the one in the path."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    path = found[-1] if found else shutil.which("initdb")
    if path is None:
        raise PostgresMissingError("PostgreSQL is missing. Install it with: sudo apt-get install postgresql")
    return Path(path).parent


def _somebody(folder: Path) -> dict[str, Any]:
    """How to start a program that refuses to run as root; `folder` is theirs from then on."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError as error:
        raise PostgresMissingError("There is no user `postgres` to run a server as") from error
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _do(command: list[str], somebody: dict[str, Any]) -> None:
    # A server that is started here keeps its output open, so it must not be a pipe.
    with tempfile.TemporaryFile() as said:
        ended = subprocess.run(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", check=False, **somebody
        )
        if ended.returncode != 0:
            said.seek(0)
            raise PostgresMissingError(f"{command[0]} failed: {said.read().decode(errors='replace')[-2000:]}")
