"""`recollect profiles`."""

from __future__ import annotations

from cli.options import AsJson, Base, Config
from cli.output import say, show_json
from cli.session import settings_for
from cli.tables import Column, show_table
from profiles.base_folder import find_base_folder
from profiles.discovery import Profile, discover
from recollect.units import size

_COLUMNS = (
    Column("Profile", folds=16),
    Column("Collection", right=True),
    Column("State", folds=14),
    Column("Folder", folds=30),
)


def profiles(base: Base = None, as_json: AsJson = False, config: Config = None) -> None:
    """List the profiles on this computer.

    Example: recollect profiles --base ~/.local/share/Anki2
    """
    with settings_for(config, base=base) as settings:
        found = discover(find_base_folder(settings.base))
        if as_json:
            show_json(
                {
                    "base": str(found.base),
                    "profiles": [_as_json(profile) for profile in found.profiles],
                    "remarks": found.remarks,
                }
            )
            return
        rows = [
            (profile.name, size(_collection_bytes(profile)), profile.listed, profile.folder)
            for profile in found.profiles
        ]
        if rows:
            show_table(f"Profiles in {found.base}", _COLUMNS, rows)
        else:
            say(f"There is no profile in {found.base}")
        for remark in found.remarks:
            say(remark)


def _as_json(profile: Profile) -> dict[str, object]:
    return {
        "name": profile.name,
        "folder": str(profile.folder),
        "state": profile.listed,
        "can_be_backed_up": profile.can_be_backed_up,
        "collection_bytes": _collection_bytes(profile),
    }


def _collection_bytes(profile: Profile) -> int | None:
    try:
        return profile.collection.stat().st_size
    except OSError:
        return None
