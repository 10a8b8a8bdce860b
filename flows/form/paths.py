"""Paths that a person names in a form, for a worker to write to."""

from __future__ import annotations

from pathlib import Path

from profiles.errors import TargetUnusable


def full_path(path: str) -> Path:
    """The path, from its root on. Raises TargetUnusable for one that leads nowhere in particular."""
    try:
        found = Path(path).expanduser()
    except RuntimeError:
        found = Path(path)
    # A worker runs each flow in a folder of its own, which is gone afterwards.
    if not found.is_absolute() or "\x00" in path:
        raise TargetUnusable(f"Nothing was done, for {path!r} is no full path", "Name it from its root on")
    return found
