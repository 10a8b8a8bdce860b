"""What a flow's parameters may be. Prefect stores them in clear and shows them to everyone, so no secret may fit in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

ProfileName = Annotated[str, Field(min_length=1, max_length=255)]

RepositoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A name in the settings. An address, which may hold a password, is refused before a run of it exists."""
