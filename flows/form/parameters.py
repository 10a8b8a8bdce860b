"""What a flow's parameters may be. Prefect stores them in clear and shows them to everyone, so no secret may fit in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

ProfileName = Annotated[str, Field(min_length=1, max_length=255)]

RepositoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A name in the settings or of a block. An address, which may hold a password, is refused before a run of it exists."""

SnapshotChoice = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^([A-Za-z0-9][A-Za-z0-9-]*|\d{4}-\d{2}-\d{2}([ T]+\d{1,2}:\d{2}(:\d{2})?\s?(Z|[+-]\d{2}:?\d{2})?)?)$",
    ),
]
"""*latest*, an id of a snapshot, or a moment such as 2026-11-22 18:00."""

AnswerMinutes = Annotated[int, Field(ge=1, le=1440)]
"""How long a run waits for an answer."""

AtOnce = Annotated[int, Field(ge=1, le=32)]
"""How many profiles are backed up side by side: the range of the setting `at_once`."""

Limit = Annotated[int, Field(ge=0, le=9999)]
"""How many snapshots to keep of a kind: the range of the settings of that name."""

TargetAddress = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        pattern=r"^([A-Za-z][A-Za-z0-9+.-]+://([^/@:?#]*@)?[^@?#]*|[^:]*|[A-Za-z]:[^:]*)$",
    ),
]
"""A file's path, or its URL with no password in it: what must not be stored is refused before a run of it exists."""


class PackageLayout(StrEnum):
    """Which Anki is to read a package."""

    LATEST = "latest"
    LEGACY = "legacy"
