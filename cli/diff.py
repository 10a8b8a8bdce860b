"""`recollect diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Base, Config, Repo
from cli.output import show_json, show_text
from cli.progress import progress_bars
from cli.session import session
from flows.chains.compare import NOW, compare
from profiles.comparing.change import Change
from profiles.comparing.collections import CollectionDifference, Counts
from tasks.compare import Difference
from tasks.difference_text import difference_text


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A snapshot's id, a time, `latest` or `now`.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The same. Default: now.")] = NOW,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="PROFILE", help="Whose `latest` and `now` are meant.", show_default=False),
    ] = None,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Show what became of a profile between two snapshots, or since one: notes, cards, reviews, media and settings.

    Example: recollect diff latest --profile Ada
    """
    with session(config, base=base, repo=repo):
        with progress_bars():
            found = compare(before, after, profile=profile)
        if as_json:
            show_json(_as_json(found))
        else:
            show_text(difference_text(found))


def _as_json(difference: Difference) -> dict[str, object]:
    return {
        "before": difference.before,
        "after": difference.after,
        **collection_json(difference.collection),
        "media": {change.value: list(difference.media.of(change)) for change in Change},
    }


def collection_json(difference: CollectionDifference) -> dict[str, object]:
    """What differs between two collections, all of it."""
    return {
        "notes": [
            {
                "note_id": note.id,
                "change": note.change.value,
                "note_type": note.note_type,
                "deck": note.deck,
                "begins": note.begins,
                "fields": list(note.fields),
                "tags_changed": note.tags,
                "note_type_changed": note.type_changed,
            }
            for note in difference.notes
        ],
        "cards": _counts_json(difference.cards),
        "reviews": _counts_json(difference.reviews),
        "settings": [
            {"kind": setting.kind.value, "name": setting.name, "change": setting.change.value}
            for setting in difference.settings
        ],
    }


def _counts_json(counts: Counts) -> dict[str, int]:
    return {"added": counts.added, "changed": counts.changed, "deleted": counts.deleted}
