"""`recollect history`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Base, Config, Repo
from cli.output import say, show_json, show_text
from cli.progress import progress_bars
from cli.session import session
from flows.chains.history import history as history_chain
from profiles.note_history import NoteState
from tasks.history_text import history_text, recover_advice
from tasks.note_history import NoteHistory, Taken


def history(
    note: Annotated[int, typer.Argument(metavar="NOTE_ID", help="The note's id, which Anki's browser shows as Info.")],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", metavar="PROFILE", help="Whose note it is. Default: the only one's.", show_default=False
        ),
    ] = None,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Show every version of a note over the snapshots of its profile, oldest first: fields, tags, deck and note type.

    Example: recollect history 1700000000000 --profile Ada
    """
    with session(config, base=base, repo=repo):
        with progress_bars():
            found = history_chain(note, profile=profile)
        if as_json:
            show_json(_as_json(found))
        else:
            show_text(history_text(found))
            say(f"{recover_advice(found)}.")
        for _, problem in found.unread:
            say(problem)


def _as_json(found: NoteHistory) -> dict[str, object]:
    states = [version.state for version in found.versions]
    gone_since = found.versions[-1].first if states[-1] is None else None
    return {
        "note_id": found.note,
        "profile": found.profile,
        "snapshots": found.looked_into,
        "versions": [
            {"first_seen": _taken(version.first), "last_seen": _taken(version.last), **_state(version.state)}
            for version in found.versions
        ],
        "gone_since": _taken(gone_since) if gone_since else None,
        "unread": [{"snapshot": snapshot, "problem": problem} for snapshot, problem in found.unread],
    }


def _taken(taken: Taken) -> dict[str, object]:
    return {"snapshot": taken.snapshot, "taken_at": taken.at}


def _state(state: NoteState | None) -> dict[str, object]:
    if state is None:
        return {"there": False}
    return {
        "there": True,
        "note_type": state.note_type,
        "deck": state.deck,
        "tags": list(state.tags),
        "fields": [{"name": name, "text": text} for name, text in state.fields],
    }
