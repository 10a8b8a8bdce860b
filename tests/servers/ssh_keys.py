"""Keys for an SSH server of a test and for its one user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncssh


@dataclass(frozen=True, slots=True)
class SshKeys:
    """Files: the server's private key, the user's private key, and what the server lets in."""

    host: Path
    client: Path
    authorized: Path

    def known_hosts(self, host: str, port: int) -> Path:
        """Write and return a known_hosts file that trusts the server's key at that address."""
        public = asyncssh.read_private_key(self.host).export_public_key().decode().strip()
        path = self.host.parent / f"known_hosts_{port}"
        path.write_text(f"[{host}]:{port} {public}\n")
        return path


def make_ssh_keys(folder: Path) -> SshKeys:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "client_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = folder / name
        path.touch(mode=0o600)  # sshd refuses a key that others can read
        path.write_bytes(key.export_private_key())
    authorized = folder / "authorized_keys"
    authorized.write_bytes(asyncssh.read_private_key(folder / "client_key").export_public_key())
    return SshKeys(folder / "host_key", folder / "client_key", authorized)
