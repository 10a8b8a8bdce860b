"""The report of an action."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.report.outcome import many_outcomes_page, outcome_page
from storage.format.audit_row import AuditRow, Outcome
from tasks.audit import SUSPECT, Report
from tests.flows.report.manifests import NOW, manifest


def row(**values: Any) -> AuditRow:
    return AuditRow(
        **{
            "action": "backup",
            "profile": "Ada",
            "profile_key": "Ada-0a1b2c3d",
            "started_at": NOW,
            "started_local": NOW.isoformat(),
            "finished_at": NOW,
            "host": "laptop",
            "repository_id": "ab" * 16,
            "outcome": Outcome.COMPLETED,
            "recollect_version": "1",
            "python_version": "3",
            "platform": "x",
            **values,
        }
    )


def read(markdown: str) -> str:
    return markdown.replace("\\", "")


def test_a_backup_tells_what_is_protected_what_it_cost_and_what_to_go_back_to() -> None:
    good = manifest(NOW - timedelta(days=1))
    report = Report(
        row(
            snapshot="new",
            notes=1234,
            bytes_stored=2048,
            seconds_upload=1.5,
            snapshots_pruned=2,
            message="It is stored",
        ),
        ("One file could not be read",),
        (good, manifest(NOW - timedelta(hours=1), suspect="Much is gone")),
    )
    page = outcome_page(report, datetime(2026, 11, 23, 14, tzinfo=UTC))
    text = read(page.data)

    assert page.key == "backup-report-ada-0a1b2c3d"
    for told in (
        "# Backup of Ada",
        "**Completed**",
        "It is stored",
        "Notes | 1 234 | Stored | 2.0 KiB | Storing it | 1.50 s",
        "Snapshots let go | 2",
        f"The last good snapshot before it is {good.id}",
        "The next run is due at",
        "- One file could not be read",
    ):
        assert told in text


def test_a_suspect_snapshot_without_a_good_one_before_it_says_so() -> None:
    report = Report(row(snapshot="new", reason=SUSPECT, message="marked as suspect"), (), (manifest(suspect="gone"),))
    text = read(outcome_page(report).data)
    assert "**Suspect**" in text
    assert "There is no good snapshot before this one" in text
    assert "next run" not in text


def test_what_was_not_measured_is_not_told() -> None:
    text = read(outcome_page(Report(row(outcome=Outcome.FAILED, message="The disk is full"))).data)
    assert "The disk is full" in text
    assert "Notes" not in text
    assert "None" not in text


def test_several_profiles_stand_on_one_page_with_what_went_wrong() -> None:
    failed = Report(row(profile="B|en", outcome=Outcome.FAILED, message="<b>broken</b>"), ("look",))
    unchanged = Report(row(profile="C" * 100, outcome=Outcome.UNCHANGED, message="nothing new"))
    done = Report(row(message="stored", notes=1200))
    page = many_outcomes_page("all-profiles", "All profiles", [done, failed, unchanged], "1 completed")
    assert "| B\\|en | failed |" in page.data
    assert "| Ada | completed | 1 200 |" in page.data
    assert f"| {'C' * 39}… | unchanged |" in page.data
    assert "\\<b\\>" in page.data
    assert read(page.data).endswith("- B|en: <b>broken</b>\n- B|en: look\n- Ada: stored\n")
    assert page.key == "all-profiles-report-abababab"


def test_a_report_on_no_profile_is_found_by_its_repository() -> None:
    verified = Report(row(action="verify", profile="", profile_key="", message="All is there"))
    assert outcome_page(verified).key == "verify-report-abababab"
    unknown = replace(verified, row=row(profile="Nobody", profile_key="", outcome=Outcome.FAILED))
    assert outcome_page(unknown).key.startswith("backup-report-nobody-")
