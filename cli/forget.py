"""`recollect forget`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ending import leave, report_json, say_what_matters
from cli.options import AsJson, Config, Repo
from cli.output import moment, moment_here, say, show_json, show_text
from cli.session import session, usage
from cli.tables import Column, show_table
from flows.chains.forget import InTrash, in_trash, unforget
from flows.chains.forget import forget as forget_chain
from storage.format.audit_row import Outcome
from tasks.repositories import open_named

_COLUMNS = (
    Column("Snapshot"),
    Column("Profile", folds=16),
    Column("Taken"),
    Column("Forgotten"),
    Column("Can be had back until"),
)


def forget(
    profile: Annotated[
        str | None, typer.Argument(metavar="PROFILE", help="A profile's name or key.", show_default=False)
    ] = None,
    snapshots: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SNAPSHOT", help="Ids of snapshots, or the beginning or end of an id.", show_default=False
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", metavar="", help="Bring forgotten snapshots back.")] = False,
    list_: Annotated[bool, typer.Option("--list", metavar="", help="List what is in the trash.")] = False,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Move snapshots to the trash. They can be had back for a week; the last good one of a profile can't be forgotten.

    Example: recollect forget Ada 20261122T195644Z-1a2b3c4d
    """
    with session(config, repo=repo):
        if list_:
            if undo or snapshots:
                raise usage("--list only lists: leave it out to forget snapshots, or to bring them back.")
            _show_trash(profile, as_json=as_json)
            return
        if profile is None or not snapshots:
            raise usage("Name a profile and at least one of its snapshots: `recollect forget PROFILE SNAPSHOT`")
        report = (unforget if undo else forget_chain)(profile, snapshots)
        if as_json:
            show_json(report_json(report))
        elif report.outcome is not Outcome.FAILED:
            show_text(report.message)
        say_what_matters([report])
        leave([report])


def _show_trash(profile: str | None, *, as_json: bool) -> None:
    repository = open_named()
    lying = [one for one in in_trash(repository) if profile in {None, one.manifest.profile, one.ref.profile_key}]
    if as_json:
        show_json([_as_json(one) for one in lying])
    elif lying:
        show_table(f"Trash of {repository.store.url}", _COLUMNS, (_row(one) for one in lying))
    else:
        say("The trash is empty")


def _row(one: InTrash) -> tuple[object, ...]:
    return (
        one.ref.id,
        one.manifest.profile,
        moment(one.manifest.taken_at),
        moment_here(one.forgotten_at),
        moment_here(one.until),
    )


def _as_json(one: InTrash) -> dict[str, object]:
    return {
        "snapshot": one.ref.id,
        "profile": one.manifest.profile,
        "profile_key": one.ref.profile_key,
        "taken_at": one.manifest.taken_at,
        "forgotten_at": one.forgotten_at,
        "until": one.until,
    }
