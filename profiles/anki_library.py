"""Anki's own library, at work on scratch copies only, with its refusals turned into sentences.

Opening a collection in Anki may change it: an older schema is upgraded in place (rslib/src/storage/sqlite.rs). So what
is opened here is always a copy that was made for it. The library loads slowly, so it is loaded where it is used;
`anki.collection` has to come first, because `anki.hooks` and it import each other.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.errors import AnkiRefused, ProfileError
from profiles.private_copy import target_troubles
from profiles.proof import CollectionFacts, prove

if TYPE_CHECKING:
    from anki.collection import Collection
    from anki.dbproxy import DBProxy

_COLLECTION = "collection.anki2"
_LONGEST_REASON = 200
# Fluent, which Anki translates with, puts marks of writing direction around what it fills in.
_MARKS = re.compile("[\u2066-\u2069\u200e\u200f]")
# What SQLite or another part said, inside what Rust prints of an error: DbError { info: "... Some("...") ..." }.
_PRINTED = re.compile(r"\w+ \{ ")
_INSIDE = tuple(re.compile(rf'{before}"(.+?)"', re.DOTALL) for before in (r"Some\(", "msg: ", "info: "))
_TOO_NEW = "FileTooNew"
_PANIC_MODULE = "pyo3_runtime"
"""A panic in Rust comes as a BaseException of this module, which can't be imported (pyo3's PanicException)."""


@contextmanager
def scratch_folder(within: Path) -> Iterator[Path]:
    """A new folder below `within` that only its owner may look into, gone afterwards.

    Raises TargetUnusable, also for an OSError met inside: what is done there is done to scratch files.
    """
    with (
        target_troubles(within / "scratch"),
        tempfile.TemporaryDirectory(prefix=".recollect-", dir=within, ignore_cleanup_errors=True) as folder,
    ):
        yield Path(folder)


@contextmanager
def opened_in_anki(
    collection_copy: Path, folder: Path, *, original: Path | None = None
) -> Iterator[tuple[Collection, CollectionFacts]]:
    """Prove a private copy, and open a copy of it in Anki; the given file stays as it is.

    `folder` is for the work, empty or still to be made; the collection lies in it as `collection.anki2` with
    `collection.media` beside it, and is one whole file again afterwards. `original` is what a person knows the copy by.
    Raises CollectionDamaged, SourceUnreadable, TargetUnusable, and AnkiRefused when this Anki can't open it.
    """
    named = original or collection_copy
    facts = prove(collection_copy, original=original)
    work = folder / _COLLECTION
    could_not_open = f"Anki's library can't open the collection {named}"
    with target_troubles(work), anki_troubles(could_not_open, "Update Recollect, or use another snapshot"):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(collection_copy, work)
        collection = opened_collection(work)
    with anki_troubles(f"Anki's library could not do its work on a copy of {named}"):
        try:
            yield collection, facts
        except BaseException:
            _closed_whatever_comes(collection)
            raise
        collection.close()


def database(collection: Collection) -> DBProxy:
    """The database of a collection that is open."""
    if collection.db is None:
        raise ValueError("the collection is closed")
    return collection.db


def opened_collection(path: Path) -> Collection:
    """Open the scratch file `path` in Anki, within `anki_troubles`, which turns into words what this raises."""
    from anki.collection import Collection  # noqa: PLC0415

    try:
        return Collection(str(path))
    except Exception as error:
        # What pylib makes of settings that it does not know is a plain Exception, or any other.
        if isinstance(error, OSError) or _reason(error) is not None:
            raise
        raise _Unreadable(str(error) or type(error).__name__) from error


class _Unreadable(Exception):
    """Anki's Python side could not go on."""


def _closed_whatever_comes(collection: Collection) -> None:
    # After a panic the library may be beyond closing; its files are scratch, and the first trouble is the one to tell.
    try:
        collection.close()
    except BaseException as error:
        if _reason(error) is None:
            raise


@contextmanager
def anki_troubles(
    could_not: str,
    advice: str = "Use another snapshot, or update Recollect",
    *,
    kind: type[ProfileError] = AnkiRefused,
) -> Iterator[None]:
    """Turn what Anki's library raises inside into an error of that `kind`, whose problem begins with `could_not`."""
    try:
        yield
    except BaseException as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise kind(f"{could_not}: {reason}", advice) from error


def _reason(error: BaseException) -> str | None:
    """Why Anki's library stopped, as the end of a sentence; None when it was not Anki that did."""
    from anki.collection import Collection  # noqa: F401, PLC0415
    from anki.errors import AnkiException  # noqa: PLC0415

    if type(error).__module__ == _PANIC_MODULE:
        return f"it stopped in the middle of its work ({plain(str(error))})"
    if isinstance(error, (AnkiException, _Unreadable)):
        return plain(str(error)) or type(error).__name__
    return None


def plain(text: str) -> str:
    """The first sentence of what Anki says, without marks and full stop, of bounded length."""
    if _PRINTED.match(text):
        if _TOO_NEW in text:
            return "it is of a newer Anki"
        found = (pattern.search(text.replace('\\"', '"')) for pattern in _INSIDE)
        text = next((match[1] for match in found if match), text)
    words = _MARKS.sub("", text).replace("`", "'").split()
    line = "".join(character if character.isprintable() else " " for character in " ".join(words))
    line = line.split(". ")[0].rstrip(".")
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"
