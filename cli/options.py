"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recollect.settings_file import full_path


def path_named(text: str) -> Path:
    """A path as a person names it, from the root on: for `parser=` of an option."""
    try:
        return full_path(Path(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text} {error}") from error


PLAIN_OPTIONS: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""How every command, and every group of them, is set up."""

Base = Annotated[
    Path | None,
    typer.Option(
        "--base",
        metavar="DIR",
        help="Anki's data folder, a profile's folder or AnkiDroid's. Default: RECOLLECT_BASE, else where Anki has it.",
    ),
]
Repo = Annotated[
    str | None,
    typer.Option(
        "--repo",
        metavar="URL",
        help="Where backups are: a path, a URL (s3://…, sftp://…), a name in recollect.toml or, with a Prefect server, "
        "of a block there. Default: RECOLLECT_REPO, else this disk.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings file. Default: ./recollect.toml, else the user's own."),
]
AsJson = Annotated[
    bool, typer.Option("--json", metavar="", help="Print JSON for programs: everything, not just what fits the window.")
]
OnServer = Annotated[
    bool | None,
    typer.Option(
        "--server/--no-server",
        metavar="",
        show_default=False,
        help="Run as a flow on the Prefect server that PREFECT_API_URL names, or on that of `recollect up`, or not. "
        "Default: on it if it answers.",
    ),
]
Daily = Annotated[
    int | None, typer.Option("--daily", metavar="N", help="Daily snapshots to keep. Default: as in Anki.")
]
Weekly = Annotated[
    int | None, typer.Option("--weekly", metavar="N", help="Weekly snapshots to keep. Default: as in Anki.")
]
Monthly = Annotated[
    int | None, typer.Option("--monthly", metavar="N", help="Monthly snapshots to keep. Default: as in Anki.")
]
Profiles = Annotated[
    list[str] | None,
    typer.Argument(metavar="PROFILE", help="Names of profiles. Default: all.", show_default=False),
]
