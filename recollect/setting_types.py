"""The types of settings, beyond what Pydantic brings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, SecretStr

from recollect.settings_file import full_path, is_path


def _no_truth_value(value: object) -> object:
    # Pydantic would take true for 1.
    if isinstance(value, bool):
        raise ValueError("should be a whole number, not true or false")  # noqa: TRY004
    return value


def _no_empty_path(value: object) -> object:
    # Path("") is the current folder, which nobody means by it.
    if value == "":
        raise ValueError("should not be empty")
    return value


def _web_address(value: SecretStr) -> SecretStr:
    # What is wrong with it is not shown, for there may be a secret in it.
    url = value.get_secret_value()
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()
    except ValueError:
        right = False
    if not right:
        raise ValueError("should be a URL that begins with http:// or https://")
    return value


def full_address(value: str) -> str:
    """`value` with a path in it made whole. Raises ValueError."""
    if any(ord(letter) < 32 for letter in value):
        raise ValueError("should hold no control characters")
    return str(full_path(Path(value))) if is_path(value) else value


Count = Annotated[int, Field(ge=0, le=9999), BeforeValidator(_no_truth_value)]
Hours = Annotated[int, Field(ge=1, le=8760), BeforeValidator(_no_truth_value)]
Workers = Annotated[int, Field(ge=1, le=32), BeforeValidator(_no_truth_value)]
FullPath = Annotated[Path, BeforeValidator(_no_empty_path), AfterValidator(full_path)]
Address = Annotated[str, Field(min_length=1), AfterValidator(full_address)]
NotifyAddress = Annotated[SecretStr, AfterValidator(_web_address)]
"""An address that can hold a secret, as those of chat rooms do."""
Options = Annotated[dict[str, JsonValue], Field(repr=False)]
