"""Media files as shared decks bring them: mostly pictures and sounds that no compression shrinks, some drawings."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.sizes import Size
from bench.wording import Wording

_SPREAD = 0.8
"""The standard deviation of the logarithm of lengths: a tenth of the files is 2.8 times the median or longer."""

_SHORTEST, _LONGEST = 400, 6 * 1024 * 1024
_KINDS = (("jpg", 0.6, 1.1), ("mp3", 0.3, 0.95), ("svg", 0.1, 0.5))
"""Ending, share of the files, and mean length in proportion to that of all files."""

_BEGINNINGS = {
    "jpg": bytes.fromhex("ffd8ffe000104a46494600010101004800480000ffdb0043"),
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE\x00\x00\x00\x0f\x00\x00\x03Lavf58.76.100\x00\xff\xfb\x90\x64",
}


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """A media file to be: its name, and its length in bytes."""

    name: str
    length: int

    @property
    def reference(self) -> str:
        """How a note's field speaks of it."""
        return f"[sound:{self.name}]" if self.name.endswith(".mp3") else f'<img src="{self.name}">'


def plan_media(size: Size, seed: int, *, prefix: str = "media") -> list[MediaPlan]:
    """Which files there will be."""
    draw = np.random.default_rng([seed, 1])
    kinds = draw.choice(len(_KINDS), size.media, p=[share for _, share, _ in _KINDS])
    lengths = draw.lognormal(0.0, _SPREAD, size.media) / math.exp(_SPREAD**2 / 2)
    plans = []
    for number, (kind, relative) in enumerate(zip(kinds.tolist(), lengths.tolist(), strict=True)):
        ending, _, proportion = _KINDS[kind]
        length = min(max(int(relative * proportion * size.media_bytes), _SHORTEST), _LONGEST)
        plans.append(MediaPlan(f"{prefix}-{number:06}.{ending}", length))
    return plans


def write_media(folder: Path, plans: list[MediaPlan], seed: int, *, written_at: Iterator[int]) -> int:
    """Write the files, each as old as `written_at` says (seconds since 1970); returns their bytes."""
    draw = np.random.default_rng([seed, 2])
    drawing = Wording(seed)
    total = 0
    for plan in plans:
        ending = plan.name.rpartition(".")[2]
        content = _drawing(drawing, plan.length) if ending == "svg" else _noise(draw, ending, plan.length)
        path = folder / plan.name
        path.write_bytes(content)
        moment = next(written_at)
        os.utime(path, (moment, moment))
        total += len(content)
    return total


def _noise(draw: np.random.Generator, ending: str, length: int) -> bytes:
    return (_BEGINNINGS[ending] + draw.bytes(length))[:length]


def _drawing(wording: Wording, length: int) -> bytes:
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 600">\n']
    size, line = len(parts[0]), 0
    while size < length:
        x, y = 17 * line % 800, 31 * line % 600
        part = f'<path d="M{x} {y}l{x % 37} {y % 41}z" fill="#{line * 2654435761 % 0xFFFFFF:06x}"/>\n'
        if line % 5 == 0:
            part += f'<text x="{x}" y="{y}">{" ".join(wording.words(3))}</text>\n'
        parts.append(part)
        size += len(part.encode())
        line += 1
    return "".join([*parts, "</svg>\n"]).encode()
