"""Switching a profile's automatic sync off, so that nothing syncs before its user has decided, and back on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.errors import PreferencesUnusable, ProfileUnknown
from profiles.preferences import printable
from profiles.preferences_change import Row, change_row, read_rows
from profiles.profile_pickle import PickleUnclearError, flags_in, with_flags
from profiles.replacing import go_on

# qt/aqt/profiles.py, auto_syncing_enabled and media_syncing_enabled: the keys, and what a missing one means.
_COLLECTION: Final = "autoSync"
_MEDIA: Final = "syncMedia"
_WHEN_MISSING: Final = True
_GLOBAL: Final = "_global"


@dataclass(frozen=True, slots=True)
class AutomaticSync:
    """What Anki syncs of a profile without being asked."""

    collection: bool
    """When the profile is opened and closed."""
    media: bool
    """With each sync, and by itself from five minutes after the start on, even where `collection` is off
    (qt/aqt/main.py, _can_sync_unattended). While it is off, a sync that the user asks for leaves the media out too."""


NO_AUTOMATIC_SYNC: Final = AutomaticSync(collection=False, media=False)


def automatic_sync(base: Path, profile_name: str) -> AutomaticSync:
    """What Anki's list in the base folder says of the profile; while Anki runs it may have other plans in memory.

    Raises ProfileUnknown, PreferencesUnusable (also when the row is not as Anki writes it), SourceUnreadable,
    SourceBusy, TargetUnusable (no room for a copy).
    """
    return _read(_row(read_rows(base), base, profile_name), base)


def switch_automatic_sync(
    base: Path, profile_name: str, to: AutomaticSync, *, before_swap: Callable[[str], None] = go_on
) -> AutomaticSync:
    """Switch what Anki syncs of the profile by itself, and return what it was: hand that in to switch it back.

    Someone who may be killed in between asks `automatic_sync` first and keeps the answer. Where Anki's list says
    nothing Anki syncs, so that is what it was. Nothing is unpickled, nothing else in the list changes, and Anki must be
    closed: of that, and of when an Anki can't be seen, `preferences_change` tells. `before_swap` is for tests.

    Raises ProfileUnknown, AnkiIsOpen, SourceBusy, PreferencesUnusable, SourceUnreadable, TargetUnusable; nothing has
    been changed then.
    """
    previous: list[AutomaticSync] = []

    def switched(rows: tuple[Row, ...]) -> Row | None:
        row = _row(rows, base, profile_name)
        previous.append(_read(row, base))
        if previous[0] == to:
            return None
        try:
            return Row(row.name, with_flags(row.data, {_COLLECTION: to.collection, _MEDIA: to.media}))
        except PickleUnclearError as unclear:
            raise _unclear(row, base, unclear) from unclear

    change_row(base, switched, before_swap=before_swap)
    return previous[0]


def _row(rows: tuple[Row, ...], base: Path, profile_name: str) -> Row:
    found = [row for row in rows if row.name == profile_name != _GLOBAL]
    if not found:
        raise ProfileUnknown(
            f"There is no profile “{printable(profile_name)}” in Anki's list of profiles in {base}",
            "Add a profile of that name in Anki, close Anki, then try again",
        )
    return found[0]


def _read(row: Row, base: Path) -> AutomaticSync:
    try:
        flags = flags_in(row.data, frozenset({_COLLECTION, _MEDIA}))
    except PickleUnclearError as unclear:
        raise _unclear(row, base, unclear) from unclear
    return AutomaticSync(flags.get(_COLLECTION, _WHEN_MISSING), flags.get(_MEDIA, _WHEN_MISSING))


def _unclear(row: Row, base: Path, unclear: PickleUnclearError) -> PreferencesUnusable:
    return PreferencesUnusable(
        f"What Anki keeps of the profile “{printable(row.name)}” in {base} is not as Anki writes it: {unclear}",
        "Open the profile in Anki, holding Shift so that it does not sync at once, and switch automatic syncing there "
        "(Tools > Preferences > Syncing)",
    )
