"""`recollect sample`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cli.output import show_text
from cli.session import settings_for


def sample(folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty folder, or one to make.")]) -> None:
    """Make a base folder with two sample profiles, to try things out on.

    Example: recollect sample ~/try/Anki2
    """
    with settings_for(None):
        from profiles.sample import make_sample_base_folder

        target = folder.expanduser().absolute()
        make_sample_base_folder(target)
        show_text(f"Two sample profiles are in {target}. Try: recollect backup --base {shlex.quote(str(target))}")
