"""`recollect sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import path_named
from cli.output import show_text
from cli.session import settings_for


def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty folder, or one to make.", parser=path_named)],
) -> None:
    """Make a base folder with two sample profiles, to try things out on.

    Example: recollect sample ~/try/Anki2
    """
    with settings_for(None):
        from profiles.sample import make_sample_base_folder

        make_sample_base_folder(folder)
        show_text(f'Two sample profiles are in {folder}. Try: recollect backup --base "{folder}"')
