"""What `recollect up` keeps in the state folder: the server's own folder, its key, its port, and whether it runs."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deployments.local.lock import holder
from recollect.errors import RecollectError
from recollect.settings import Settings

DEFAULT_PORT = 4200
_KEY_BYTES = 32
_HIGHEST_PORT = 65535


class HomeUnusable(RecollectError):
    """The folder of the server can't be made or written to."""

    code = "home-unusable"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of the server, which only its owner may enter, and what lies in it."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by the process that keeps all others running."""
        return self.folder / "up.lock"

    @property
    def record(self) -> Path:
        """What is running, once it is."""
        return self.folder / "up.json"

    @property
    def wish_to_end(self) -> Path:
        """There when `recollect down` wants everything to end."""
        return self.folder / "down"

    @property
    def logs(self) -> Path:
        """A folder with a log of each process."""
        return self.folder / "logs"

    @property
    def log(self) -> Path:
        """What `recollect up` itself says when it has no terminal."""
        return self.logs / "up.log"

    def lock_of(self, process: str) -> Path:
        """Held by the process of that name while it lives."""
        return self.folder / f"{process}.lock"

    def log_of(self, process: str) -> Path:
        """What the process of that name says."""
        return self.logs / f"{process}.log"


@dataclass(frozen=True, slots=True)
class Record:
    """What is running: since when, where, and what was said when it came up."""

    process: int
    since: datetime
    api_url: str
    joined: bool
    """Whether the server is somebody else's."""
    remarks: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def ui_url(self) -> str:
        """Where a person looks."""
        return self.api_url.removesuffix("/api")


def home_of(settings: Settings) -> Home:
    """Where the server of these settings lives; nothing is made."""
    return Home(settings.state / "prefect")


def made(home: Home) -> Home:
    """The folder, made where it is not there, for its owner's eyes alone. Raises HomeUnusable."""
    try:
        home.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.folder.chmod(0o700)
        home.logs.chmod(0o700)
    except OSError as error:
        raise _unusable(home.folder, error) from error
    return home


def encryption_key(home: Home) -> str:
    """The key by which the server encrypts the secrets in its blocks. It lies beside the database, not in it.

    Made on the first call, as `cryptography.fernet.Fernet.generate_key` does. Raises HomeUnusable.
    """
    file = home.folder / "encryption-key"
    fresh = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES))
    try:
        if not file.exists():
            _write(file, fresh)
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(file, error) from error


def remembered_port(home: Home) -> int:
    """The port that was used last: bookmarks stay right."""
    try:
        port = int((home.folder / "port").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return DEFAULT_PORT
    return port if 0 < port <= _HIGHEST_PORT else DEFAULT_PORT


def remember_port(home: Home, port: int) -> None:
    """Use `port` the next time, too."""
    _keep(home.folder / "port", str(port).encode())


def remember_up(home: Home, record: Record) -> None:
    """Let others know what is running. Raises HomeUnusable."""
    noted = {
        "process": record.process,
        "since": record.since.isoformat(),
        "api_url": record.api_url,
        "joined": record.joined,
        "remarks": record.remarks,
        "lines": record.lines,
    }
    _keep(home.record, json.dumps(noted, indent=2).encode())


def forget_up(home: Home) -> None:
    """Nothing runs any more, or not yet."""
    for file in (home.record, home.wish_to_end):
        with contextlib.suppress(OSError):
            file.unlink()


def what_is_up(home: Home) -> Record | None:
    """What is running; None when nothing is, or it is not up yet. Cheap, and asks no server."""
    try:
        noted = json.loads(home.record.read_bytes())
        record = Record(
            int(noted["process"]),
            datetime.fromisoformat(noted["since"]),
            str(noted["api_url"]),
            bool(noted["joined"]),
            tuple(str(remark) for remark in noted["remarks"]),
            tuple(str(line) for line in noted["lines"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # What was killed leaves its record behind, and its lock never.
    return record if holder(home.lock) is not None else None


def wish_to_end(home: Home) -> None:
    """Ask the process that keeps all others running to end them and itself. Raises HomeUnusable."""
    _keep(home.wish_to_end, b"")


def _keep(file: Path, content: bytes) -> None:
    try:
        _write(file, content)
    except OSError as error:
        raise _unusable(file, error) from error


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _unusable(path: Path, error: Exception) -> HomeUnusable:
    why = getattr(error, "strerror", None) or type(error).__name__
    return HomeUnusable(
        f"What the server needs can't be kept in {path}: {why.lower()}",
        "See that there is room, and that the folder is yours to write to; or set another one as `state`",
    )
