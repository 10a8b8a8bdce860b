"""OpenSSH's own server with its SFTP subsystem, for tests, where it is installed."""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import HOST, serving
from tests.servers.rclone import SftpServer
from tests.servers.ssh_keys import SshKeys, make_ssh_keys

MISSING = "OpenSSH's sshd is not installed here (Debian: openssh-server)"


def sshd_program() -> str | None:
    return shutil.which("sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


@contextmanager
def openssh_server(
    folder: Path, scratch: Path, *, port: int | None = None, read_only: bool = False, keys: SshKeys | None = None
) -> Iterator[SftpServer]:
    """Serve the whole machine to its current user by key; addresses of the server begin at `folder`."""
    program = sshd_program()
    if program is None:
        raise RuntimeError(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # compiled into sshd, which won't start as root without it
    ours = keys or make_ssh_keys(scratch)
    settings = {
        "ListenAddress": HOST,
        "HostKey": ours.host,
        "AuthorizedKeysFile": ours.authorized,
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": "100",
        "Subsystem": f"sftp internal-sftp{' -R' if read_only else ''}",
    }
    configuration = scratch / "sshd_config"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def command(chosen: int) -> list[str]:
        return [program, "-D", "-e", "-f", str(configuration), "-p", str(chosen)]

    with serving(command, scratch / "sshd.log", port=port) as server:
        yield SftpServer(server, getpass.getuser(), ours, ours.known_hosts(HOST, server.port), str(folder))
