"""Text files in a folder of their own: all of them whole, or none."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from profiles.durable import told_plainly
from profiles.install_media import prepare_empty_target


def write_text_folder(folder: Path, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Write texts, as UTF-8, to files in `folder`, which must be empty or not there yet; returns where they are.

    Their names may be those of files in folders within it. Each is written beside its place and takes it once it is
    whole; what fails, as on a full disk, leaves none of them, and so does not stand in the way of another try. Raises
    TargetUnusable.
    """
    there = folder.exists()
    prepare_empty_target(folder)
    files = tuple(folder / name for name in texts)
    with told_plainly(f"The text files could not be written to {folder}", then="write them again"):
        try:
            for file, text in zip(files, texts.values(), strict=True):
                file.parent.mkdir(exist_ok=True)
                _write(file, text)
        except BaseException:
            _remove(files, folder, with_folder=not there)
            raise
    return files


def _write(file: Path, text: str) -> None:
    unfinished = file.with_name(f".{secrets.token_hex(4)}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _remove(files: tuple[Path, ...], folder: Path, *, with_folder: bool) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    within = {file.parent for file in files} - {folder}
    for empty in (*within, *([folder] if with_folder else [])):
        # What else somebody has put there meanwhile is not ours to take away.
        with suppress(OSError):
            empty.rmdir()
