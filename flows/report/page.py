"""A page for people in the Prefect UI, which Prefect calls an artifact, and the key that it is found by."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from blake3 import blake3

from storage.format.manifest import ProfileKey

_SEPARATOR = "-"
_DIGEST_BYTES = 4
_ID_LETTERS = 8
_LONGEST = 60
"""Letters of a name in a key, more than any profile's own key has."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: later ones of the same key are its history. `description` is Markdown, as is the `data` of that kind."""

    kind: Literal["markdown", "table"]
    key: str
    description: str
    data: str


def markdown_page(key: str, description: str, *parts: str) -> Page:
    """A page of Markdown, its parts set apart; empty ones are left out."""
    return Page("markdown", key, description, "\n\n".join(part for part in parts if part) + "\n")


def table_page(key: str, description: str, rows: Sequence[Mapping[str, str | int | None]]) -> Page:
    """A page that is one table. What stands in its cells is Markdown."""
    return Page("table", key, description, json.dumps(list(rows)))


def apart(page: Page, repository: str) -> Page:
    """The page as one about a repository beside the default one, with a history of its own."""
    return replace(
        page, key=_SEPARATOR.join((page.key, _readable(repository))), description=f"{page.description} ({repository})"
    )


def profile_page_key(kind: str, key: ProfileKey | str) -> str:
    """The key of a page about a profile, told by the profile's own: that ends with what tells it from all others."""
    return _SEPARATOR.join((kind, _readable(key)))


def repository_page_key(kind: str, repository_id: str) -> str:
    """The key of a page about a repository."""
    return _SEPARATOR.join((kind, _readable(repository_id)[:_ID_LETTERS]))


def page_key(kind: str, *whose: str) -> str:
    """The key of a page about what `whose` names. What names differ in beyond what a key may hold, a digest tells."""
    digest = blake3("\0".join(whose).encode("utf-8", "surrogatepass")).hexdigest(_DIGEST_BYTES)
    return _SEPARATOR.join(part for part in (kind, _readable(whose[0]), digest) if part)


def _readable(name: str) -> str:
    # Prefect takes lower-case letters, digits and dashes.
    return re.sub(r"[^a-z0-9]+", _SEPARATOR, name.lower()).strip(_SEPARATOR)[:_LONGEST].strip(_SEPARATOR)
