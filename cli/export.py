"""`recollect export`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ending import end_with, report_json
from cli.options import AsJson, Base, Config, Repo
from cli.progress import progress_bars
from cli.session import session
from flows.chains.export import export as export_chain
from profiles.packages.layout import Layout


def export(
    snapshot: Annotated[
        str,
        typer.Argument(
            metavar="SNAPSHOT",
            help="*latest*, a time such as '2026-11-22 18:00', or a snapshot's id, or its beginning or end.",
        ),
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The package to write: a path, or a URL (s3://…, sftp://…), ending in .colpkg. A URL is reached with "
            "the options that recollect.toml gives for a repository on the same server, of S3 in the same bucket.",
        ),
    ],
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="Whose snapshot: the profile's name, or its key.")
    ] = None,
    no_media: Annotated[bool, typer.Option("--no-media", metavar="", help="Leave out the media files.")] = False,
    legacy: Annotated[
        bool, typer.Option("--legacy", metavar="", help="Write it for an Anki before 2.1.50; newer ones read it, too.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace a file that is there.")] = False,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Write a snapshot as a package (.colpkg) that Anki imports, with its media, to any place.

    The package is there whole in the end, or not at all. Media files that Anki would not take by their names are left
    out and named.

    Example: recollect export latest ~/ada.colpkg --profile Ada
    """
    with session(config, base=base, repo=repo):
        with progress_bars():
            report = export_chain(
                file,
                snapshot,
                profile=profile,
                media=not no_media,
                layout=Layout.LEGACY2 if legacy else Layout.LATEST,
                overwrite=overwrite,
            )
        end_with(report, report_json(report) if as_json else None)
