"""Comparing two states of a profile: nothing is changed anywhere, so there is no audit row."""

from __future__ import annotations

from contextlib import ExitStack

from profiles.discovery import choose
from tasks.catalog import find_snapshot, read_catalog
from tasks.chosen import chosen_profile, chosen_snapshot, is_an_id
from tasks.compare import Difference, State, compare_states
from tasks.job import job
from tasks.profiles_here import found_profiles, key_of
from tasks.repositories import open_named

NOW = "now"


def compare(
    before: str, after: str = NOW, *, profile: str | None = None, repository_name: str = "default"
) -> Difference:
    """What became of a profile from one state to another: each is *now*, *latest*, a moment or a snapshot's id.

    `profile` says whose *now* and *latest* are meant; it need not be named where one of the two is an id, or where the
    repository holds only one.
    """
    repository = open_named(repository_name)
    catalog = read_catalog(repository)
    whose = chosen_profile(catalog, profile, [one for one in (before, after) if one != NOW])
    with ExitStack() as stack:

        def state(wanted: str) -> State:
            if wanted == NOW:
                found = found_profiles()
                own = [one for one in found.profiles if key_of(one) == whose.key]
                return stack.enter_context(job((own or choose(found, [whose.name]))[0], repository))
            if profile is None and is_an_id(wanted):
                return repository.manifest(find_snapshot(catalog, wanted)[1])
            return repository.manifest(chosen_snapshot(repository, whose, wanted))

        return compare_states(repository, state(before), state(after))
