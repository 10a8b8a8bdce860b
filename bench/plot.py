"""The plot: a bar for each tool's median time, with a line from the fastest to the slowest round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from bench.goals import OURS
from bench.results import Results, Scenario, Spread, spread

_WIDTH, _LEFT, _RIGHT = 860, 190, 110
_ROW, _BAR = 17, 11
_PANEL_GAP, _TITLE = 26, 30
_FONT = "font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif"

# A picture in a page is told whether the page is dark, and nothing else of its colours.
_STYLE = f"""
text {{ {_FONT}; fill: #1f2328 }}
.title {{ font-weight: 600; font-size: 14px }}
.scenario {{ font-weight: 600 }}
.axis {{ stroke: #d1d9e0; stroke-width: 1 }}
.tick {{ fill: #59636e; font-size: 11px }}
.ours {{ fill: #0969da }} .peer {{ fill: #9aa4af }} .spread {{ stroke: #1f2328; stroke-width: 1.2 }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #f0f6fc }} .axis {{ stroke: #3d444d }} .tick {{ fill: #9198a1 }}
  .ours {{ fill: #4493f8 }} .peer {{ fill: #656c76 }} .spread {{ stroke: #f0f6fc }}
}}
"""

Bars = list[tuple[str, Spread]]


def plot(results: Results, titles: dict[str, str], names: dict[Scenario, str]) -> str:
    """An SVG of all wall times; `titles` by place and `names` by scenario are what stands beside the bars."""
    panels = [(titles[place], _groups(results, place, names)) for place in results.places()]
    walls = [bar.median for _, groups in panels for _, bars in groups for _, bar in bars]
    if not walls:
        return _document([], 40)
    scale = _Scale(min(walls), max(walls))
    parts: list[str] = []
    y = 0.0
    for title, groups in panels:
        parts.append(_text(12, y + 20, title, "title"))
        top = y + _TITLE
        body: list[str] = []
        y = top
        for name, bars in groups:
            y += 22
            body.append(_text(12, y - 5, name, "scenario"))
            for peer, bar in bars:
                body += _bar(peer, bar, y, scale)
                y += _ROW
            y += 4
        parts += _axis(scale, top, y)
        parts += body
        y += _PANEL_GAP
    return _document(parts, y)


class _Scale:
    """Seconds to places on a logarithmic scale."""

    def __init__(self, least: float, most: float) -> None:
        self._low = math.floor(math.log10(max(least, 1e-3)))
        self._high = max(math.ceil(math.log10(most)), self._low + 1)

    def at(self, seconds: float) -> float:
        share = (math.log10(max(seconds, 1e-3)) - self._low) / (self._high - self._low)
        return _LEFT + max(0.0, share) * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> Iterable[float]:
        return (10.0**power for power in range(self._low, self._high + 1))


def _groups(results: Results, place: str, names: dict[Scenario, str]) -> list[tuple[str, Bars]]:
    groups = []
    for scenario in Scenario:
        measured = results.of(scenario, place)
        bars = [(peer, spread(one.wall_s for one in found)) for peer, found in measured.items()]
        if bars:
            groups.append((names[scenario], bars))
    return groups


def _axis(scale: _Scale, top: float, bottom: float) -> list[str]:
    parts = []
    for seconds in scale.ticks():
        x = scale.at(seconds)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>')
        parts.append(_text(x, top - 4, f"{seconds:g} s", "tick", middle=True))
    return parts


def _bar(peer: str, bar: Spread, y: float, scale: _Scale) -> list[str]:
    start, end, middle = scale.at(0), scale.at(bar.median), f"{y + _BAR / 2:.1f}"
    least, most = scale.at(bar.least), scale.at(bar.most)
    kind = "ours" if peer.startswith(OURS) else "peer"
    where = f'x="{start:.1f}" y="{y:.1f}" width="{max(end - start, 1):.1f}" height="{_BAR}"'
    return [
        f'<text class="tick" x="{_LEFT - 8}" y="{y + 10:.1f}" text-anchor="end">{escape(peer)}</text>',
        f'<rect class="{kind}" {where} rx="1.5"/>',
        f'<line class="spread" x1="{least:.1f}" y1="{middle}" x2="{most:.1f}" y2="{middle}"/>',
        _text(max(end, most) + 6, y + 10, f"{bar.median:.2f} s", "tick"),
    ]


def _text(x: float, y: float, said: str, kind: str, *, middle: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(said)}</text>'


def _document(parts: Sequence[str], height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}"'
        f' height="{height:.0f}" role="img" aria-label="Wall time by scenario and tool">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>", ""])
