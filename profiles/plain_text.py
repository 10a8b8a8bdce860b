"""What a person reads in a field, which Anki keeps as HTML; and finding words in it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_STARTS_A_LINE: Final = re.compile(
    r"</?(?:address|article|blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|section|table|td|th|tr|ul)\b[^<>]*>",
    re.IGNORECASE,
)
# No "<" inside: text full of them must not take time by the square of its length.
_TAG: Final = re.compile(r"<[a-z/!][^<>]*>", re.IGNORECASE)


def plain_text(field: str) -> str:
    """A field on one line: without tags and entities, words apart where a browser would break lines."""
    text = html.unescape(_TAG.sub("", _STARTS_A_LINE.sub(" ", field)))
    return " ".join(text.split())


def holds_words(fields: Iterable[str], words: str) -> bool:
    """Whether each of the words stands somewhere in the fields, also as a part of a longer one, whatever its case."""
    text = "\n".join(_compared(plain_text(field)) for field in fields)
    return all(word in text for word in _compared(words).split())


def _compared(text: str) -> str:
    # Folding may take composed letters apart again.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
