"""Which names of media files can be taken from a package, and which ones Anki lets into its own."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from profiles.packages.unassigned import unassigned_ranges

_LONGEST_UNITS: Final = 255
"""16-bit units: what NTFS, APFS and HFS+ allow. Linux counts bytes, and so never allows more."""

_LONGEST_BYTES_FOR_ANKI: Final = 120
_FORBIDDEN_BY_ANKI: Final = re.compile(r'[\[\]<>:"/?*^\\|\x00-\x1f\x7f]')
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|\Z)", re.IGNORECASE | re.ASCII)
_SHOWN: Final = 80


def shown(name: str | bytes) -> str:
    """`name` for a sentence: in quotes, with nothing in it that could play tricks on a terminal, and not too long."""
    if len(name) > _SHOWN:
        return f"{name[:_SHOWN]!r}…"
    return repr(name)


def refusal(name: str | bytes) -> str | None:
    """Why no media file can have this name, as the end of a sentence; None when one can.

    Whatever a media folder of any system can hold passes, also what Anki itself renames or refuses; a name that leads
    elsewhere on any system does not.
    """
    if isinstance(name, bytes) or not _is_text(name):
        return "its name is not valid text (UTF-8)"
    if name in ("", ".", ".."):
        return "its name names no file"
    if "/" in name or "\\" in name:
        return "its name leads to another folder"
    if "\x00" in name:
        return "its name holds a zero byte"
    if len(name.encode("utf-16-le")) > 2 * _LONGEST_UNITS:
        return "its name is too long"
    return None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def refusal_by_anki(name: str) -> str | None:
    """Why Anki would refuse a whole package for this one name, as the end of a sentence; None when it would not.

    It takes only names that its own `normalize_filename` leaves as they are (rslib/src/media/files.rs).
    """
    return refusal(name) or next((why for why, applies in _RULES_OF_ANKI if applies(name)), None)


def left_out_by_anki(name: str) -> str | None:
    """The sentence, without its full stop, that a file of this name can't be in a package; None when it can."""
    why = refusal_by_anki(name)
    return None if why is None else not_in_package(name, why)


def not_in_package(name: str, why: str) -> str:
    """The sentence, without its full stop, that this media file is not in a package; `why` is its end."""
    return f"The media file {shown(name)} is not in the package: {why}"


def _is_unassigned(character: str) -> bool:
    code = ord(character)
    firsts, lasts = unassigned_ranges()
    place = bisect_right(firsts, code) - 1
    return place >= 0 and code <= lasts[place]


_RULES_OF_ANKI: Final[tuple[tuple[str, Callable[[str], object]], ...]] = (
    ("Anki forbids a character in its name", _FORBIDDEN_BY_ANKI.search),
    (
        f"its name is longer than Anki's {_LONGEST_BYTES_FOR_ANKI} bytes",
        lambda name: len(name.encode()) > _LONGEST_BYTES_FOR_ANKI,
    ),
    ("Windows keeps its name for a device", _DEVICE.match),
    ("its name ends in a space or dot", lambda name: name.endswith((" ", "."))),
    ("its name holds a non-breaking space", lambda name: "\xa0" in name),
    (
        "its name holds a character that is newer than the Unicode which Anki knows",
        lambda name: not name.isascii() and any(map(_is_unassigned, name)),
    ),
    ("its name spells an accented letter as two characters", lambda name: not unicodedata.is_normalized("NFC", name)),
)
