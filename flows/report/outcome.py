"""The report of an action: how it ended, what was protected or brought back, what it cost, and what to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from flows.report.markdown import bullets, count, heading, moment, plain, seconds, table
from flows.report.page import Page, markdown_page, page_key, profile_page_key, repository_page_key
from recollect.units import size
from storage.format.audit_row import AuditRow, Outcome
from storage.format.manifest import Manifest
from tasks.audit import SUSPECT, Report
from tasks.catalog import ROUTINE
from tasks.retention_prune import is_good

_TITLES = {
    "backup": "Backup of {}",
    "restore": "Restore of {}",
    "export": "Export of {}",
    "recover": "Notes of {} recovered",
    "adopt": "Anki's backups of {} adopted",
    "prune": "Snapshots of {} pruned",
    "sweep": "Repository swept",
    "verify": "Repository verified",
}
_HELD = {"notes": "Notes", "cards": "Cards", "reviews": "Reviews", "media_files": "Media files", "media_bytes": "Media"}
_DONE = {
    "bytes_read": "Read",
    "bytes_new": "New",
    "bytes_stored": "Stored",
    "snapshots_pruned": "Snapshots let go",
    "deletions_archived": "Deleted notes archived",
    "snapshots_expired": "Snapshots gone from the trash",
    "packs_condemned": "Packs condemned",
    "packs_anew": "Packs packed anew",
    "packs_pardoned": "Packs pardoned",
    "packs_removed": "Packs removed",
    "bytes_removed": "Freed",
}
_TIMES = {
    "seconds_snapshot": "Taking the copy",
    "seconds_checksum": "Finding what is new",
    "seconds_upload": "Storing it",
    "seconds_retention_prune": "Retention",
    "seconds_deletion_log_archive": "Archiving deleted notes",
    "seconds_restore": "Restoring",
    "seconds_total": "In all",
}
_LINE = (_HELD, _DONE, {"seconds_total": "in all"})
_OF_EACH = {"notes": "Notes", "media_files": "Media files", "bytes_stored": "Stored", "seconds_total": "Time"}
_WORST_FIRST = (Outcome.FAILED, SUSPECT, Outcome.SKIPPED, Outcome.COMPLETED)
_LONGEST_NAME = 40


def outcome_page(report: Report, next_run: datetime | None = None) -> Page:
    """The report of one action. `next_run` is when the same is due again."""
    row = report.row
    title = _title(row)
    columns = {"In the snapshot" if row.snapshot else "Held": _HELD, "What was done": _DONE, "Time": _TIMES}
    return markdown_page(
        _key(row),
        plain(f"{title}: {report.how}"),
        heading(title),
        f"**{plain(report.how.capitalize())}**, {plain(f'{_began(row)}, on {row.host}')}",
        plain(report.message),
        _side_by_side({head: _figures(row, names) for head, names in columns.items()}),
        _last_good(report),
        f"The next run is due at {plain(moment(next_run.astimezone()))}." if next_run else "",
        _remarks(report.remarks),
    )


def many_outcomes_page(
    kind: str, title: str, reports: Sequence[Report], summary: str, remarks: Sequence[str] = ()
) -> Page:
    """The report of an action on several profiles, one at least, and one line each."""
    return markdown_page(
        repository_page_key(f"{kind}-report", reports[0].row.repository_id),
        plain(title),
        heading(title),
        plain(summary),
        table(
            ("Whose", "How it ended", *_OF_EACH.values()),
            [(_cut(_whose(report)), report.how, *_cells(report.row)) for report in reports],
        ),
        _remarks([*remarks, *_told_of(reports)]),
    )


def figures_told(report: Report) -> str:
    """What an action found, did and took, in one line; empty where there is nothing to count."""
    found = [", ".join(f"{words.lower()} {figure}" for words, figure in _figures(report.row, kind)) for kind in _LINE]
    line = "; ".join(part for part in found if part)
    return line[:1].upper() + line[1:]


def _told_of(reports: Sequence[Report]) -> list[str]:
    """What there is to say of each, the worst first. Below the table and not in it, where a sentence would be cut."""
    telling = [report for report in reports if report.outcome is not Outcome.UNCHANGED]
    worst_first = sorted(telling, key=lambda report: _WORST_FIRST.index(report.how))
    return [f"{_whose(report)}: {told}" for report in worst_first for told in (report.message, *report.remarks)]


def _whose(report: Report) -> str:
    return report.profile or "Repository"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _cells(row: AuditRow) -> list[str]:
    return ["" if (found := getattr(row, column)) is None else _figure(column, found) for column in _OF_EACH]


def _key(row: AuditRow) -> str:
    kind = f"{row.action}-report"
    if row.profile_key:
        return profile_page_key(kind, row.profile_key)
    return page_key(kind, row.profile, row.host) if row.profile else repository_page_key(kind, row.repository_id)


def _side_by_side(columns: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """One table of several, each with its own head; those that are empty are left out."""
    filled = {head: figures for head, figures in columns.items() if figures}
    rows = [[text for pair in pairs for text in pair] for pairs in zip_longest(*filled.values(), fillvalue=("", ""))]
    return table([text for head in filled for text in (head, "")], rows)


def _title(row: AuditRow) -> str:
    return _TITLES.get(row.action, f"{row.action} of {{}}").format(row.profile or "a profile")


def _began(row: AuditRow) -> str:
    return moment(datetime.fromisoformat(row.started_local))


def _figures(row: AuditRow, columns: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (words, _figure(name, found)) for name, words in columns.items() if (found := getattr(row, name)) is not None
    ]


def _figure(column: str, value: Any) -> str:
    if column.startswith("seconds_"):
        return seconds(value)
    return size(value) if "bytes" in column else count(value)


def _last_good(report: Report) -> str:
    """What to go back to, should this snapshot turn out to be no good."""
    if report.row.action != "backup":
        return ""
    before = [manifest for manifest in report.snapshots if manifest.id != report.row.snapshot]
    good = _newest_good(before)
    if good is None:
        return "There is no good snapshot before this one." if report.suspect else ""
    return f"The last good snapshot before it is {plain(good.id)}, taken at {plain(moment(good.taken_at))}."


def _newest_good(manifests: Sequence[Manifest]) -> Manifest | None:
    good = [one for one in manifests if is_good(one) and one.facts.get("purpose") == ROUTINE]
    return max(good, key=lambda one: one.taken_at, default=None)


def _remarks(remarks: Sequence[str]) -> str:
    return f"{heading('To know', 2)}\n\n{bullets(remarks)}" if remarks else ""
