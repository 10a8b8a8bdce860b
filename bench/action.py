"""One action of Recollect's own chains in a process of its own: `python -m bench.action backup …`.

It does what `recollect` does without a Prefect server, less the command line; settings come from the environment.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.short_life import live_shortly

if TYPE_CHECKING:
    from tasks.audit import Report


def main(arguments: list[str]) -> int:
    """Carry out what the command line says.

    That is `prepare`, `backup PROFILE [MOMENT]`, `restore PROFILE FOLDER`, `prune PROFILE` or `sweep PROFILE`.
    """
    live_shortly()
    if arguments == ["prepare"]:
        return _prepare()
    action, profile, *rest = arguments
    reports = _run(action, profile, rest)
    for report in reports:
        sys.stdout.write(f"{report.outcome}: {report.message}\n")
    return 0 if reports and all(report.outcome in ("completed", "unchanged") for report in reports) else 1


def _run(action: str, profile: str, rest: list[str]) -> list[Report]:
    # Only what the action needs is loaded, as by the command line.
    if action == "backup":
        from flows.chains.backup import back_up  # noqa: PLC0415

        if not rest:
            return [back_up(profile)]
        return [_back_up_as_of(profile, datetime.fromisoformat(rest[0]))]
    if action == "restore":
        from flows.chains.restore import restore  # noqa: PLC0415

        return [restore(profile, to=Path(rest[0]))]
    if action == "prune":
        from flows.chains.prune import prune  # noqa: PLC0415

        return prune(names=[profile], despite_suspects=True)
    if action == "sweep":
        from flows.chains.sweep import sweep  # noqa: PLC0415

        return [sweep(accept=True)]
    raise SystemExit(f"There is no action {action!r}")


def _back_up_as_of(profile: str, moment: datetime) -> Report:
    from bench.dated import dated  # noqa: PLC0415
    from flows.chains.backup import back_up  # noqa: PLC0415

    with dated(moment):
        report = back_up(profile)
    day = moment.astimezone(UTC).strftime("%Y%m%d")
    if not (report.row.snapshot or "").startswith(day):
        raise SystemExit(f"The snapshot {report.row.snapshot} is not of {day}. {report.outcome}: {report.message}")
    return report


def _prepare() -> int:
    from tasks.repositories import open_named  # noqa: PLC0415

    open_named(create=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
