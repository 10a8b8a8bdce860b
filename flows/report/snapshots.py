"""The table of a profile's snapshots."""

from __future__ import annotations

from collections.abc import Sequence

from flows.report.markdown import count, moment, plain
from flows.report.page import Page, profile_page_key, table_page
from recollect.units import size
from storage.format.manifest import Manifest
from tasks.audit import counts_of
from tasks.catalog import ADOPTED, SAFETY, UNFINISHED_RESTORE

MOST_ROWS = 200
"""The newest so many snapshots are shown."""


def snapshots_page(manifests: Sequence[Manifest]) -> Page:
    """The snapshots of one profile, which has some, newest first."""
    newest = sorted(manifests, key=lambda manifest: manifest.id, reverse=True)
    profile = newest[0]
    shown = newest[:MOST_ROWS]
    how_many = f"the newest {len(shown)} of {len(newest)}" if len(shown) < len(newest) else str(len(newest))
    return table_page(
        profile_page_key("snapshots", profile.profile_key),
        plain(f"Snapshots of {profile.profile} on {profile.host}: {how_many}"),
        [_row(manifest) for manifest in shown],
    )


def _row(manifest: Manifest) -> dict[str, str | int | None]:
    counts = counts_of(manifest)
    stored = manifest.facts.get("bytes_stored")
    return {
        "Taken": plain(moment(manifest.taken_at)),
        "Snapshot": plain(manifest.id),
        "Marks": ", ".join(marks_of(manifest)),
        "Added": plain(size(stored) if type(stored) is int and stored >= 0 else ""),
        "Notes": _count(counts["notes"]),
        "Cards": _count(counts["cards"]),
        "Reviews": _count(counts["reviews"]),
        "Media": plain(_media(counts["media_files"], counts["media_bytes"])),
    }


def marks_of(manifest: Manifest) -> list[str]:
    """What sets a snapshot apart from a routine one that is as it should be."""
    purpose = manifest.facts.get("purpose")
    marks = {
        "suspect": bool(manifest.facts.get("suspect")),
        "adopted": purpose == ADOPTED,
        "safety": purpose == SAFETY,
        "of an unfinished restore": bool(manifest.facts.get(UNFINISHED_RESTORE)),
        "media left out": bool(manifest.facts.get("media_left_out")),
    }
    return [mark for mark, found in marks.items() if found]


def _media(files: int | None, amount: int | None) -> str:
    return _count(files) + ("" if amount is None else f" ({size(amount)})")


def _count(number: int | None) -> str:
    return "" if number is None else count(number)
