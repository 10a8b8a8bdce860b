"""`recollect snapshots`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from cli.options import AsJson, Config, Repo
from cli.output import count, moment, say, show_json
from cli.session import session
from cli.tables import Column, show_table
from recollect.units import size
from storage.format.manifest import Manifest
from tasks.catalog import UNFINISHED_RESTORE, Catalog, StoredProfile, choose_profile, read_catalog
from tasks.media import MEDIA_FOLDER
from tasks.repositories import open_named

_COLUMNS = (
    Column("Snapshot"),
    Column("Profile", folds=16),
    Column("Taken"),
    Column("Host", rank=3),
    Column("Notes", right=True),
    Column("Cards", right=True, rank=5),
    Column("Reviews", right=True, rank=4),
    Column("Media files", right=True, rank=2),
    Column("Size", right=True, rank=1),
    Column("Stored for it", right=True, rank=6),
    Column("Purpose"),
)
_MARKS = {"suspect": "suspect", UNFINISHED_RESTORE: "of an unfinished restore"}


def snapshots(
    profile: Annotated[
        str | None,
        typer.Argument(metavar="PROFILE", help="A profile's name or key. Default: all.", show_default=False),
    ] = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the snapshots in a repository, oldest first.

    Example: recollect snapshots Ada
    """
    with session(config, repo=repo):
        repository = open_named()
        catalog = read_catalog(repository)
        chosen = _named(catalog, profile) if profile is not None else catalog.profiles
        found = list(repository.manifests([ref for stored in chosen for ref in stored.refs]))
        manifests = [manifest for manifest in found if isinstance(manifest, Manifest)]
        remarks = [str(damage) for damage in found if not isinstance(damage, Manifest)] + list(catalog.remarks)
        place = repository.store.url
        if as_json:
            show_json([_as_json(manifest) for manifest in manifests])
        elif manifests:
            show_table(f"Snapshots in {place}", _COLUMNS, (_row(manifest) for manifest in manifests))
        else:
            say(f"No snapshot can be read in {place}" if remarks else f"There is no snapshot in {place} yet")
        if profile is not None and len(chosen) > 1:
            say(f"Several profiles go by that name; each has its key: {'; '.join(one.described for one in chosen)}")
        for manifest in manifests:
            if why := manifest.facts.get("suspect"):
                say(f"The snapshot {manifest.id} of {manifest.profile} is suspect: {why}")
        for remark in dict.fromkeys(remarks):
            say(remark)


def _named(catalog: Catalog, name: str) -> Sequence[StoredProfile]:
    """The profile of that name, or all namesakes: to look at them, nobody needs to choose."""
    namesakes = [profile for profile in catalog.profiles if profile.name.casefold() == name.casefold()]
    return namesakes if len(namesakes) > 1 else [choose_profile(catalog, name)]


def _row(manifest: Manifest) -> tuple[object, ...]:
    facts = manifest.facts
    stored = facts.get("bytes_stored")
    marks = [mark for fact, mark in _MARKS.items() if facts.get(fact)]
    return (
        manifest.id,
        manifest.profile,
        moment(manifest.taken_at),
        manifest.host,
        count(facts.get("notes")),
        count(facts.get("cards")),
        count(facts.get("reviews")),
        count(facts.get("media_files")) if manifest.folder(MEDIA_FOLDER) else "none held",
        size(_bytes_of(manifest)),
        size(stored if isinstance(stored, int) else None),
        ", ".join([str(facts.get("purpose") or ""), *marks]),
    )


def _bytes_of(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files) + sum(folder.size for folder in manifest.folders)


def _as_json(manifest: Manifest) -> dict[str, object]:
    return {
        **manifest.facts,
        "snapshot": manifest.id,
        "profile": manifest.profile,
        "profile_key": manifest.profile_key,
        "host": manifest.host,
        "source": manifest.source,
        "taken_at": manifest.taken_at,
        "parent": manifest.parent,
        "bytes": _bytes_of(manifest),
    }
