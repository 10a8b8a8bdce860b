"""What people mean by a moment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import SnapshotUnknown
from tasks.moments import looks_like_a_moment, moment

pytestmark = pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has one time zone for all processes")


@pytest.fixture(autouse=True)
def in_berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22 18:00", (2026, 11, 22, 17, 0, 59)),
        ("2026-11-22T18:00", (2026, 11, 22, 17, 0, 59)),
        (" 2026-11-22  9:05 ", (2026, 11, 22, 8, 5, 59)),
        ("2026-11-22 18:00:30", (2026, 11, 22, 17, 0, 30)),
        ("2026-11-22", (2026, 11, 22, 22, 59, 59)),
        ("2026-07-22 18:00", (2026, 7, 22, 16, 0, 59)),
        ("2026-11-22 18:00Z", (2026, 11, 22, 18, 0, 59)),
        ("2026-11-22T18:00:00+05:30", (2026, 11, 22, 12, 30, 0)),
        # The hour that comes twice: its second time, so that what was backed up in the first counts too.
        ("2026-10-25 02:30", (2026, 10, 25, 1, 30, 59)),
        # The hour that never comes.
        ("2026-03-29 02:30", (2026, 3, 29, 1, 30, 59)),
    ],
)
def test_a_moment_is_the_end_of_what_is_named_by_the_clock_on_the_wall(written: str, meant: tuple[int, ...]) -> None:
    assert looks_like_a_moment(written)
    assert moment(written) == datetime(*meant, 999_999, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("written", ["2026-02-30", "2026-11-22 24:01", "2026-13-01 10:00", "0000-00-00"])
def test_a_day_or_an_hour_that_there_is_not_is_refused_in_a_sentence(written: str) -> None:
    assert looks_like_a_moment(written)
    with pytest.raises(SnapshotUnknown, match="no such moment"):
        moment(written)


@pytest.mark.parametrize(
    "written", ["", "latest", "20261122", "20261122T170000Z-abcd0001", "yesterday", "2026-11", "18:00"]
)
def test_what_is_an_id_or_nothing_in_particular_is_no_moment(written: str) -> None:
    assert not looks_like_a_moment(written)


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d{2}-\d{2}([ T]\d{1,2}:\d{2})?", fullmatch=True))
def test_whatever_is_written_ends_in_a_moment_or_a_sentence(written: str) -> None:
    found = None
    with contextlib.suppress(SnapshotUnknown):
        found = moment(written)
    assert found is None or found.tzinfo is not None
