"""Which stored profile and which snapshot a person means, where this computer's own profiles count first."""

from __future__ import annotations

from collections.abc import Sequence

from profiles.discovery import Profile
from recollect.errors import RecollectError
from storage.errors import SnapshotUnknown
from storage.format.manifest import Manifest, ProfileKey
from storage.repository import Repository, SnapshotRef
from tasks.catalog import (
    LATEST,
    Catalog,
    StoredProfile,
    choose_profile,
    choose_snapshot,
    find_snapshot,
    latest_of,
    read_catalog,
)
from tasks.moments import looks_like_a_moment, moment
from tasks.profiles_here import found_profiles, key_of


def chosen_profile(catalog: Catalog, profile: str | None, snapshots: Sequence[str] = ()) -> StoredProfile:
    """The profile of that name or key; without one the profile that a snapshot named by its id is of, or the only one.

    Raises SnapshotUnknown where that is none, or more than one.
    """
    if profile is not None:
        return choose_profile(catalog, profile, _own_keys().get(profile))
    by_id = [find_snapshot(catalog, one)[0] for one in snapshots if is_an_id(one)]
    if by_id:
        return by_id[0]
    if len(catalog.profiles) == 1:
        return catalog.profiles[0]
    if not catalog.profiles:
        raise SnapshotUnknown(f"The repository {catalog.url} holds no snapshots yet", "Run `recollect backup` first")
    names = ", ".join(dict.fromkeys(one.name for one in catalog.profiles))
    raise SnapshotUnknown(
        f"The repository {catalog.url} holds several profiles, and it was not said which one is meant",
        f"Name the profile ({names}), as PROFILE or with --profile as the command takes it, or a snapshot by its id",
    )


def chosen_manifest(repository: Repository, snapshot: str = LATEST, profile: str | None = None) -> Manifest:
    """The snapshot that is meant by *latest*, a moment or an id, of the profile of that name or key if one is given."""
    catalog = read_catalog(repository)
    if profile is None and is_an_id(snapshot):
        return repository.manifest(find_snapshot(catalog, snapshot)[1])
    return repository.manifest(chosen_snapshot(repository, chosen_profile(catalog, profile), snapshot))


def chosen_snapshot(repository: Repository, stored: StoredProfile, wanted: str = LATEST) -> SnapshotRef:
    """The snapshot of a profile that is meant by *latest*, a moment, an id, or the beginning or the end of an id.

    At a moment it is what *latest* would have meant then. Raises SnapshotUnknown.
    """
    if not looks_like_a_moment(wanted):
        return choose_snapshot(stored, wanted)
    by_then = [ref for ref in stored.refs if ref.taken_at <= moment(wanted)]
    if by_then:
        return latest_of(repository, by_then)
    oldest = stored.refs[0].taken_at.astimezone()
    raise SnapshotUnknown(
        f"Of {stored.name} there is no snapshot of {wanted.strip()} or before",
        f"The oldest was taken at {oldest:%Y-%m-%d %H:%M}: name a moment after that, or list all with "
        f"`recollect snapshots {stored.name!r}`",
    )


def is_an_id(snapshot: str) -> bool:
    """Whether a snapshot is named so that it need not be said whose it is."""
    return snapshot != LATEST and not looks_like_a_moment(snapshot)


def own_profile(stored: StoredProfile) -> Profile | None:
    """This computer's profile that is stored so; None where it is another computer's."""
    try:
        return next((one for one in found_profiles().profiles if key_of(one) == stored.key), None)
    except RecollectError:
        return None


def _own_keys() -> dict[str, ProfileKey]:
    """The keys of this computer's profiles, by name; none where there is no Anki."""
    try:
        return {one.name: key_of(one) for one in found_profiles().profiles}
    except RecollectError:
        return {}
