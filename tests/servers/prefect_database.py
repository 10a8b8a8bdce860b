"""The database of a Prefect server that ran before: a first start spends most of its time on making it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import prefect

_NAME = "prefect.db"
_MADE_WITHIN_S = 300
_KEPT = Path(__file__).parents[2] / ".pytest_cache" / f"prefect-{prefect.__version__}.db"


def bring_database(home: Path, environment: Mapping[str, str]) -> None:
    """Put an empty database into the home of a server. It is made once for each version of Prefect, and kept."""
    if not _KEPT.exists():
        _make(environment)
    shutil.copyfile(_KEPT, home / _NAME)


def _make(environment: Mapping[str, str]) -> None:
    _KEPT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="prefect-", dir=_KEPT.parent) as scratch:
        # Whoever else makes it at this moment makes the same.
        subprocess.run(
            [Path(sys.executable).with_name("prefect"), "server", "database", "upgrade", "--yes"],
            env={**environment, "PREFECT_HOME": scratch, "PREFECT_PROFILES_PATH": f"{scratch}/profiles.toml"},
            cwd=scratch,
            stdout=subprocess.DEVNULL,
            timeout=_MADE_WITHIN_S,
            check=True,
        )
        (Path(scratch) / _NAME).replace(_KEPT)
