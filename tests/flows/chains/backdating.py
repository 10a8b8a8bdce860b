"""Snapshots with a past: the present content of a profile under an older date."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flows.chains.backup import back_up
from storage.format.manifest import new_snapshot_id
from tasks.catalog import SAFETY
from tasks.repositories import open_named
from tests.flows.chains.house import House


def backdate(house: House, profile: str, days: list[int], **facts: Any) -> list[str]:
    """One snapshot for each of `days` (how many days ago); a snapshot made for their sake alone is forgotten again."""
    open_named(create=True)
    open_named(create=True)
    had = house.snapshots(profile)
    if not had:
        back_up(profile, purpose=SAFETY)
    newest = house.snapshots(profile)[-1]
    repository = house.repository
    manifest = house.manifest(newest)
    made = []
    for ago in days:
        taken_at = datetime.now().astimezone() - timedelta(days=ago)
        older = replace(
            manifest,
            id=new_snapshot_id(taken_at, os.urandom(4)),
            taken_at=taken_at,
            facts={**manifest.facts, "purpose": "routine", **facts},
        )
        repository.commit(older)
        made.append(older.id)
    if not had:
        repository.store.remove(f"snapshots/{newest.profile_key}/{newest.id}")
    return [str(snapshot) for snapshot in made]
