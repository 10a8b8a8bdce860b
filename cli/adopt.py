"""`recollect adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.ending import leave, report_json, say_what_matters
from cli.options import AsJson, Base, Config, Repo, path_named
from cli.output import count, moment, outcome_text, say, say_trouble, show_json, show_text
from cli.progress import progress_bars
from cli.session import Exit, session
from cli.tables import Column, show_table
from flows.chains.adopt import AdoptedPackage, Adoption, plan_adoption
from flows.chains.adopt import adopt as adopt_chain
from recollect.settings import Settings
from recollect.units import size
from tasks.adoption import AdoptionPlan, PlannedPackage
from tasks.repository_address import address_of

_PLANNED = (
    Column("Package", folds=24),
    Column("Profile", folds=16),
    Column("Taken"),
    Column("Time from", rank=3),
    Column("Size", right=True, rank=1),
    Column("Media files", right=True, rank=2),
    Column("What happens", folds=12),
)
_ADOPTED = (
    Column("Package", folds=24),
    Column("Profile", folds=16),
    Column("Taken"),
    Column("Outcome"),
    Column("Notes", right=True),
    Column("Cards", right=True, rank=5),
    Column("Reviews", right=True, rank=4),
    Column("Media files", right=True, rank=3),
    Column("New", right=True, rank=2),
    Column("Stored", right=True, rank=1),
    Column("Snapshot", rank=6),
)


def adopt(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Packages (.colpkg), or folders that hold some. Default: Anki's automatic backups.",
            show_default=False,
            parser=path_named,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Whose packages they are. Default: the profile in whose folder of backups they lie.",
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", metavar="", help="Only list what would be adopted.")] = False,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Make snapshots of the backups that Anki has written (.colpkg), each of its own time.

    Without PATH these are the automatic backups of every profile on this computer. Anki's files stay as they are. What
    was adopted before is not adopted twice; a package that can't be used stops no other. Notes that were deleted
    between one and the next are then listed by `recollect deleted`.

    Example: recollect adopt ~/Downloads/collection-2026-01-31@18-05-09.colpkg --profile Ada
    """
    with session(config, base=base, repo=repo) as settings:
        if plan:
            with progress_bars():
                planned = plan_adoption(paths or [], profile)
            _show_plan(planned, settings, as_json=as_json)
            if any(package.trouble is not None for package in planned.packages):
                raise typer.Exit(Exit.FAILED)
            return
        with progress_bars():
            result = adopt_chain(paths or [], profile)
        if as_json:
            show_json([_as_json(package) for package in result.packages])
        else:
            _show(result, settings)
        for remark in result.remarks:
            say(remark)
        say_what_matters(result.reports)
        leave(result.reports)


def _show_plan(plan: AdoptionPlan, settings: Settings, *, as_json: bool) -> None:
    if as_json:
        show_json([package.as_json() for package in plan.packages])
    elif plan.packages:
        title = f"To be adopted into {address_of(settings).shown}"
        show_table(title, _PLANNED, (_planned_row(package) for package in plan.packages))
    else:
        say("There is nothing to adopt")
    for remark in plan.remarks:
        say(remark)
    for package in plan.packages:
        if package.trouble is not None:
            say_trouble(f"{package.owner.name}: {package.trouble}")


def _planned_row(package: PlannedPackage) -> tuple[object, ...]:
    if package.trouble is not None:
        what = "can't be used"
    elif package.adopted_as is not None:
        what = "nothing: let go since" if package.let_go else "nothing: unchanged"
    else:
        what = "is adopted"
    return (
        package.path.name,
        package.owner.name,
        moment(package.time.moment) if package.time else None,
        package.time.told_by if package.time else None,
        size(package.file.size if package.file else None),
        count(package.media_files) if package.media_files != 0 else "none held",
        what,
    )


def _show(result: Adoption, settings: Settings) -> None:
    if result.packages:
        title = f"Adopted into {address_of(settings).shown}"
        show_table(title, _ADOPTED, (_row(package) for package in result.packages))
    show_text(result.counts())


def _row(package: AdoptedPackage) -> tuple[object, ...]:
    planned, row = package.planned, package.report.row
    return (
        planned.path.name,
        row.profile,
        moment(planned.time.moment) if planned.time else None,
        outcome_text(row.outcome),
        count(row.notes),
        count(row.cards),
        count(row.reviews),
        count(row.media_files),
        size(row.bytes_new),
        size(row.bytes_stored),
        row.snapshot,
    )


def _as_json(package: AdoptedPackage) -> dict[str, object]:
    return report_json(package.report) | {
        "path": str(package.planned.path),
        "taken_at": package.planned.time.moment if package.planned.time else None,
        "time_from": package.planned.time.told_by if package.planned.time else None,
    }
