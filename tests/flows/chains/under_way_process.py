"""A process that stops in the middle of a backup, a restore or a recovery, and goes on when it hears of it.

argv: base, repository, cache, configuration, and what to do: "backup", "restore" or "recover", of Ada. It says "under
way" as it stops, goes on with the next line on its standard input, and tells at last how it ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flows.chains.backup import back_up
from flows.chains.recover import recover
from flows.chains.restore import restore
from recollect.settings import load_settings
from tasks.audit import Report
from tasks.find_notes import Wanted
from tasks.settings_in_force import using

STEPS: dict[str, tuple[str, Callable[[], Report]]] = {
    "backup": ("flows.chains.backup.snapshot", lambda: back_up("Ada")),
    "restore": ("flows.chains.restore.restore_collection", lambda: restore("Ada")),
    "recover": ("flows.chains.recover.add_notes", lambda: recover(Wanted(decks=("Chemistry",)), profile="Ada")[0]),
}


def main(base: Path, repo: str, cache: Path, config: Path, what: str) -> None:
    step, run = STEPS[what]
    module, _, name = step.rpartition(".")
    do = getattr(sys.modules[module], name)

    def stopping(*args: Any, **options: Any) -> Any:
        print("under way", flush=True)
        sys.stdin.readline()
        return do(*args, **options)

    settings = {"base": base, "repo": repo, "cache": cache, "state": cache.with_name("state")}
    with using(load_settings(settings, config=config)), patch(step, stopping):
        print(run().outcome, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
