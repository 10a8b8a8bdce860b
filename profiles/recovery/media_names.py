"""Which media notes refer to, by Anki's own reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiles.anki_library import database
from profiles.errors import AnkiRefused

if TYPE_CHECKING:
    from anki.collection import Collection
    from anki.models import NotetypeId


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
