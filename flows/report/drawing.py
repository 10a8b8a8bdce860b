"""Pictures as SVG, drawn without anything that would have to be fetched or installed, and shown from within a page.

A picture brings its own dark ground: it can't know whether the page around it is light or dark.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 720
GROUND = "#1f2633"
TEXT = "#d5dbe6"
FAINT = "#3a4356"
LINE = "#5fa8ff"

_LETTER = 12
_CORNER = 8


class Drawing:
    """A picture under way. Lengths are pixels, from the top left corner."""

    def __init__(self, height: int, title: str) -> None:
        self.height = height
        self._parts = [f'<rect width="{WIDTH}" height="{height}" rx="{_CORNER}" fill="{GROUND}"/>']
        self._title = title
        self.text(16, 24, title, size=14)

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", size: int = _LETTER) -> None:
        """Write `text`; its foot at `y`, and its `anchor` (start, middle or end) at `x`."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{_shown(text)}</text>'
        )

    def rule(self, x: float, y: float, length: float) -> None:
        """Draw a faint line to the right."""
        self._parts.append(f'<path d="M{x:.1f} {y:.1f}h{length:.1f}" stroke="{FAINT}"/>')

    def curve(self, points: Sequence[tuple[float, float]], foot: float) -> None:
        """Draw a line through the points, the last of them marked, with a shade down to `foot`."""
        through = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        (first, _), (last, height) = points[0], points[-1]
        self._parts += [
            f'<path d="M{first:.1f} {foot:.1f}L{through}L{last:.1f} {foot:.1f}z" fill="{LINE}" fill-opacity=".18"/>',
            f'<path d="M{through}" fill="none" stroke="{LINE}" stroke-width="2" stroke-linejoin="round"/>',
            f'<circle cx="{last:.1f}" cy="{height:.1f}" r="3.5" fill="{LINE}"/>',
        ]

    def boxes(self, boxes: Iterable[tuple[float, float, float, float]], colour: str) -> None:
        """Fill boxes, each told by its left, top, width and height: one path, a tenth of an element for each."""
        path = "".join(f"M{x:g} {y:g}h{wide:g}v{high:g}h-{wide:g}z" for x, y, wide, high in boxes)
        if path:
            self._parts.append(f'<path d="{path}" fill="{colour}"/>')

    def legend(self, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """Tell colours, each with what it means."""
        x = 16.0
        for colour, meaning in entries:
            self.boxes([(x, y - 10, 11, 11)], colour)
            self.text(x + 17, y, meaning)
            x += 17 + 6.6 * len(meaning) + 18

    def as_svg(self) -> str:
        """The picture as a file of its own."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" role="img"><title>{_shown(self._title)}</title>'
            f'<g fill="{TEXT}" font-family="system-ui,sans-serif">{"".join(self._parts)}</g></svg>'
        )

    def as_markdown(self) -> str:
        """The picture within Markdown, all of it: the UI asks no server for it.

        An image artifact would do so too, but writes out its whole address below it, a line of many thousand letters.
        """
        content = base64.b64encode(self.as_svg().encode()).decode("ascii")
        alternative = "".join(letter for letter in self._title if letter.isalnum() or letter in " ,")
        return f"![{alternative}](data:image/svg+xml;base64,{content})"


def _shown(text: str) -> str:
    # What can't be printed is no XML, mostly.
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))
