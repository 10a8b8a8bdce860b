"""A collection for Anki before 2.1.50, and for whatever else reads only the older layout of packages.

It has schema 11, and only Anki's own library can turn a newer one back into that. It could write the whole package,
too, but takes the media from a folder: all of them would lie on the disk once more. So it does only this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from profiles.anki_library import opened_in_anki
from profiles.errors import AnkiRefused
from profiles.proof import prove

_OLDER_SCHEMA: Final = 11


def turn_back(collection: Path, folder: Path, *, original: Path | None = None) -> Path:
    """Make a copy of `collection` that has schema 11, in `folder`; returns its path.

    `folder` is empty, or still to be made. `collection` is a private copy, and stays as it is. Neither `mod` nor `scm`
    change. `original` is what a person knows the copy by. Raises what `opened_in_anki` raises, and AnkiRefused when
    what comes out is not what went in.
    """
    with opened_in_anki(collection, folder, original=original) as (opened, before):
        turned = Path(opened.path)
        opened.close(downgrade=True)
    after = prove(turned)
    counts = [(facts.notes, facts.cards, facts.reviews) for facts in (before, after)]
    if after.schema_version != _OLDER_SCHEMA or counts[0] != counts[1]:
        raise AnkiRefused(
            f"Anki's library could not turn the collection {original or collection} back for an older Anki",
            "Write the package without --legacy, for a newer Anki",
        )
    return turned
