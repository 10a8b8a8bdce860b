from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from storage.object_cache import ObjectCache


def test_what_was_put_in_comes_out_until_it_is_dropped(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "cache")
    assert cache.get("index/a") is None
    assert cache.put("index/a", b"one") == b"one"
    assert ObjectCache(tmp_path / "cache").get("index/a") == b"one"
    cache.put("index/a", b"two")
    assert cache.get("index/a") == b"two"
    assert cache.drop("index/a")
    assert not cache.drop("index/a")
    assert cache.get("index/a") is None


def test_no_cache_holds_nothing_and_passes_everything_on() -> None:
    cache = ObjectCache(None)
    assert cache.put("index/a", b"one") == b"one"
    assert cache.get("index/a") is None
    assert not cache.drop("index/a")
    cache.keep_only("index", [])


def test_only_what_is_wanted_is_kept_of_one_folder(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    for name in ("index/a", "index/b", "snapshots/k/c"):
        cache.put(name, b"x")
    cache.keep_only("index", ["index/b", "index/never-cached"])
    assert [cache.get(name) for name in ("index/a", "index/b", "snapshots/k/c")] == [None, b"x", b"x"]
    cache.keep_only("missing-folder", [])


def test_only_what_is_wanted_is_kept_of_the_folders_in_a_folder(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    for name in ("index/a", "snapshots/k/b", "snapshots/k/c", "snapshots/m/d"):
        cache.put(name, b"x")
    cache.keep_only("snapshots", ["snapshots/k/c"])
    kept = [name for name in ("index/a", "snapshots/k/b", "snapshots/k/c", "snapshots/m/d") if cache.get(name)]
    assert kept == ["index/a", "snapshots/k/c"]


def test_an_empty_copy_counts_as_none(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.put("index/a", b"")
    assert cache.get("index/a") is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_its_owner_may_read_the_cache(tmp_path: Path) -> None:
    ObjectCache(tmp_path / "cache").put("index/a", b"one")
    assert stat.S_IMODE((tmp_path / "cache" / "index").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / "index" / "a").stat().st_mode) == 0o600


def test_a_file_in_the_way_of_the_cache_is_a_miss_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    cache = ObjectCache(tmp_path / "cache")
    assert cache.put("index/a", b"one") == b"one"
    assert cache.get("index/a") is None
    assert not cache.drop("index/a")
    cache.keep_only("index", [])


def test_a_full_disk_is_a_miss_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ObjectCache(tmp_path)
    cache.put("index/a", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    assert cache.put("index/a", b"new") == b"new"
    assert cache.get("index/a") == b"old"
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["a"]
