"""Pictures of bytes over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from flows.report.drawing import LINE, WIDTH, Drawing
from recollect.units import size

_LEFT, _RIGHT, _TOP, _HIGH = 84.0, WIDTH - 20.0, 44.0, 120.0
_HEIGHT = int(_TOP + _HIGH + 36)
_FOOT = _TOP + _HIGH
_TICKS = 4
_DATES = 5
_MOST_POINTS = 300
_BAR_DAYS = 90
_POWER = 1024


def bytes_line(title: str, points: Sequence[tuple[datetime, int]]) -> Drawing:
    """How a number of bytes went up and down; `points` are in the order of their times, one at least."""
    drawing = Drawing(_HEIGHT, f"{title}: {size(points[-1][1])}")
    points = _thinned(points)
    top = _round_up(max(amount for _, amount in points))
    for tick in range(_TICKS + 1):
        _level(drawing, _FOOT - _HIGH * tick / _TICKS, size(top * tick / _TICKS))
    first, last = points[0][0], points[-1][0]
    span = (last - first).total_seconds()
    where = [
        (_RIGHT if not span else _LEFT + (_RIGHT - _LEFT) * (at - first).total_seconds() / span) for at, _ in points
    ]
    drawing.curve([(x, _FOOT - _HIGH * amount / top) for x, (_, amount) in zip(where, points, strict=True)], _FOOT)
    _dates(drawing, first, last)
    return drawing


def bytes_by_day(title: str, amounts: Mapping[date, int], today: date) -> Drawing:
    """How many bytes each of the last days brought, on a scale that shows kilobytes beside gigabytes."""
    first = today - timedelta(days=_BAR_DAYS - 1)
    shown = {day: amount for day, amount in amounts.items() if first <= day <= today and amount > 0}
    drawing = Drawing(_HEIGHT, f"{title}, last {_BAR_DAYS} days: {size(sum(shown.values()))}")
    powers = max(1, math.ceil(math.log(max(shown.values(), default=1), _POWER)))
    for power in range(powers + 1):
        _level(drawing, _FOOT - _HIGH * power / powers, size(_POWER**power) if power else "")
    step = (_RIGHT - _LEFT) / _BAR_DAYS
    bars = []
    for day, amount in sorted(shown.items()):
        high = max(2.0, _HIGH * math.log(amount, _POWER) / powers)
        bars.append(
            (round(_LEFT + step * (day - first).days, 1), round(_FOOT - high, 1), round(step - 1.5, 1), round(high, 1))
        )
    drawing.boxes(bars, LINE)
    _dates(drawing, datetime.combine(first, datetime.min.time()), datetime.combine(today, datetime.min.time()))
    return drawing


def _level(drawing: Drawing, y: float, words: str) -> None:
    drawing.rule(_LEFT, y, _RIGHT - _LEFT)
    drawing.text(_LEFT - 8, y + 4, words, anchor="end")


def _dates(drawing: Drawing, first: datetime, last: datetime) -> None:
    """Name dates below the picture; none twice."""
    named = ""
    for number in range(_DATES):
        part = number / (_DATES - 1)
        day = f"{first + (last - first) * part:%d %b %Y}"
        if day == named or (number < _DATES - 1 and day == f"{last:%d %b %Y}"):
            continue
        named = day
        anchor = "end" if number == _DATES - 1 else "start" if number == 0 else "middle"
        drawing.text(_LEFT + (_RIGHT - _LEFT) * part, _FOOT + 20, day, anchor=anchor)


def _thinned(points: Sequence[tuple[datetime, int]]) -> Sequence[tuple[datetime, int]]:
    """So many of the points as a picture can show, the last among them."""
    step = math.ceil(len(points) / _MOST_POINTS)
    return points[::-1][::step][::-1]


def _round_up(amount: int) -> float:
    """The next amount that divides into ticks with short names."""
    power = 1
    while amount > 1000 * power:
        power *= _POWER
    return next(step * power for step in (4, 8, 20, 40, 80, 200, 400, 800, 1200) if step * power >= amount)
