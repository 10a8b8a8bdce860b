"""Pictures of a profile's snapshots, and of a repository's: what they take, and which days they cover."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from flows.report.days import cover_of, cover_of_all, days_picture
from flows.report.growth import bytes_by_day, bytes_line
from flows.report.markdown import heading, moment, plain, table
from flows.report.page import Page, markdown_page, profile_page_key, repository_page_key
from storage.format.manifest import Manifest
from tasks.catalog import ADOPTED, CLOCK_TOLERANCE
from tasks.retention_prune import is_good

_MONTH = timedelta(days=30)


def profile_pictures_page(manifests: Sequence[Manifest], now: datetime) -> Page:
    """The pictures of one profile, which has snapshots. `now` tells the present day by its own zone."""
    one = manifests[-1]
    seen = _in_order(manifests, now)
    title = f"{one.profile} on {one.host}"
    held = [(manifest.taken_at, _bytes_held(manifest)) for manifest in seen if manifest.folders]
    in_packs = _bytes_in_packs(seen)
    covered = cover_of(seen)
    return markdown_page(
        profile_page_key("pictures", one.profile_key),
        plain(f"What the snapshots of {title} hold, what they take, and which days they cover"),
        heading(title),
        plain(_days_told(list(covered), now.date())),
        days_picture("Days covered by snapshots", covered, now.date()).as_markdown(),
        bytes_line("Collection and media in a snapshot", held).as_markdown() if held else "",
        bytes_by_day("Stored for the snapshots that are kept", _stored_by_day(seen), now.date()).as_markdown(),
        bytes_line("The whole repository", in_packs).as_markdown() if in_packs else "",
    )


def repository_pictures_page(repository_id: str, profiles: Sequence[Sequence[Manifest]], now: datetime) -> Page:
    """Who is protected, and since when; and the pictures of the whole repository, told by all snapshots in it."""
    by_profile = [seen for manifests in profiles if (seen := _in_order(manifests, now))]
    every = sorted((one for seen in by_profile for one in seen), key=lambda one: one.taken_at)
    in_packs = _bytes_in_packs(every)
    days = days_picture("Days covered by snapshots", cover_of_all([cover_of(seen) for seen in by_profile]), now.date())
    return markdown_page(
        repository_page_key("repository", repository_id),
        "Who is protected, what the repository takes, and which days it covers",
        heading("The repository"),
        table(
            ("Profile", "Computer", "Snapshots", "Since", "Last good one"),
            [
                (seen[-1].profile, seen[-1].host, str(len(seen)), f"{seen[0].taken_at:%Y-%m-%d}", _last_good(seen))
                for seen in by_profile
            ],
        ),
        days.as_markdown() if every else "",
        bytes_line("The whole repository", in_packs).as_markdown() if in_packs else "",
        bytes_by_day("Stored for the snapshots that are kept", _stored_by_day(every), now.date()).as_markdown()
        if every
        else "",
    )


def _in_order(manifests: Iterable[Manifest], now: datetime) -> list[Manifest]:
    """Oldest first, without those that a clock that was wrong has dated in the future."""
    soon = now + CLOCK_TOLERANCE
    return sorted((one for one in manifests if one.taken_at <= soon), key=lambda one: one.taken_at)


def _bytes_held(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files) + sum(folder.size for folder in manifest.folders)


def _bytes_in_packs(manifests: Iterable[Manifest]) -> list[tuple[datetime, int]]:
    """What the repository took as each of the snapshots was stored; those of before that was noted are left out."""
    found = ((one.taken_at, one.facts.get("repository_bytes")) for one in manifests)
    return [(at, amount) for at, amount in found if type(amount) is int and amount >= 0]


def _stored_by_day(manifests: Iterable[Manifest]) -> dict[date, int]:
    amounts: dict[date, int] = {}
    for one in manifests:
        stored = one.facts.get("bytes_stored")
        # An adopted snapshot is of another day than the one on which it was stored.
        if type(stored) is int and stored >= 0 and one.facts.get("purpose") != ADOPTED:
            day = one.taken_at.date()
            amounts[day] = amounts.get(day, 0) + stored
    return amounts


def _days_told(days: Sequence[date], today: date) -> str:
    lately = sum(today - _MONTH < day <= today for day in days)
    return f"Days with a snapshot that is kept, of the last {_MONTH.days}: {lately}."


def _last_good(seen: Sequence[Manifest]) -> str:
    good = [one.taken_at for one in seen if is_good(one)]
    return moment(good[-1]) if good else "none"
