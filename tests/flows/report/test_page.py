"""Keys of pages: what Prefect takes, and none for two profiles."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flows.report.page import page_key, profile_page_key, repository_page_key
from storage.format.manifest import profile_key

KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

names = st.one_of(st.text(max_size=80), st.sampled_from(["Ada", "ada", "Ada ", "Ada-", "User 1", "User-1", "名前"]))
profiles = st.tuples(names, st.sampled_from(["laptop", "Laptop"]), st.sampled_from(["/anki", "/Anki"]))


@given(profiles)
def test_a_key_is_one_that_prefect_takes(profile: tuple[str, str, str]) -> None:
    assert KEY.fullmatch(profile_page_key("backup-report", profile_key(*profile)))
    assert KEY.fullmatch(page_key("backup-report", profile[0], profile[1]))
    assert KEY.fullmatch(repository_page_key("prune-report", "ea37dd193b49b12125ad3554e14d94ef"))


@given(st.lists(profiles, min_size=2, max_size=6, unique=True))
def test_no_two_profiles_share_a_key(several: list[tuple[str, str, str]]) -> None:
    assert len({profile_page_key("snapshots", profile_key(*profile)) for profile in several}) == len(several)
    assert len({page_key("progress", *profile) for profile in several}) == len(several)


def test_a_key_begins_with_what_a_person_knows() -> None:
    assert profile_page_key("backup-report", "User-1-0a1b2c3d") == "backup-report-user-1-0a1b2c3d"
    assert repository_page_key("repository", "ea37dd193b49b121") == "repository-ea37dd19"
