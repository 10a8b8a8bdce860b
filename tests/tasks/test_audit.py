"""The audit row of an action: one, whatever happens, and true."""

from __future__ import annotations

import time

import pytest

from recollect.errors import RecollectError
from storage.audit_table import read_rows
from storage.errors import StoreFull, StoreUnreachable
from storage.format.audit_row import AuditRow, Outcome
from storage.format.manifest import Fact, Manifest
from storage.opening import create_repository, open_repository
from storage.repository import Repository
from storage.stores.address import open_store
from tasks.audit import audited, counts_of
from tests.faults.faulty_store import WRITING, FaultyStore
from tests.flows.chains.house import House
from tests.tasks.test_catalog import FIRST, commit


@pytest.fixture
def store(house: House, request: pytest.FixtureRequest) -> FaultyStore:
    inner = open_store(f"memory://audit-{id(request)}-{time.monotonic_ns()}")
    create_repository(inner)
    return FaultyStore(inner)


@pytest.fixture
def repository(store: FaultyStore) -> Repository:
    return open_repository(store)


def rows(repository: Repository) -> list[AuditRow]:
    read = read_rows(repository.store)
    assert read.damaged == ()
    return list(read.rows)


def test_an_action_leaves_one_row_with_what_it_noted(repository: Repository) -> None:
    with audited("backup", "Ada", repository) as audit:
        audit.profile_key = "Ada-00000000"
        audit.note(notes=3)
        audit.note(cards=4, snapshot="20260101T000000Z-00000000")
        audit.completed("It is done")
    (row,) = rows(repository)
    assert audit.report().row == row
    assert (row.action, row.profile, row.profile_key) == ("backup", "Ada", "Ada-00000000")
    assert (row.outcome, row.reason, row.message, row.error) == (Outcome.COMPLETED, None, "It is done", None)
    assert (row.notes, row.cards, row.repository_id) == (3, 4, repository.id)
    assert row.started_at <= row.finished_at


def test_what_was_done_before_it_went_wrong_or_was_stopped_is_told_with_it(repository: Repository) -> None:
    with audited("restore", "Ada", repository) as audit:
        with audit.after("One is done"):
            pass
        raise StoreUnreachable("The disk is away", "Plug it in")
    assert audit.report().message == "The disk is away. Plug it in."
    with audited("restore", "Ada", repository) as audit, audit.after("One is done"):
        raise StoreUnreachable("The disk is away", "Plug it in")
    assert audit.report().message == "One is done: The disk is away. Plug it in."
    with (
        pytest.raises(KeyboardInterrupt) as stop,
        audited("restore", "Ada", repository) as audit,
        audit.after("One is done"),
    ):
        raise KeyboardInterrupt
    told = "One is done: It was stopped from outside before it was done"
    assert audit.report().message == told
    assert stop.value.__notes__ == [told]


def test_a_step_that_is_done_twice_counts_both_times_and_one_that_fails_counts_too(repository: Repository) -> None:
    with audited("backup", "Ada", repository) as audit:
        with audit.timed("upload"):
            pass
        once = audit.columns["seconds_upload"]
        with pytest.raises(ValueError, match="x"), audit.timed("upload"):
            raise ValueError("x")
    (row,) = rows(repository)
    assert row.seconds_upload is not None
    assert row.seconds_upload > once
    assert row.seconds_upload <= (row.seconds_total or 0)


def test_known_trouble_ends_in_the_report_and_goes_no_further(repository: Repository) -> None:
    with audited("backup", "Ada", repository) as audit:
        raise StoreFull("The store is full", "Make room")
    (row,) = rows(repository)
    assert (row.outcome, row.reason, row.error) == (Outcome.FAILED, "repository-full", "StoreFull")
    assert audit.report().message == row.message == "The store is full. Make room."


def test_what_fails_after_a_snapshot_was_stored_says_that_it_is(repository: Repository) -> None:
    with audited("backup", "Ada", repository) as audit:
        audit.note(snapshot="20260101T000000Z-00000000")
        raise StoreFull("The store is full", "Make room")
    assert audit.report().message.startswith("The snapshot 20260101T000000Z-00000000 is stored, but")


def test_a_failed_restore_does_not_say_that_its_snapshot_was_stored(repository: Repository) -> None:
    with audited("restore", "Ada", repository) as audit:
        audit.note(snapshot="20260101T000000Z-00000000")
        raise StoreFull("The store is full", "Make room")
    assert audit.report().message == "The store is full. Make room."


def test_a_skip_is_no_failure(repository: Repository) -> None:
    with audited("backup", "Ada", repository) as audit:
        audit.skipped(StoreUnreachable("It did not answer", "Wait"))
    (row,) = rows(repository)
    assert (row.outcome, row.reason) == (Outcome.SKIPPED, "repository-unreachable")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ZeroDivisionError("secret 123"), "unexpected"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(1), "interrupted"),
    ],
)
def test_what_nobody_foresaw_leaves_a_row_and_goes_on(
    repository: Repository, fault: BaseException, reason: str
) -> None:
    with pytest.raises(type(fault)), audited("backup", "Ada", repository):
        raise fault
    (row,) = rows(repository)
    assert (row.outcome, row.reason, row.error) == (Outcome.FAILED, reason, type(fault).__name__)
    assert "123" not in (row.message or "")


@pytest.mark.parametrize("trouble", [None, RecollectError("It broke", "Mend it"), ZeroDivisionError()])
def test_a_table_that_takes_no_row_changes_nothing_about_the_outcome(
    store: FaultyStore, repository: Repository, trouble: Exception | None
) -> None:
    store.fail(WRITING, every=True, error=StoreFull)

    def act() -> Outcome:
        with audited("backup", "Ada", repository) as audit:
            if trouble:
                raise trouble
        assert any("has no row of this" in remark for remark in audit.report().remarks)
        return audit.report().outcome

    if isinstance(trouble, ZeroDivisionError):
        with pytest.raises(ZeroDivisionError):
            act()
    else:
        assert act() is (Outcome.FAILED if trouble else Outcome.COMPLETED)
    assert rows(repository) == []


def test_counts_are_taken_from_a_manifest_only_where_they_are_counts(repository: Repository) -> None:
    key = commit(repository, "Ada")
    honest = repository.manifest(repository.snapshots(key)[0])
    facts: dict[str, Fact] = {
        "notes": 3,
        "cards": -1,
        "reviews": "many",
        "media_files": True,
        "media_bytes": 1.5,
        "purpose": "routine",
    }
    hostile = Manifest(
        id=honest.id,
        profile="Ada",
        profile_key=key,
        host="desk",
        source="",
        taken_at=FIRST,
        parent=None,
        files=(),
        folders=(),
        facts=facts,
    )
    counted = {"notes": 3, "cards": None, "reviews": None, "media_files": None, "media_bytes": None}
    assert counts_of(hostile) == counted
    assert set(counts_of(None).values()) == {None}
    with audited("restore", "Ada", repository) as audit:
        audit.note(**counts_of(hostile))
    assert audit.report().row.notes == 3
