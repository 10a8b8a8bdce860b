"""recollect.toml: which one counts, and what stands in it, unchecked but for its keys."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import platformdirs

from recollect.addresses import LOOKS_LIKE_A_SERVER
from recollect.errors import SettingsInvalid

CONFIG_FILE_NAME = "recollect.toml"
PREFIX = "RECOLLECT_"
_LARGEST_CONFIG = 1 << 20
_PATHS = {"base", "cache", "state", "passphrase_file", "key_file"}
PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def chosen_file(explicit: Path | None) -> Path | None:
    """The file `explicit`, or the one that RECOLLECT_CONFIG names, else ./recollect.toml, else the user's own."""
    if explicit is not None:
        return _existing(explicit, "the command line")
    if named := os.environ.get(f"{PREFIX}CONFIG"):
        return _existing(Path(named), f"the environment variable {PREFIX}CONFIG")
    user_config = platformdirs.user_config_path("recollect", appauthor=False)
    for candidate in (Path(CONFIG_FILE_NAME), user_config / CONFIG_FILE_NAME):
        try:
            if os.path.isfile(candidate):  # noqa: PTH113 - Path.is_file() raises where a folder can't be entered
                return full_path(candidate)
        except ValueError:
            continue
    return None


def _existing(config: Path, origin: str) -> Path:
    try:
        path = full_path(config)
    except ValueError as error:
        problem = f"The settings file {config}, named by {origin}, {error}"
    else:
        if os.path.isfile(path):  # noqa: PTH113 - as above
            return path
        problem = f"The settings file {path}, named by {origin}, does not exist"
    raise SettingsInvalid(problem, "Correct the name, or leave it out to go by the usual places")


def read_file(config: Path, known: Iterable[str]) -> dict[str, Any]:
    """The settings in the file `config`, paths made whole. Raises SettingsInvalid, also for a key not in `known`."""
    fault: str
    try:
        with config.open("rb") as file:
            content = file.read(_LARGEST_CONFIG + 1)
        if len(content) <= _LARGEST_CONFIG:
            # Windows' Notepad puts a byte order mark in front, which TOML does not know.
            found = tomllib.loads(content.decode("utf-8-sig"))
            return _with_full_paths(_with_known_keys(found, config, known), config.parent)
        fault = "is larger than 1 MiB"
    except OSError as error:
        fault = f"can't be read: {(error.strerror or type(error).__name__).lower()}"
    except UnicodeDecodeError:
        fault = "is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at (?:line \d+, column \d+|end of document)\)$", str(error))
        fault = f"is not valid TOML {place[0] if place else ''}".rstrip()
    except (ValueError, RecursionError):
        fault = "is not valid TOML: a number is too long, or tables are nested too deep"
    raise SettingsInvalid(f"The settings file {config} {fault}", "Correct it, or move it away to go by the defaults")


def _with_known_keys(found: dict[str, Any], config: Path, known: Iterable[str]) -> dict[str, Any]:
    if unknown := sorted(set(found) - set(known)):
        raise SettingsInvalid(
            f"The settings file {config} holds unknown keys: {', '.join(map(shown_key, unknown))}",
            f"Known are: {', '.join(known)}",
        )
    repositories = found.get("repositories")
    named = repositories.values() if isinstance(repositories, dict) else ()
    if any("passphrase" in table for table in (found, *named) if isinstance(table, dict)):
        raise SettingsInvalid(
            f"The settings file {config} holds a passphrase, and such files get copied and shown",
            "Put it into a file of its own that only you can read, and name that one as passphrase_file; or set "
            f"{PREFIX}PASSPHRASE in the environment",
        )
    return found


def _with_full_paths(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths in a file mean the file's own folder: a scheduled run starts anywhere."""

    def full(value: object) -> object:
        return str(folder / value) if isinstance(value, str) and value and not value.startswith("~") else value

    def full_address(value: object) -> object:
        return full(value) if isinstance(value, str) and is_path(value) else value

    for key in _PATHS & found.keys():
        found[key] = full(found[key])
    if "repo" in found:
        found["repo"] = full_address(found["repo"])
    repositories = found.get("repositories")
    for repository in repositories.values() if isinstance(repositories, dict) else ():
        if isinstance(repository, dict):
            for key in _PATHS & repository.keys():
                repository[key] = full(repository[key])
            if "url" in repository:
                repository["url"] = full_address(repository["url"])
    return found


def full_path(path: Path) -> Path:
    """`path` from the root on. Raises ValueError when that can't be said."""
    try:
        return Path(os.path.normpath(path.expanduser().absolute()))
    except RuntimeError:
        raise ValueError("starts with ~ and the name of a user who is not known here") from None
    except OSError:
        raise ValueError("is relative, and the current folder is gone") from None


def is_path(value: str) -> bool:
    """Whether an address is a path, rather than a URL or the name of a repository."""
    if "://" in value or "::" in value or LOOKS_LIKE_A_SERVER.match(value):
        return False
    return value.startswith(("~", ".")) or "/" in value or "\\" in value or bool(re.match(r"[A-Za-z]:", value))


def shown_key(key: object) -> str:
    """A key as it may be shown."""
    # A URL with a password may have landed where a name belongs.
    text = str(key)
    return text if PLAIN_KEY.fullmatch(text) else "(an odd key)"
