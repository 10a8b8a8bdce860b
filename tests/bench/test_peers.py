"""Every tool does what its column in the table says: what it gives back is what was backed up."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.changes import add_pictures, increment
from bench.generate import COLLECTION, DELETION_LOG, MEDIA, PROFILE, generate
from bench.measure import folder_bytes, run
from bench.peers.anki_backup import AnkiBackup
from bench.peers.borg import Borg
from bench.peers.peer import Commands, Peer, Unable
from bench.peers.rclone import Rclone
from bench.peers.recollect_library import RecollectLibrary
from bench.peers.restic import Restic
from bench.place import Far, Kind, Place, carry_over, far_away, freeze, thaw
from bench.sizes import SIZES

Make = Callable[[Place], Peer]

TOOLS: dict[str, tuple[str | None, Make]] = {
    "recollect": (None, lambda place: RecollectLibrary(place, sealed=False)),
    "recollect sealed": (None, lambda place: RecollectLibrary(place, sealed=True)),
    "restic": ("restic", Restic),
    "borg": ("borg", Borg),
    "rclone": ("rclone", Rclone),
}
LOCAL_TOOLS = [name for name in TOOLS if name != "recollect sealed"]
FAR_TOOLS = [name for name in TOOLS if name not in ("recollect", "borg")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench") / "Anki2"
    generate(made, SIZES["tiny"], seed=3)
    return made


@pytest.fixture
def profile(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "Anki2")) / PROFILE


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    scratch = tmp_path_factory.mktemp("far")
    with far_away(scratch / "served", scratch, 0.0) as made:
        yield made


def made(tool: str, place: Place) -> Peer:
    program, make = TOOLS[tool]
    if program and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    place.home.mkdir(parents=True)
    peer = make(place)
    run(peer.prepare(), place.home.parent)
    return peer


def local(tmp_path: Path) -> Place:
    return Place(Kind.LOCAL, "tool", tmp_path / "tool" / "home", tmp_path / "tool" / "repository")


def done(peer: Peer, asked: Commands | Unable) -> None:
    assert not isinstance(asked, Unable)
    run(asked, peer.place.home.parent)


def contents(profile: Path) -> dict[str, str]:
    """What a backup has to hold, by path within the profile."""
    files = [profile / COLLECTION, profile / DELETION_LOG, *(profile / MEDIA).iterdir()]
    return {str(file.relative_to(profile)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def given_back(target: Path) -> dict[str, str]:
    (collection,) = target.rglob(COLLECTION)
    return contents(collection.parent)


@pytest.mark.parametrize("tool", LOCAL_TOOLS)
def test_a_tool_backs_up_restores_and_prunes_locally(tool: str, profile: Path, tmp_path: Path) -> None:
    peer = made(tool, local(tmp_path))
    newest = datetime.now(UTC) - timedelta(days=10)
    done(peer, peer.backup(profile, newest - timedelta(days=2)))
    passing = profile / MEDIA / "passing.jpg"
    passing.write_bytes(os.urandom(500_000))
    done(peer, peer.backup(profile, newest - timedelta(days=1)))
    passing.unlink()
    increment(profile, 1)
    done(peer, peer.backup(profile, newest))
    before = folder_bytes(peer.place.repository)
    freeze(peer.place, tmp_path / "frozen")
    done(peer, peer.prune_to(1))
    after = folder_bytes(peer.place.repository)
    done(peer, peer.restore(tmp_path / "restored"))
    assert before - after > 400_000
    assert given_back(tmp_path / "restored") == contents(profile)
    thaw(peer.place, tmp_path / "frozen", shutil.rmtree)
    assert folder_bytes(peer.place.repository) == before


@pytest.mark.parametrize("tool", FAR_TOOLS)
def test_a_tool_backs_up_and_restores_on_s3(tool: str, profile: Path, tmp_path: Path, far: Far) -> None:
    name = tool.replace(" ", "-")
    place = Place(Kind.S3, name, tmp_path / "tool" / "home", far.bucket / name, far.endpoint, far.restart)
    peer = made(tool, place)
    done(peer, peer.backup(profile))
    add_pictures(profile, 1, pictures=2)
    far.proxy.forget_counts()
    done(peer, peer.backup(profile))
    assert far.proxy.counts()["PUT"] > 0
    done(peer, peer.restore(tmp_path / "restored"))
    assert given_back(tmp_path / "restored") == contents(profile)


@pytest.mark.parametrize("tool", FAR_TOOLS)
def test_a_history_made_nearby_is_one_far_away_too(tool: str, profile: Path, tmp_path: Path, far: Far) -> None:
    near = made(tool, local(tmp_path))
    newest = datetime.now(UTC) - timedelta(days=10)
    passing = profile / MEDIA / "passing.jpg"
    passing.write_bytes(os.urandom(500_000))
    done(near, near.backup(profile, newest - timedelta(days=1)))
    passing.unlink()
    done(near, near.backup(profile, newest))
    name = f"carried-{tool.replace(' ', '-')}"
    place = Place(Kind.S3, name, tmp_path / "far" / "home", far.bucket / name, far.endpoint, far.restart)
    peer = made(tool, place)
    carry_over(near.place, place, shutil.rmtree)
    before = folder_bytes(place.repository)
    assert before == folder_bytes(near.place.repository)
    done(peer, peer.prune_to(1))
    done(peer, peer.restore(tmp_path / "restored"))
    assert folder_bytes(place.repository) < before
    assert given_back(tmp_path / "restored") == contents(profile)
    assert folder_bytes(near.place.repository) == before


def test_ankis_own_backup_holds_the_collection_and_no_media(profile: Path, tmp_path: Path) -> None:
    place = local(tmp_path)
    place.home.mkdir(parents=True)
    peer = AnkiBackup(place)
    run(peer.prepare(), place.home)
    before = contents(profile)
    done(peer, peer.backup(profile))
    done(peer, peer.restore(tmp_path / "restored"))
    assert contents(profile) == before
    assert (tmp_path / "restored" / COLLECTION).stat().st_size > 0
    assert not (tmp_path / "restored" / MEDIA).exists()
    assert isinstance(peer.prune_to(1), Unable)
