"""Holding a profile's automatic sync off until its user has looked, and letting it go on as it was before."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from profiles.automatic_sync import NO_AUTOMATIC_SYNC, AutomaticSync, automatic_sync, switch_automatic_sync
from profiles.discovery import Profile
from storage.object_cache import ObjectCache
from tasks.cache_trouble import CacheUnusable
from tasks.settings_in_force import active_settings

_NAME = "held-sync.json"


@dataclass(frozen=True, slots=True)
class HeldSync:
    """What a profile syncs by itself at present, and what it did before that was held off; None when it is not."""

    now: AutomaticSync
    before: AutomaticSync | None


def held_sync(profile: Profile) -> HeldSync:
    """How things stand. Raises what reading Anki's list of profiles raises."""
    return HeldSync(automatic_sync(profile.folder.parent, profile.name), _all_held().get(_key(profile)))


def hold_sync(profile: Profile) -> HeldSync:
    """Switch the profile's automatic sync off; Anki must be closed. Returns what is then.

    What it was is remembered before it is changed, and whatever was held off before stays remembered: a run that is
    killed, or holding twice, forgets nothing. Raises what changing Anki's list of profiles raises.
    """
    base, held = profile.folder.parent, _all_held()
    before = held.get(_key(profile)) or automatic_sync(base, profile.name)
    _keep({**held, _key(profile): before})
    switch_automatic_sync(base, profile.name, NO_AUTOMATIC_SYNC)
    return HeldSync(NO_AUTOMATIC_SYNC, before)


def release_sync(profile: Profile) -> HeldSync:
    """Let the profile sync by itself as it did before; Anki must be closed. Returns what is then.

    Where nothing is held off nothing is changed. Raises what changing Anki's list of profiles raises.
    """
    held = _all_held()
    before = held.pop(_key(profile), None)
    if before is not None:
        switch_automatic_sync(profile.folder.parent, profile.name, before)
        _keep(held)
    return held_sync(profile)


def _key(profile: Profile) -> str:
    return str(profile.folder)


def _state() -> ObjectCache:
    return ObjectCache(active_settings().state)


def _all_held() -> dict[str, AutomaticSync]:
    try:
        found = json.loads(_state().get(_NAME) or b"{}")
        return {
            folder: AutomaticSync(collection=bool(was["collection"]), media=bool(was["media"]))
            for folder, was in dict(found).items()
        }
    except (ValueError, TypeError, KeyError):
        return {}


def _keep(held: dict[str, AutomaticSync]) -> None:
    _state().put(_NAME, json.dumps({folder: asdict(was) for folder, was in held.items()}, indent=2).encode())
    if _all_held() != held:
        raise CacheUnusable(
            f"What profiles synced by themselves can't be noted in {active_settings().state}",
            "See that there is room, and that the folder is yours to write to; or set another one as `state`",
        )
