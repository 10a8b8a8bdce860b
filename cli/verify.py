"""`recollect verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ending import leave, report_json
from cli.options import AsJson, Config, Repo
from cli.output import count, say, say_trouble, show_json, show_text
from cli.progress import progress_bars
from cli.session import session, usage
from flows.chains.verify import Verified
from flows.chains.verify import verify as verify_chain
from recollect.units import size
from storage.checking.verification import Scope
from storage.format.audit_row import Outcome

ReadData = Annotated[
    bool, typer.Option("--read-data", metavar="", help="Read every pack back, and check every piece in it.")
]


def verify(
    read_data: ReadData = False,
    share: Annotated[
        str | None,
        typer.Option(
            "--share",
            metavar="PERCENT",
            help="Read back so much of all bytes, such as 5%: what was not read for the longest.",
            show_default=False,
        ),
    ] = None,
    packs: Annotated[
        int | None, typer.Option("--packs", metavar="N", min=1, help="Read back so many packs at most.")
    ] = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Verify that a repository holds all that its snapshots need, and name what is lost if it does not.

    Without options everything is looked at, and no file's content is read. What was read back when is kept in the
    repository, so that a share each day reads everything in time. Ends with 1 when there is damage.

    Example: recollect verify --share 5%
    """
    if read_data and (share is not None or packs is not None):
        raise usage(
            "--read-data reads everything back: leave it out to read a share, or leave out --share and --packs."
        )
    scope = Scope(read_data or share is not None or packs is not None, _share(share), packs)
    with session(config, repo=repo):
        with progress_bars():
            verified = verify_chain("default", scope)
        if as_json:
            show_json(_as_json(verified))
        else:
            _show(verified)
        leave([verified.report])


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = 0
    if not 0 < percent <= 100:
        raise usage(f"--share {text} is no share: write a number from 0 to 100, such as 5%")
    return percent / 100


def _show(verified: Verified) -> None:
    report, found = verified.report, verified.found
    if found is not None:
        told = [
            f"{count(found.snapshots)} snapshots",
            f"{count(found.packs)} packs ({size(found.pack_bytes)})",
            f"{size(found.bytes_read)} read back",
        ]
        show_text(", ".join(told))
    if report.outcome is Outcome.FAILED:
        say_trouble(report.message)
    else:
        show_text(report.message)
    for remark in report.remarks:
        say(remark)


def _as_json(verified: Verified) -> dict[str, object]:
    found = verified.found.as_json() if verified.found is not None else {}
    return {**report_json(verified.report), **found, "remarks": verified.report.remarks}
