"""Makes this computer known to the server, in a process of its own: Prefect takes a second and much memory to import,
and its settings from the environment as it is then.

The process prints what became of it as its last line, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from deployments.local.home import Home
from deployments.local.processes import in_words, last_lines
from recollect.errors import RecollectError
from recollect.settings import load_settings

REGISTERING = "registering"
_BACK_UP_NEW = "--back-up-new"
_WITHIN_S = 600.0
_SHOWN = 12


class NotRegistered(RecollectError):
    """The server is there, but the deployments could not be registered."""

    code = "not-registered"


def introduce(
    home: Home, environment: Mapping[str, str], stopped: Callable[[float], bool], *, back_up_new: bool = False
) -> tuple[str, ...] | None:
    """Register this computer's deployments; sentences about what is worth telling, None when `stopped`.

    With `back_up_new`, profiles that are new on the server are backed up as soon as there is a worker.

    Raises NotRegistered, or what kept the process from it.
    """
    log, asked = home.log_of(REGISTERING), [_BACK_UP_NEW] if back_up_new else []
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this module
            [sys.executable, "-P", "-m", "deployments.local.introducing", *asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env=dict(environment),
            cwd=home.folder,
        )
        until = time.monotonic() + _WITHIN_S
        while process.poll() is None:
            if stopped(0.1) or time.monotonic() > until:
                process.kill()
        assert process.stdout is not None
        printed = process.stdout.read().decode("utf-8", "replace").splitlines()
        process.stdout.close()
    if stopped(0):
        return None
    try:
        told = json.loads(printed[-1])
        if "problem" in told:
            raise NotRegistered(str(told["problem"]), str(told["advice"]))
        return tuple(str(sentence) for sentence in told["sentences"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise NotRegistered(
            f"The deployments could not be registered: that ended {in_words(process.returncode)}. The last it "
            f"said:\n{last_lines(log)}\nThat was all",
            f"See {log} for the rest",
        ) from None


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def main() -> None:
    """Register, see that the server plans runs, and print what became of it."""
    from deployments.catalog import this_machine  # noqa: PLC0415 - see above
    from deployments.first_backup import back_up_first  # noqa: PLC0415
    from deployments.registering import register  # noqa: PLC0415
    from deployments.self_check import schedules_that_plan_nothing  # noqa: PLC0415

    async def introduced() -> list[str]:
        registered = await register(this_machine(load_settings()))
        told = ((registered.added, "New on the server"), (registered.resumed, "Back again"))
        sentences = [f"{what}: {_listed(names)}" for names, what in told if names] + list(registered.remarks)
        if _BACK_UP_NEW in sys.argv[1:] and registered.new_profiles:
            sentences.append(await back_up_first(registered))
        dead = await schedules_that_plan_nothing()
        return [*sentences, dead] if dead else sentences

    try:
        told: dict[str, object] = {"sentences": asyncio.run(introduced())}
    except RecollectError as trouble:
        told = {"problem": trouble.problem, "advice": trouble.advice}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
