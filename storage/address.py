"""Opens the store that a URL names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from storage.fsspec_store import FsspecStore
from storage.local_medium import LocalMedium
from storage.store import Store

NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


def open_store(url: str, options: Mapping[str, Any] = NO_OPTIONS, *, must_exist: bool = False) -> Store:
    if url.startswith("memory://"):
        import fsspec

        from storage.memory_medium import MemoryMedium

        return FsspecStore(MemoryMedium(fsspec.filesystem("memory"), url.removeprefix("memory:/")), url)
    root = Path(url.removeprefix("file://")).expanduser().absolute()
    return FsspecStore(LocalMedium(root, must_exist=must_exist), str(root))
