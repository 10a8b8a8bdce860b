"""Manifests of snapshots that hold nothing, for what is told of them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from storage.format.listing import NOTHING
from storage.format.manifest import Manifest, StoredFolder, new_snapshot_id, profile_key
from tasks.catalog import ROUTINE

NOW = datetime(2026, 11, 23, 13, 30, tzinfo=UTC)


def manifest(
    taken_at: datetime = NOW, profile: str = "Ada", *, host: str = "laptop", held: int = 0, **facts: Any
) -> Manifest:
    return Manifest(
        id=new_snapshot_id(taken_at, os.urandom(4)),
        profile=profile,
        profile_key=profile_key(profile, host, "/anki"),
        host=host,
        source="/anki",
        taken_at=taken_at,
        parent=None,
        files=(),
        folders=(StoredFolder("collection.media", held, NOTHING),),
        facts={"purpose": ROUTINE, "proven": True, **facts},
    )
