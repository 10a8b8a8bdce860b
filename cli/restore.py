"""`recollect restore`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.asking import ask_yes, is_anyone_there
from cli.diff import collection_json
from cli.ending import end_with, report_json
from cli.options import AsJson, Base, Config, OnServer, Repo, path_named
from cli.output import say, show_json, show_text
from cli.progress import progress_bars
from cli.server import use_server
from cli.session import session, usage
from flows.chains.restore import decline_restore
from flows.chains.restore import restore as restore_chain
from flows.chains.restore_plan import NewProfile, RestorePlan, Target, Wanted, plan_restore, wanted_from
from profiles.install_media import MediaAction
from tasks.audit import Report
from tasks.catalog import LATEST
from tasks.repositories import open_named


class MediaFate(StrEnum):
    """What becomes of media files that the snapshot does not hold."""

    KEEP = "keep"
    EXACT = "exact"


def restore(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="The profile's name, or its key.")],
    when: Annotated[
        str | None,
        typer.Argument(
            metavar="SNAPSHOT",
            show_default=False,
            help="A time such as '2026-11-22 18:00', for the newest snapshot by then; or an id. Default: the latest.",
        ),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot",
            metavar="ID",
            help="The same: a snapshot's id, its beginning or end, or a time.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Restore into this empty folder.", parser=path_named)
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", metavar="", help="Restore over the profile itself. Anki must be closed.")
    ] = False,
    new_profile: Annotated[
        str | None,
        typer.Option(
            "--new-profile", metavar="NAME", help="Restore into a new profile of this name, which Anki then lists."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="WHAT",
            help="Nothing but this: `collection`, `media`, or media files that match a pattern such as '*.mp3'; may be "
            "repeated.",
        ),
    ] = None,
    media: Annotated[
        MediaFate,
        typer.Option(
            "--media",
            help="In place, media files that the snapshot does not hold stay (keep), or go to Anki's trash for media "
            "(exact).",
        ),
    ] = MediaFate.KEEP,
    partial: Annotated[
        bool, typer.Option("--partial", metavar="", help="End well even if some media are damaged in the repository.")
    ] = False,
    hold_sync: Annotated[
        bool,
        typer.Option(
            "--hold-sync",
            metavar="",
            help="Switch the profile's automatic sync off until you have looked; `recollect autosync` switches it on.",
        ),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", metavar="", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask before restoring in place.")] = False,
    base: Base = None,
    repo: Repo = None,
    server: OnServer = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Restore a snapshot, into an empty folder, a new profile or in place.

    In place the present state is kept as a snapshot first, and `recollect undo` brings it back.

    Example: recollect restore Ada '2026-11-22 18:00' --to ~/ada-restored
    """
    if when is not None and snapshot is not None:
        raise usage("The snapshot is named twice: leave --snapshot out.")
    chosen = when or snapshot or LATEST
    if [to is not None, in_place, new_profile is not None].count(True) != 1:
        raise usage(
            "Say where to restore: into an empty folder with --to DIR, into a new profile with --new-profile NAME, or "
            "with --in-place over the profile itself."
        )
    target = NewProfile(new_profile) if new_profile is not None else to
    if in_place and not (plan or yes or is_anyone_there()):
        raise usage("Restoring in place wants to be confirmed: answer at a terminal, or pass --yes.")
    with session(config, base=base, repo=repo) as settings:
        wanted = wanted_from(only or (), exact_media=media is MediaFate.EXACT, partial=partial, hold_sync=hold_sync)
        if plan:
            planned = plan_restore(open_named(), profile, chosen, to=target, wanted=wanted, compared=True)
            if as_json:
                show_json(_plan_json(planned))
            else:
                show_text(planned.as_text())
            return
        on_server = use_server(server, settings)
        report = _run(profile, chosen, target, wanted, ask=in_place and not yes, on_server=on_server)
        end_with(report, report_json(report) if as_json else None)


def _run(profile: str, snapshot: str, to: Target, wanted: Wanted, *, ask: bool, on_server: bool) -> Report:
    if on_server:
        if ask:
            plan = plan_restore(open_named(), profile, snapshot, to=to, wanted=wanted)
            if not confirm_plan(plan):
                return decline_restore(plan)
            # What *latest* means may have changed while the plan was read.
            snapshot = plan.manifest.id
        from flows.on_server import restore_on_server

        # Prefect writes to the terminal itself.
        with progress_bars(visible=False):
            return restore_on_server(profile, snapshot, to, wanted)
    with progress_bars():
        return restore_chain(profile, snapshot, to=to, wanted=wanted, confirmed=confirm_plan if ask else show_plan)


def show_plan(plan: RestorePlan) -> bool:
    """Show a plan that nobody is asked about."""
    say(plan.as_text())
    return True


def confirm_plan(plan: RestorePlan) -> bool:
    """Show a plan, and ask whether to go on."""
    say(plan.as_text())
    return ask_yes("Restore this?")


def _plan_json(plan: RestorePlan) -> dict[str, object]:
    facts = plan.manifest.facts
    return {
        "snapshot": plan.manifest.id,
        "profile": plan.manifest.profile,
        "profile_key": plan.manifest.profile_key,
        "taken_at": plan.manifest.taken_at,
        "folder": str(plan.folder),
        "in_place": plan.profile is not None and not plan.adds_profile,
        "adds_profile": plan.adds_profile,
        **{name: facts.get(name) for name in ("notes", "cards", "reviews")},
        "holds_media": not plan.without_media,
        **{f"media_{action}": plan.media.count(action) for action in MediaAction},
        "media_trashed": list(plan.media.surplus),
        "media_deleted_by_next_sync": list(plan.media.foreseen.names),
        "media_sync_unclear": plan.media.foreseen.unclear,
        "difference": None if plan.difference is None else collection_json(plan.difference),
    }
