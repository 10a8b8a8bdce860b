"""Which media notes refer to, by Anki's own reading, and which of those names its packages can carry."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.errors import AnkiRefused, MediaLeftOut
from profiles.install_media import checked_media_name
from profiles.recovery.anki_library import database

if TYPE_CHECKING:
    from anki.collection import Collection
    from anki.models import NotetypeId

_SURELY_FIT = re.compile(r"[A-Za-z0-9_-]{5,100}\.[A-Za-z0-9]{2,4}")
"""Most names are like this, and long enough to be none of Windows' devices."""


@dataclass(frozen=True, slots=True)
class MediaNames:
    """Files that notes name in their fields, or their note types in templates and styles; and pictures of LaTeX, which
    Anki makes again where they are lacking."""

    named: frozenset[str]
    rendered: frozenset[str]


def media_names(collection: Collection, notes: Sequence[int]) -> MediaNames:
    """What the notes with these ids refer to, found by the same functions as Anki's export of packages
    (rslib/src/import_export/gather.rs, gather_media_names)."""
    named: set[str] = set()
    rendered: set[str] = set()
    svg: dict[NotetypeId, bool] = {}
    for id_ in notes:
        note_type_id, fields = _note(collection, id_)
        if note_type_id not in svg:
            note_type = collection.models.get(note_type_id)
            svg[note_type_id] = bool(note_type and note_type.get("latexsvg"))
            named.update(collection.media.extract_static_media_files(note_type_id))
        for field in fields.split("\x1f"):
            # Without one of these a field names no file; asking Anki costs more than looking.
            if "<" in field or "[" in field:
                named.update(_in_field(collection, field))
            if "[" in field:
                latex = collection._backend.extract_latex(text=field, svg=svg[note_type_id], expand_clozes=False)
                rendered.update(extracted.filename for extracted in latex.latex)
    local = {name for name in named if _is_local(name)}
    return MediaNames(frozenset(local - rendered), frozenset(rendered))


def _note(collection: Collection, note_id: int) -> tuple[NotetypeId, str]:
    ((note_type_id, fields),) = database(collection).all("select mid, flds from notes where id = ?", note_id)
    return note_type_id, str(fields)


def _in_field(collection: Collection, field: str) -> Iterable[str]:
    ask = getattr(collection._backend, "extract_media_files", None)
    if ask is None:
        raise AnkiRefused(
            "The installed Anki library can't tell which media a note refers to",
            "Install the version of Anki that Recollect names",
        )
    names: Iterable[str] = ask(field)
    return names


def _is_local(name: str) -> bool:
    # Addresses and inlined pictures hold a slash. Anki's export too passes over what is no plain name (anki_io,
    # filename_is_safe).
    return name not in ("", ".", "..") and "/" not in name


def packable(names: Sequence[str], folder: Path) -> frozenset[str]:
    """Those of `names` under which Anki's packages can carry a file.

    A single other one would make Anki give up the whole package. Its rule (rslib/src/media/files.rs,
    filename_if_normalized) rests on tables of its own, so it is asked: its check of a media folder renames every file
    that has a name of another kind. `folder` is an empty one for that.
    """
    from anki.collection import Collection  # noqa: PLC0415

    fit = {name for name in names if _SURELY_FIT.fullmatch(name)}
    doubtful = [name for name in names if name not in fit]
    if not doubtful:
        return frozenset(fit)
    collection = Collection(str(folder / "names.anki2"))
    try:
        placed = Path(collection.media.dir())
        for name in doubtful:
            with suppress(MediaLeftOut, OSError, ValueError):
                (placed / checked_media_name(name)).write_bytes(b"\0")
        collection.media.check()
        left = {unicodedata.normalize("NFC", path.name) for path in placed.iterdir()}
    finally:
        collection.close()
    # A disk that takes two names for one shows only the first of them.
    return frozenset(fit.union(name for name in doubtful if name in left))
