"""`recollect.json`: what makes a folder a repository. `docs/format.md` §1."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from storage.errors import NotARepository, UnsupportedFormat

CONFIGURATION_NAME = "recollect.json"
FORMAT = 1
_MAX_BYTES = 64 * 1024
_KEYS = {"format", "id", "created_at", "sealing"}


class Sealing(StrEnum):
    """How everything but the audit table is sealed."""

    OPEN = "open"
    AES = "aes-256-gcm"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A repository's own identity; it never changes. `id` is 32 hex digits, `created_at` an ISO time in UTC."""

    id: str
    created_at: str
    sealing: Sealing = Sealing.OPEN


def write_configuration(configuration: Configuration) -> bytes:
    """The bytes of `recollect.json`, readable for people."""
    content = {
        "format": FORMAT,
        "id": configuration.id,
        "created_at": configuration.created_at,
        "sealing": configuration.sealing.value,
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def read_configuration(url: str, stored: bytes) -> Configuration:
    """What `recollect.json` at `url` says; anything unknown in it is refused, never ignored."""
    try:
        if len(stored) > _MAX_BYTES:
            raise ValueError("too long")
        content = json.loads(stored)
        found = content["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise NotARepository(
            f"{url} is no repository: its {CONFIGURATION_NAME} can't be read",
            f"Check the address; if it is right, put {CONFIGURATION_NAME} back from a copy of the repository",
        ) from fault
    identity = content.get("id")
    if (
        type(found) is not int
        or found != FORMAT
        or set(content) != _KEYS
        or content["sealing"] not in list(Sealing)
        or not isinstance(identity, str)
        or not re.fullmatch(r"[0-9a-f]{32}", identity)
        or not isinstance(content["created_at"], str)
    ):
        shown = f" (format {found})" if isinstance(found, int) and abs(found) < 10**9 else ""
        raise UnsupportedFormat(
            f"The repository at {url} was made by another version of Recollect{shown}",
            "Update Recollect and try again",
        )
    return Configuration(id=identity, created_at=content["created_at"], sealing=Sealing(content["sealing"]))
