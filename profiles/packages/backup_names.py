"""The names of Anki's automatic backups and of exports by hand, and the local time that they say.

* Anki since 2.1: `backup-2026-01-31-18.05.09.colpkg` (rslib/src/collection/backup.rs; before 2.1.50 qt/aqt/main.py).
  It also knows numbers without leading zeros for its own, so they count here.
* AnkiDroid: the same, and before 2.16 `collection-2026-01-31-18-05.colpkg` (BackupManager.kt).
* Anki 2.0: `backup-12.apkg`, counted on, without a time; inside they are whole collections all the same.

What a person exports by hand is none of them, but is named by its time, too:

* Anki: `collection-2026-01-31@18-05-09.colpkg`, the first word in its own language (qt/aqt/import_export/exporting.py).
* AnkiDroid: `collection-20260131180509.colpkg` (ActivityExportingDelegate.kt).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_DATED: Final = re.compile(
    r"(?:backup|collection)-([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})-([0-9]{1,2})[.-]([0-9]{1,2})(?:\.([0-9]{1,2}))?\.colpkg"
)
_EXPORTED: Final = (
    re.compile(r".*-([0-9]{4})-([0-9]{2})-([0-9]{2})@([0-9]{2})-([0-9]{2})-([0-9]{2})\.colpkg", re.DOTALL),
    re.compile(r"collection-([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})\.colpkg"),
)
_COPY_MARK: Final = re.compile(r" ?\([0-9]{1,3}\)(?=\.[a-z]+\Z)")
"""What browsers and file managers put into the name of what is there already."""
_COUNTED: Final = re.compile(r"backup-[0-9]+\.apkg")


def is_backup_name(name: str) -> bool:
    """Whether a file of this name (without its folder) is one of Anki's automatic backups."""
    return _COUNTED.fullmatch(name) is not None or backup_time(name) is not None


def backup_time(name: str) -> datetime | None:
    """The time in the name of an automatic backup, by the clock on the wall where it was made; None when it says none.

    In the hour that comes twice when clocks are put back Anki means the later one, hence `fold`.
    """
    return _moment(_DATED.fullmatch(name))


def time_in_name(name: str) -> datetime | None:
    """As `backup_time`, for what a person exported by hand as well, and for copies of either."""
    name = _COPY_MARK.sub("", name)
    exported = (_moment(pattern.fullmatch(name)) for pattern in _EXPORTED)
    return backup_time(name) or next(filter(None, exported), None)


def _moment(found: re.Match[str] | None) -> datetime | None:
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(number or 0) for number in found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, fold=1)  # noqa: DTZ001 - the name says no zone
    except ValueError:
        return None
