"""Which of the packages that Anki has written are to become snapshots, of whose profile, and of what time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from profiles.discovery import Profile, named
from profiles.errors import BaseFolderMissing, PackageUnusable, ProfileUnknown, SourceUnreadable
from profiles.packages.backup_folders import backup_folders, packages_in
from profiles.packages.layout import Layout
from profiles.packages.reading import open_package_at
from recollect.errors import RecollectError
from recollect.progress import current_progress
from storage.format.manifest import ProfileKey
from storage.repository import Repository
from tasks.adopted_before import AdoptedBefore, PackageFile, digest_of
from tasks.catalog import choose_profile, read_catalog
from tasks.package_time import PackageTime, TimeFrom, said_by_name, time_inside
from tasks.profiles_here import found_profiles, key_of, source_of
from tasks.settings_in_force import active_settings
from tasks.this_computer import this_host


@dataclass(frozen=True, slots=True)
class Owner:
    """The profile that packages are of, as a manifest names it."""

    name: str
    key: ProfileKey
    host: str
    source: str


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A package that can become a snapshot: whose, and of what time."""

    owner: Owner
    file: PackageFile
    time: PackageTime


@dataclass(frozen=True, slots=True)
class PlannedPackage:
    """A package, and what is to become of it. `file` is None where nothing lies at `path`, or what is no file;
    `media_files` and `layout` are what the package says of itself.

    It is to be adopted unless there is `trouble`, or it was `adopted_as` a snapshot before; that one may have been
    `let_go` since. What is not known is None.
    """

    owner: Owner
    path: Path
    file: PackageFile | None = None
    time: PackageTime | None = None
    layout: Layout | None = None
    media_files: int | None = None
    adopted_as: str | None = None
    let_go: bool = False
    trouble: RecollectError | None = None

    @property
    def adoptable(self) -> Adoptable | None:
        """What is to be adopted, if anything is."""
        if self.trouble is not None or self.adopted_as is not None or self.file is None or self.time is None:
            return None
        return Adoptable(self.owner, self.file, self.time)

    def as_json(self) -> dict[str, object]:
        """What is planned as values that JSON can hold."""
        return {
            "profile": self.owner.name,
            "profile_key": self.owner.key,
            "path": str(self.path),
            "size": self.file.size if self.file else None,
            "taken_at": self.time.moment if self.time else None,
            "time_from": self.time.told_by if self.time else None,
            "layout": self.layout,
            "media_files": self.media_files,
            "adopted_as": self.adopted_as,
            "let_go": self.let_go,
            "trouble": None if self.trouble is None else str(self.trouble),
        }


@dataclass(frozen=True, slots=True)
class AdoptionPlan:
    """Packages, profile by profile, oldest first; those that can't be used come last."""

    packages: tuple[PlannedPackage, ...]
    remarks: tuple[str, ...]


def plan_packages(repository: Repository | None, paths: Sequence[Path], profile: str | None) -> AdoptionPlan:
    """What is to be adopted: what lies at `paths`, files or folders; or the automatic backups of this computer's
    profiles, or of the one named, when there are no paths.

    `repository` is None where there is none yet. Raises ProfileUnknown when it can't be told whose packages they are,
    and what finding the profiles raises.
    """
    remarks: list[str] = []
    found = _at_paths(repository, paths, profile, remarks) if paths else _of_profiles(profile, remarks)
    before: dict[ProfileKey, AdoptedBefore] = {}
    planned: list[PlannedPackage] = []
    with current_progress().stage("Looking at packages", None, None) as stage:
        for owner, path, trouble in found:
            if trouble is not None:
                planned.append(PlannedPackage(owner, path, trouble=trouble))
                continue
            if owner.key not in before:
                before[owner.key] = AdoptedBefore(repository, owner.key)
            planned.append(_planned(owner, path, before[owner.key], asked_for=bool(paths)))
            stage.advance(0, files=1)
    in_turn = _each_once(sorted(planned, key=_in_turn), remarks)
    return AdoptionPlan(tuple(in_turn), tuple(dict.fromkeys(remarks)))


def _in_turn(planned: PlannedPackage) -> tuple[object, ...]:
    owner, moment = planned.owner, planned.time.moment if planned.time else None
    moment_s = moment.timestamp() if moment else 0.0
    return owner.name.casefold(), owner.key, moment is None, moment_s, planned.path.name, str(planned.path)


def _each_once(in_turn: Sequence[PlannedPackage], remarks: list[str]) -> Iterator[PlannedPackage]:
    """Leave out what holds, to the byte, the same as an earlier one and says no other time: a copy of that file."""
    earlier: dict[tuple[ProfileKey, int], list[Adoptable]] = {}
    for planned in in_turn:
        if (one := planned.adoptable) is not None:
            alike = earlier.setdefault((one.owner.key, one.file.size), [])
            same = next((other for other in alike if _is_copy(one, other)), None)
            if same is not None:
                remarks.append(f"{one.file.path} is a copy of {same.file.path}, and was passed over")
                continue
            alike.append(one)
        yield planned


def _is_copy(one: Adoptable, other: Adoptable) -> bool:
    both_say = one.time.told_by is other.time.told_by is TimeFrom.NAME
    if both_say and one.time.moment != other.time.moment:
        return False
    try:
        return digest_of(one.file.path) == digest_of(other.file.path)
    except PackageUnusable:
        return False


_Found = Iterator[tuple[Owner, Path, RecollectError | None]]


def _of_profiles(name: str | None, remarks: list[str]) -> _Found:
    found = found_profiles()
    for profile in [named(found, name)] if name is not None else found.profiles:
        owner = _owner_of(profile)
        try:
            folders = backup_folders(profile)
            packages = [path for folder in folders for path in _packages_in(folder, remarks)]
        except SourceUnreadable as trouble:
            yield owner, profile.folder, trouble
            continue
        for path in packages:
            yield owner, path, None


def _at_paths(repository: Repository | None, paths: Sequence[Path], name: str | None, remarks: list[str]) -> _Found:
    owners = dict.fromkeys(paths, _owner_named(repository, name)) if name is not None else _owners_by_place(paths)
    seen: set[Path] = set()
    for path, owner in owners.items():
        inside = [path]
        if _is_folder(path):
            try:
                inside = _packages_in(path, remarks)
            except SourceUnreadable as trouble:
                yield owner, path, trouble
                continue
            if not inside:
                remarks.append(f"There is no package of a whole collection (.colpkg) in {path}")
        for one in inside:
            if one not in seen:
                seen.add(one)
                yield owner, one, None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # opening it says why


def _packages_in(folder: Path, remarks: list[str]) -> list[Path]:
    found = packages_in(folder)
    if found.decks:
        first = found.decks[0].name + (" and others" if len(found.decks) > 1 else "")
        remarks.append(
            f"Passed over in {folder}, for by their names (.apkg) they hold some decks and no whole collection: {first}"
        )
    return list(found.packages)


def _owner_of(profile: Profile) -> Owner:
    return Owner(profile.name, key_of(profile), this_host(active_settings()), source_of(profile))


def _owner_named(repository: Repository | None, name: str) -> Owner:
    """This computer's profile of that name; else one that the repository knows, as after a laptop died."""
    try:
        return _owner_of(named(found_profiles(), name))
    except (ProfileUnknown, BaseFolderMissing):
        catalog = read_catalog(repository) if repository is not None else None
        if catalog is None or not any(name in {one.name, one.key} for one in catalog.profiles):
            raise
        stored = choose_profile(catalog, name)
        return Owner(stored.name, stored.key, stored.host, stored.source)


def _owners_by_place(paths: Sequence[Path]) -> dict[Path, Owner]:
    """Whose each package is, by the folder of backups that it lies in. Raises ProfileUnknown where one lies in none."""
    places: dict[Path, Profile] = {}
    # Without an Anki here nothing lies in such a folder.
    with suppress(RecollectError):
        for profile in found_profiles().profiles:
            with suppress(SourceUnreadable):
                places |= {Path(os.path.realpath(folder)): profile for folder in backup_folders(profile)}
    owners = {}
    for path in paths:
        resolved = Path(os.path.realpath(path))
        place = next((one for one in (resolved, *resolved.parents) if one in places), None)
        if place is None:
            raise ProfileUnknown(
                f"It can't be told whose package {path} is, for it lies in no profile's folder of backups",
                "Name the profile with --profile",
            )
        owners[path] = _owner_of(places[place])
    return owners


def _planned(owner: Owner, path: Path, before: AdoptedBefore, *, asked_for: bool) -> PlannedPackage:
    try:
        found = path.stat()
        file = PackageFile(path, found.st_size, found.st_mtime_ns)
    except OSError:
        file = None  # what opening it says is clearer
    now = datetime.now().astimezone()
    said = said_by_name(path.name, now)
    try:
        known = before.as_snapshot(file, said) if file is not None else None
        if known is not None and not (known.let_go and asked_for):
            return PlannedPackage(owner, path, file, known.time, adopted_as=known.snapshot, let_go=known.let_go)
        with open_package_at(path) as package:
            mtime_ns = file.mtime_ns if file is not None else 0
            time = PackageTime(said, TimeFrom.NAME) if said else time_inside(package, path, mtime_ns, now)
            return PlannedPackage(owner, path, file, time, package.layout, len(package.media))
    except RecollectError as trouble:
        return PlannedPackage(owner, path, file, PackageTime(said, TimeFrom.NAME) if said else None, trouble=trouble)
