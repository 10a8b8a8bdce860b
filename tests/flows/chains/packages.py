"""Packages that the real Anki writes of a house's profiles, and what became of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from flows.chains.adopt import Adoption
from storage.format.audit_row import Outcome
from storage.format.manifest import Manifest
from tests.flows.chains.house import House, opened, tables_of
from tests.profiles.packages import made
from tests.profiles.recovery.living import in_schema_11, in_schema_14

PACKAGED = "backup-2026-03-10-12.30.45.colpkg"
AT = datetime(2026, 3, 10, 12, 30, 45).astimezone()


def automatic(house: House, name: str = PACKAGED, profile: str = "Ada") -> Path:
    """A backup as Anki makes it by itself, in its own place, under the name of another time."""
    folder = house.folder(profile) / "backups"
    folder.mkdir(exist_ok=True)
    before = set(folder.iterdir())
    with opened(house.collection(profile)) as anki:
        assert anki.create_backup(backup_folder=str(folder), force=True, wait_for_completion=True)
    (new,) = set(folder.iterdir()) - before
    return new.rename(folder / name)


def exported(house: House, path: Path, *, media: bool, legacy: bool) -> Path:
    """What a person exports by hand."""
    with opened(house.collection()) as anki:
        anki.export_collection_package(str(path), include_media=media, legacy=legacy)
        anki.reopen()
    return path


def old(house: House, path: Path, *, media: bool, schema: int = 11) -> Path:
    """In the layout of Anki before 2.1.50, which closed collections of newer schemas without turning them back."""
    collection = path.with_suffix(".anki2")
    make = in_schema_11 if schema == 11 else in_schema_14
    make(house.collection(), collection)
    entries = sorted((one.name, one.read_bytes()) for one in house.media().iterdir()) if media else []
    path.write_bytes(made.legacy(collection.read_bytes(), *entries))
    collection.unlink()
    return path


def content(collection: Path) -> dict[str, Any]:
    """Notes, cards and reviews, row for row."""
    tables = tables_of(collection)
    return {name: tables[name] for name in ("notes", "cards", "revlog")}


def well(result: Adoption) -> list[str]:
    """The snapshots that were made, each of a package of its own."""
    assert {report.outcome for report in result.reports} <= {Outcome.COMPLETED}, result.summary()
    return [str(report.row.snapshot) for report in result.reports]


def manifests(house: House, profile: str = "Ada") -> list[Manifest]:
    return [house.manifest(ref) for ref in house.snapshots(profile)]
