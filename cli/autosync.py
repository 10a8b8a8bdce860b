"""`recollect autosync`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cli.options import AsJson, Base, Config
from cli.output import show_json, show_text
from cli.session import session
from profiles.automatic_sync import AutomaticSync
from profiles.discovery import named
from tasks.held_sync import HeldSync, held_sync, hold_sync, release_sync
from tasks.profiles_here import found_profiles


class Switch(StrEnum):
    """Which way."""

    ON = "on"
    OFF = "off"


def autosync(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="The profile's name.")],
    to: Annotated[
        Switch | None,
        typer.Argument(help="Off, or on as it was before it was switched off. Default: only show.", show_default=False),
    ] = None,
    base: Base = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Hold a profile's automatic sync off, or let it go on as it was before. Anki must be closed.

    After a restore nothing then reaches AnkiWeb, or comes from there, until you have looked.

    Example: recollect autosync Ada off
    """
    with session(config, base=base):
        found = named(found_profiles(), profile)
        act = {None: held_sync, Switch.OFF: hold_sync, Switch.ON: release_sync}[to]
        held = act(found)
        if as_json:
            show_json({"profile": found.name, **_as_json(held)})
        else:
            show_text(_told(found.name, held))


def _told(name: str, held: HeldSync) -> str:
    now = f"{name} syncs by itself: {_in_words(held.now)}"
    if held.before is None:
        return now
    return f"{now}. Held off is: {_in_words(held.before)}; `recollect autosync {name!r} on` lets it go on"


def _in_words(sync: AutomaticSync) -> str:
    parts = [name for name, on in (("its collection", sync.collection), ("its media", sync.media)) if on]
    return " and ".join(parts) or "nothing"


def _as_json(held: HeldSync) -> dict[str, object]:
    return {
        "collection": held.now.collection,
        "media": held.now.media,
        "held": held.before and {"collection": held.before.collection, "media": held.before.media},
    }
