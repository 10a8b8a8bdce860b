"""A picture of the days that snapshots cover: a year of weeks, each a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from enum import Enum

from flows.report.drawing import FAINT, Drawing
from storage.format.manifest import Manifest
from tasks.catalog import ADOPTED
from tasks.retention_prune import is_good

_WEEKS = 53
_CELL, _STEP = 11, 13
_LEFT, _TOP = 30, 50
_WEEK = 7


class Cover(Enum):
    """What there is of a day, and the colour and the words for it; the first that holds counts."""

    GOOD = ("#41b86a", "good")
    SOME = ("#2c6e49", "not for every profile")
    ADOPTED = ("#5fa8ff", "adopted from Anki")
    SUSPECT = ("#e3a13a", "suspect or incomplete")


def cover_of(manifests: Iterable[Manifest]) -> dict[date, Cover]:
    """What a profile's snapshots cover, by the calendar of the computer that they were taken on."""
    covered: dict[date, Cover] = {}
    order = list(Cover)
    for manifest in manifests:
        if manifest.facts.get("purpose") == ADOPTED:
            cover = Cover.ADOPTED
        else:
            cover = Cover.GOOD if is_good(manifest) else Cover.SUSPECT
        day = manifest.taken_at.date()
        covered[day] = min(cover, covered.get(day, cover), key=order.index)
    return covered


def cover_of_all(profiles: Sequence[Mapping[date, Cover]]) -> dict[date, Cover]:
    """What the snapshots of several profiles cover: a day is good if it is so for each that there was by then."""
    found: dict[date, Cover] = {}
    order = list(Cover)
    for day in {day for covered in profiles for day in covered}:
        covers = [covered.get(day) for covered in profiles if min(covered) <= day]
        present = [cover for cover in covers if cover is not None]
        best = min(present, key=order.index)
        found[day] = Cover.SOME if best is Cover.GOOD and set(covers) != {Cover.GOOD} else best
    return found


def days_picture(title: str, covered: Mapping[date, Cover], today: date) -> Drawing:
    """The year up to `today`. Of days before the first snapshot, and of those to come, nothing is drawn."""
    drawing = Drawing(_TOP + _WEEK * _STEP + 34, title)
    monday = today - timedelta(days=today.weekday(), weeks=_WEEKS - 1)
    first = max(monday, min(covered, default=today))
    for row, name in ((0, "Mon"), (2, "Wed"), (4, "Fri")):
        drawing.text(_LEFT - 5, _TOP + row * _STEP + 9, name, anchor="end", size=9)
    days = [first + timedelta(days=number) for number in range((today - first).days + 1)]
    drawing.boxes([_cell(day, monday) for day in days if day not in covered], FAINT)
    for cover in Cover:
        drawing.boxes([_cell(day, monday) for day in days if covered.get(day) is cover], cover.value[0])
    for week in range(_WEEKS):
        begins = monday + timedelta(weeks=week)
        # Above the week that holds a month's first day.
        if begins.day > _WEEK or week > _WEEKS - 3:
            continue
        drawing.text(_LEFT + week * _STEP, _TOP - 7, f"{begins:%b}", size=10)
    used = {covered[day] for day in days if day in covered}
    drawing.legend(
        drawing.height - 12, [*(cover.value for cover in Cover if cover in used), (FAINT, "no snapshot kept")]
    )
    return drawing


def _cell(day: date, monday: date) -> tuple[float, float, float, float]:
    week, row = divmod((day - monday).days, _WEEK)
    return _LEFT + week * _STEP, _TOP + row * _STEP, _CELL, _CELL
