"""`recollect profiles`."""

from __future__ import annotations

from cli.options import AsJson, Base, Config
from cli.output import say, show_json, show_table, size
from cli.session import session
from profiles.discovery import Profile
from tasks.place import found_profiles


def profiles(base: Base = None, as_json: AsJson = False, config: Config = None) -> None:
    """List the profiles on this computer.

    Example: recollect profiles --base ~/.local/share/Anki2
    """
    with session(config, base=base):
        found = found_profiles()
        if as_json:
            show_json(
                {
                    "base": str(found.base),
                    "profiles": [
                        {
                            "name": profile.name,
                            "folder": str(profile.folder),
                            "state": profile.listed,
                            "can_be_backed_up": profile.can_be_backed_up,
                            "collection_bytes": _collection_bytes(profile),
                        }
                        for profile in found.profiles
                    ],
                    "remarks": found.remarks,
                }
            )
            return
        show_table(
            f"Profiles in {found.base}",
            {"Profile": "left", "State": "left", "Collection": "right", "Folder": "left"},
            (
                (profile.name, profile.listed, size(_collection_bytes(profile)), profile.folder)
                for profile in found.profiles
            ),
        )
        for remark in found.remarks:
            say(remark)


def _collection_bytes(profile: Profile) -> int | None:
    try:
        return profile.collection.stat().st_size
    except OSError:
        return None
