"""Anki's own sync server for tests, `python -m anki.syncserver`, and what a client does with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from anki.collection import Collection
from anki.sync import SyncAuth, SyncOutput, SyncStatus

from tests.servers.process import HOST, free_port, serving

_ENDED_WITHIN_S = 10.0
_MEDIA_SYNCED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class AnkiSyncServer:
    """A server that accepts connections. `base` holds a folder for each user, with `collection.anki2`, `media/` and
    `media.db`; they are whole files only once the server was stopped."""

    url: str
    base: Path
    users: Mapping[str, str]
    process: subprocess.Popen[bytes]

    def login(self, collection: Collection, user: str) -> SyncAuth:
        """What a client of `user` shows with each request."""
        return collection.sync_login(username=user, password=self.users[user], endpoint=self.url)

    def needed(self, collection: Collection, user: str) -> str:
        """What Anki's sync button would say: "NO_CHANGES", "NORMAL_SYNC" or "FULL_SYNC"."""
        status = collection.sync_status(self.login(collection, user))
        return str(SyncStatus.Required.Name(status.required))

    def sync(self, collection: Collection, user: str, *, upload: bool | None = None) -> str:
        """Sync `collection` without media, and tell what is required then.

        That is "NO_CHANGES" after an ordinary sync, and otherwise "FULL_SYNC", "FULL_UPLOAD" or "FULL_DOWNLOAD":
        nothing was synced then, unless `upload` tells which way to go.
        """
        auth = self.login(collection, user)
        required = str(SyncOutput.ChangesRequired.Name(collection.sync_collection(auth, False).required))
        if required.startswith("FULL_") and upload is not None:
            collection.close_for_full_sync()
            try:
                collection.full_upload_or_download(auth=auth, server_usn=None, upload=upload)
            finally:
                collection.reopen(after_full_sync=True)
        return required

    def sync_media(self, collection: Collection, user: str) -> None:
        """Sync the media folder both ways; returns once that is done."""
        collection.sync_media(self.login(collection, user))
        deadline = time.monotonic() + _MEDIA_SYNCED_WITHIN_S
        while collection.media_sync_status().active:
            if time.monotonic() > deadline:
                raise TimeoutError("The media sync did not end")
            time.sleep(0.02)  # nothing announces the end of the library's own thread

    def stop(self) -> None:
        """End the server as a person does, after which its databases are whole files."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(_ENDED_WITHIN_S)


@contextmanager
def anki_sync_server(scratch: Path, users: Mapping[str, str], *, port: int | None = None) -> Iterator[AnkiSyncServer]:
    """Serve `users` (passwords by name) on a free port of 127.0.0.1 until the block ends, all data below `scratch`."""
    base = scratch / "sync-server"
    base.mkdir(parents=True, exist_ok=True)
    chosen = port or free_port()
    command = [sys.executable, "-m", "anki.syncserver"]
    with serving(
        lambda _: command, scratch / "sync-server.log", port=chosen, environment=_environment(base, users, chosen)
    ) as server:
        running = AnkiSyncServer(f"http://{HOST}:{chosen}/", base, users, server.process)
        try:
            yield running
        finally:
            # What does not end by itself is ended by `serving`.
            with suppress(subprocess.TimeoutExpired):
                running.stop()


def _environment(base: Path, users: Mapping[str, str], port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SYNC_")}
    logins = {f"SYNC_USER{number}": f"{name}:{password}" for number, (name, password) in enumerate(users.items(), 1)}
    return inherited | logins | {"SYNC_BASE": str(base), "SYNC_HOST": HOST, "SYNC_PORT": str(port)}
