"""What is in a repository, in the words of people: profiles by name, snapshots by id or as *latest*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from storage.errors import SnapshotUnknown, StorageError
from storage.format.manifest import Manifest, ProfileKey
from storage.repository import Repository, SnapshotRef

LATEST = "latest"
ROUTINE = "routine"
SAFETY = "safety"
"""The purpose of a snapshot taken before something dangerous. Nothing is let go on its account."""
ADOPTED = "adopted"
"""The purpose of a snapshot made of a package that Anki had written. Mostly it holds no media."""
UNFINISHED_RESTORE = "unfinished_restore"
"""The fact of a snapshot of what a restore had left that was broken off: which snapshot that was putting back."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""A snapshot dated further in the future was taken under a clock that was wrong."""
_SHORTEST_PREFIX = 4
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile that a repository holds snapshots of, oldest first."""

    key: ProfileKey
    name: str
    host: str
    source: str
    refs: tuple[SnapshotRef, ...]
    newest: Manifest
    """The newest manifest that can be read; that of the last of `refs`, if all is well."""
    latest: SnapshotRef
    """What *latest* means: the newest snapshot of a routine backup that does not look wrong, nor is of what a restore
    left unfinished; where there is none, the newest that was adopted; else the newest of all."""

    @property
    def described(self) -> str:
        """The profile so that it can be told from its namesakes."""
        return f"{self.name} on {self.host} ({self.source}), key {self.key}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every profile of a repository; `remarks` name those whose newest manifest can't be read."""

    url: str
    profiles: tuple[StoredProfile, ...]
    remarks: tuple[str, ...]


def read_catalog(repository: Repository) -> Catalog:
    """Look through a repository: each profile's newest readable manifest says whose it is."""
    by_key: dict[ProfileKey, list[SnapshotRef]] = {}
    for ref in repository.snapshots():
        by_key.setdefault(ref.profile_key, []).append(ref)
    profiles, remarks = [], []
    for key, refs in by_key.items():
        manifest = _newest_readable(repository, refs)
        if isinstance(manifest, Manifest):
            latest = latest_of(repository, refs)
            profiles.append(
                StoredProfile(key, manifest.profile, manifest.host, manifest.source, tuple(refs), manifest, latest)
            )
        else:
            remarks.append(str(manifest))
    profiles.sort(key=lambda profile: (profile.name.casefold(), profile.host, profile.key))
    return Catalog(repository.store.url, tuple(profiles), tuple(remarks))


def by_age(refs: Iterable[SnapshotRef]) -> list[SnapshotRef]:
    """Snapshots, oldest first; those dated in the future, by a clock that was wrong, come before all others."""
    soon = datetime.now(UTC) + CLOCK_TOLERANCE
    return sorted(refs, key=lambda ref: (ref.taken_at <= soon, ref))


def _newest_readable(repository: Repository, refs: Sequence[SnapshotRef]) -> Manifest | StorageError:
    newest = next(repository.manifests(refs[-1:]))
    if isinstance(newest, Manifest):
        return newest
    return next((found for found in repository.manifests(refs[::-1]) if isinstance(found, Manifest)), newest)


def latest_of(repository: Repository, refs: Sequence[SnapshotRef]) -> SnapshotRef:
    """What a person means on the bad day: not what was just kept before a restore, nor what one left that was broken
    off, nor what looks wrong, nor a package of Anki's, which lacks the media, as long as there is anything else. Of
    `refs` there is at least one."""
    soon = datetime.now(UTC) + CLOCK_TOLERANCE
    adopted = None
    for ref, manifest in backwards(repository, refs):
        if not isinstance(manifest, Manifest) or ref.taken_at > soon or manifest.facts.get("suspect"):
            continue
        if is_of_a_backup(manifest):
            return ref
        if manifest.facts.get("purpose") == ADOPTED:
            adopted = adopted or ref
    return adopted or refs[-1]


def backwards(
    repository: Repository, refs: Sequence[SnapshotRef]
) -> Iterator[tuple[SnapshotRef, Manifest | StorageError]]:
    """Snapshots from the newest on, each with its manifest or why it can't be read, as far as anyone wants to go.

    The first is asked for alone, for mostly it is the one that is looked for.
    """
    newest_first, at_once = refs[::-1], 1
    while newest_first:
        lot, newest_first = newest_first[:at_once], newest_first[at_once:]
        yield from zip(lot, repository.manifests(lot), strict=True)
        at_once = _AT_ONCE


def is_of_a_backup(manifest: Manifest) -> bool:
    """Whether a snapshot shows all that a profile was when a backup was due: later ones may be held against it."""
    facts = manifest.facts
    return facts.get("purpose") not in (SAFETY, ADOPTED) and not facts.get(UNFINISHED_RESTORE)


def choose_profile(catalog: Catalog, name: str, own_key: ProfileKey | None = None) -> StoredProfile:
    """The profile meant by a name or a key; of namesakes it is this machine's own, if that is among them."""
    meant = [profile for profile in catalog.profiles if name in {profile.name, profile.key}]
    meant = meant or [profile for profile in catalog.profiles if profile.name.casefold() == name.casefold()]
    own = [profile for profile in meant if profile.key == own_key]
    if own or len(meant) == 1:
        return (own or meant)[0]
    if not meant:
        known = ", ".join(sorted({profile.name for profile in catalog.profiles})) or "none"
        unread = f", as far as its manifests can be read: {'; '.join(catalog.remarks)}" if catalog.remarks else ""
        raise SnapshotUnknown(
            f"The repository {catalog.url} holds no snapshot of a profile named {name!r}{unread}",
            f"Profiles in it: {known}",
        )
    raise SnapshotUnknown(
        f"The repository {catalog.url} holds several profiles named {name!r}: "
        + "; ".join(profile.described for profile in meant),
        "Name the one you mean by its key",
    )


def find_snapshot(catalog: Catalog, wanted: str) -> tuple[StoredProfile, SnapshotRef]:
    """The one snapshot of any profile that answers to an id, or to the beginning or the end of one."""
    meant = [(profile, ref) for profile in catalog.profiles for ref in profile.refs if ref.id == wanted]
    meant = meant or [(profile, ref) for profile in catalog.profiles for ref in profile.refs if matches(ref, wanted)]
    if len(meant) == 1:
        return meant[0]
    raise SnapshotUnknown(
        f"{'Several snapshots' if meant else 'No snapshot'} in {catalog.url} {'answer' if meant else 'answers'} to "
        f"{wanted!r}",
        "List them with `recollect snapshots`; with --profile, *latest* is the last one of a profile",
    )


def matches(ref: SnapshotRef, wanted: str) -> bool:
    """Whether a snapshot answers to an id, or to the beginning or the end of one."""
    return ref.id == wanted or (
        len(wanted) >= _SHORTEST_PREFIX and (ref.id.startswith(wanted) or ref.id.endswith(wanted))
    )


def choose_snapshot(profile: StoredProfile, wanted: str = LATEST) -> SnapshotRef:
    """The snapshot meant by *latest*, an id, or the beginning or the end of one id alone."""
    if wanted == LATEST:
        return profile.latest
    meant = [ref for ref in profile.refs if ref.id == wanted]
    meant = meant or [ref for ref in profile.refs if matches(ref, wanted)]
    if len(meant) == 1:
        return meant[0]
    raise SnapshotUnknown(
        f"{'Several snapshots' if meant else 'No snapshot'} of {profile.name} {'answer' if meant else 'answers'} "
        f"to {wanted!r}",
        f"List them with `recollect snapshots {profile.name!r}`",
    )
