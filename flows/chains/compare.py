"""Comparing two states of a profile: nothing is changed anywhere, so there is no audit row."""

from __future__ import annotations

from contextlib import ExitStack

from profiles.discovery import choose
from recollect.errors import RecollectError
from storage.errors import SnapshotUnknown
from storage.format.manifest import ProfileKey
from tasks.catalog import LATEST, Catalog, StoredProfile, choose_profile, choose_snapshot, find_snapshot, read_catalog
from tasks.compare import Difference, State, compare_states
from tasks.job import job
from tasks.place import found_profiles, key_of, open_named

NOW = "now"


def compare(
    before: str, after: str = NOW, *, profile: str | None = None, repository_name: str = "default"
) -> Difference:
    """What became of a profile from one state to another: each is *now*, *latest*, or a snapshot's id.

    `profile` says whose *now* and *latest* are meant; it need not be named where one of the two is an id, or where the
    repository holds only one.
    """
    repository = open_named(repository_name)
    catalog = read_catalog(repository)
    whose = _whose(catalog, (before, after), profile)
    with ExitStack() as stack:

        def state(wanted: str) -> State:
            if wanted == NOW:
                found = found_profiles()
                own = [one for one in found.profiles if key_of(one) == whose.key]
                return stack.enter_context(job((own or choose(found, [whose.name]))[0], repository))
            if wanted == LATEST or profile is not None:
                return repository.manifest(choose_snapshot(whose, wanted))
            return repository.manifest(find_snapshot(catalog, wanted)[1])

        return compare_states(repository, state(before), state(after))


def _whose(catalog: Catalog, wanted: tuple[str, ...], profile: str | None) -> StoredProfile:
    if profile is not None:
        return choose_profile(catalog, profile, _own_keys().get(profile))
    by_id = [find_snapshot(catalog, one)[0] for one in wanted if one not in {NOW, LATEST}]
    if by_id:
        return by_id[0]
    if len(catalog.profiles) == 1:
        return catalog.profiles[0]
    raise SnapshotUnknown(
        f"The repository {catalog.url} holds "
        + ("several profiles, and it was not said which one is meant" if catalog.profiles else "no snapshots yet"),
        "Name it with --profile, or name a snapshot by its id" if catalog.profiles else "Run `recollect backup` first",
    )


def _own_keys() -> dict[str, ProfileKey]:
    """The keys of this computer's profiles, by name; none where there is no Anki."""
    try:
        return {one.name: key_of(one) for one in found_profiles().profiles}
    except RecollectError:
        return {}
