"""`recollect snapshots`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Config, Repo
from cli.output import count, moment, say, show_json, show_table, size
from cli.session import session
from storage.format.manifest import Manifest
from tasks.catalog import choose_profile, read_catalog
from tasks.place import open_named


def snapshots(
    profile: Annotated[
        str | None, typer.Argument(metavar="[PROFILE]", help="A profile's name or key. Default: all.")
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
        chosen = [choose_profile(catalog, profile)] if profile is not None else catalog.profiles
        found = list(repository.manifests([ref for stored in chosen for ref in stored.refs]))
        manifests = [manifest for manifest in found if isinstance(manifest, Manifest)]
        remarks = [str(damage) for damage in found if not isinstance(damage, Manifest)] + list(catalog.remarks)
        if as_json:
            show_json([_as_json(manifest) for manifest in manifests])
        else:
            _show(repository.store.url, manifests)
        for remark in dict.fromkeys(remarks):
            say(remark)


def _show(url: str, manifests: list[Manifest]) -> None:
    columns = {
        "Snapshot": "left",
        "Profile": "left",
        "Taken": "left",
        "Host": "left",
        "Notes": "right",
        "Cards": "right",
        "Reviews": "right",
        "Media files": "right",
        "Size": "right",
        "Stored for it": "right",
        "Purpose": "left",
    }
    show_table(f"Snapshots in {url}", columns, (_row(manifest) for manifest in manifests))


def _row(manifest: Manifest) -> tuple[object, ...]:
    facts = manifest.facts
    stored = facts.get("bytes_stored")
    return (
        manifest.id,
        manifest.profile,
        moment(manifest.taken_at),
        manifest.host,
        count(facts.get("notes")),
        count(facts.get("cards")),
        count(facts.get("reviews")),
        count(facts.get("media_files")),
        size(_bytes_of(manifest)),
        size(stored if isinstance(stored, int) else None),
        facts.get("purpose"),
    )


def _bytes_of(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files) + sum(folder.size for folder in manifest.folders)


def _as_json(manifest: Manifest) -> dict[str, object]:
    return {
        "snapshot": manifest.id,
        "profile": manifest.profile,
        "profile_key": manifest.profile_key,
        "host": manifest.host,
        "source": manifest.source,
        "taken_at": manifest.taken_at,
        "parent": manifest.parent,
        "bytes": _bytes_of(manifest),
        **manifest.facts,
    }
