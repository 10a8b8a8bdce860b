"""The list of media in a package of notes, read without Anki (rslib/src/import_export/package/{meta,media}.rs).

A package is a zip. `meta` tells its kind, as protobuf {1: version}: 3 has a list of media that is protobuf and
compressed with zstd; older kinds, and packages without `meta`, have a JSON object of numbers and names.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import zstandard

from profiles.errors import PackageUnusable

_META_OF_TODAY = b"\x08\x03"
_LARGEST_LIST = 64 * 1024 * 1024
"""Half a million names; a list that claims to be longer is a trap."""
_CHUNK = 1 << 20


def media_in_package(package: Path) -> tuple[str, ...]:
    """The names of the media files in a package of notes, as they stand there, unchecked. Raises PackageUnusable."""
    try:
        with zipfile.ZipFile(package) as archive:
            members = set(archive.namelist())
            if not members.intersection(("collection.anki21b", "collection.anki21", "collection.anki2")):
                raise ValueError("no collection is in it")
            if "media" not in members:
                return ()
            if "meta" in members and _read(archive, "meta") == _META_OF_TODAY:
                return _from_protobuf(_unpacked(archive))
            return _from_json(_read(archive, "media"))
    except FileNotFoundError as error:
        raise PackageUnusable(f"There is no package at {package}", "Check the path") from error
    except OSError as error:
        raise PackageUnusable(
            f"The package {package} can't be read: {error.strerror or error}", "Check the path and the disk"
        ) from error
    except (
        zipfile.BadZipFile,
        zstandard.ZstdError,
        ValueError,
        EOFError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise PackageUnusable(
            f"{package} is not a sound package of notes: {error}", "Make the package again, or use another"
        ) from error
    except RuntimeError as error:  # So zipfile says that a member is encrypted.
        raise PackageUnusable(f"{package} is not a package of notes: {error}", "Use another package") from error


def _read(archive: zipfile.ZipFile, member: str) -> bytes:
    with archive.open(member) as file:
        data = file.read(_LARGEST_LIST + 1)
    if len(data) > _LARGEST_LIST:
        raise ValueError(f"its part {member} is too large")
    return data


def _unpacked(archive: zipfile.ZipFile) -> bytes:
    unpacked = bytearray()
    # Anki writes frames that do not tell their size, so the stream is read up to what is bearable.
    with archive.open("media") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        while chunk := reader.read(_CHUNK):
            unpacked += chunk
            if len(unpacked) > _LARGEST_LIST:
                raise ValueError("its list of media is too large")
    return bytes(unpacked)


def _from_protobuf(data: bytes) -> tuple[str, ...]:
    from anki.collection import Collection  # noqa: F401, PLC0415
    from anki.import_export_pb2 import MediaEntries  # noqa: PLC0415

    try:
        return tuple(entry.name for entry in MediaEntries.FromString(data).entries)
    except Exception as error:  # protobuf's own, from a library that is Anki's to choose
        raise ValueError("its list of media makes no sense") from error


def _from_json(data: bytes) -> tuple[str, ...]:
    names = json.loads(data)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError("its list of media makes no sense")
    return tuple(names.values())
