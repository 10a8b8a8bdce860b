"""What a person can set, and where it was set: command line, environment, recollect.toml, or nowhere.

The first of these that names a setting wins. Tables (`repositories`, `repo_options`) are merged key by key, so that a
file can hold an address and the environment its secret. Secrets are never shown: not in a repr, not in an error.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from recollect.addresses import LOOKS_LIKE_A_SERVER, shown_url
from recollect.errors import RepositoryUnknown, SettingsInvalid
from recollect.secret_settings import (
    KeyFile,
    Passphrase,
    PassphraseBlock,
    PassphraseCommand,
    PassphraseFile,
    SecretPlace,
    names_a_secret,
    one_secret_at_most,
    secret_place,
    without_secrets,
)
from recollect.setting_types import (
    Address,
    Count,
    FullPath,
    Hours,
    NotifyAddress,
    Options,
    Workers,
    full_address,
)
from recollect.settings_file import PLAIN_KEY, PREFIX, chosen_file, is_path, read_file, shown_key

_TABLES = ("repo_options", "repositories")


def _repository_names(repositories: dict[str, RepositorySettings]) -> dict[str, RepositorySettings]:
    for name in repositories:
        if not PLAIN_KEY.fullmatch(name):
            raise ValueError("the name of a repository should be made of at most 64 letters, digits, - _ and .")
        if name == "default":
            raise ValueError("no repository can be named default: that is the one that `repo` names")
    return repositories


class RepositorySettings(BaseModel):
    """A repository that can be spoken of by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Address = Field(description="the repository's URL or path")
    options: Options = Field(default={}, description="fsspec options for the URL: a table")
    passphrase: Passphrase = None
    passphrase_file: PassphraseFile = None
    passphrase_command: PassphraseCommand = None
    passphrase_block: PassphraseBlock = None
    key_file: KeyFile = None

    _one_secret = model_validator(mode="after")(one_secret_at_most)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return _discreet(super().__repr_args__())


Repositories = Annotated[dict[str, RepositorySettings], AfterValidator(_repository_names)]


class Settings(BaseSettings):
    """Everything that can be set. Made by `load_settings`; paths are absolute."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    base: FullPath | None = Field(
        default=None, description="Anki's data folder, a profile's folder or AnkiDroid's; unset: where Anki keeps it"
    )
    repo: Address | None = Field(
        default=None,
        description="where backups go: a URL, a path (with a / in it), a name from `repositories` or, with a Prefect "
        "server, of a block there; unset: this disk",
    )
    repo_options: Options = Field(
        default={}, description="fsspec options for `repo`: a table in the file, a JSON object in the environment"
    )
    repositories: Repositories = Field(
        default={},
        description="repositories by name: tables with `url`, `options` and the settings for secrets in the file, JSON "
        "in the environment",
    )
    passphrase: Passphrase = None
    passphrase_file: PassphraseFile = None
    passphrase_command: PassphraseCommand = None
    passphrase_block: PassphraseBlock = None
    key_file: KeyFile = None
    cache: FullPath = Field(
        default_factory=lambda: platformdirs.user_cache_path("recollect", appauthor=False),
        description="a folder for what makes the next run cheap; losing it costs time, never data",
    )
    state: FullPath = Field(
        default_factory=lambda: platformdirs.user_data_path("recollect", appauthor=False),
        description="a folder for what must be remembered: which repositories this computer knows, and its own name",
    )
    host: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = Field(
        default=None,
        description="this computer's name in the backups: 1 to 255 characters, no control characters; unset: the name "
        "that it had at first",
    )
    daily: Count | None = Field(
        default=None, description="daily snapshots to keep: a whole number from 0 to 9999; unset: the profile's own"
    )
    weekly: Count | None = Field(
        default=None, description="weekly snapshots to keep: a whole number from 0 to 9999; unset: the profile's own"
    )
    monthly: Count | None = Field(
        default=None, description="monthly snapshots to keep: a whole number from 0 to 9999; unset: the profile's own"
    )
    at_once: Workers = Field(
        default=2,
        description="profiles backed up side by side: a whole number from 1 to 32",
    )
    uploads: Workers = Field(default=4, description="packs that are sent side by side: a whole number from 1 to 32")
    notify: NotifyAddress | None = Field(
        default=None,
        description="where to tell somebody, with a Prefect server: an http(s) URL that gets a POST with the JSON "
        'object {"text": "…"} when a backup fails, looks suspect or is overdue, as Slack, Mattermost and others take '
        "it; unset: nobody is told",
    )
    overdue_hours: Hours = Field(
        default=26,
        description="after how many hours without a good backup of a profile somebody is told: a whole number from 1 "
        "to 8760",
    )
    config_file: Path | None = Field(default=None, description="the file that was read; not a setting itself")

    _one_secret = model_validator(mode="after")(one_secret_at_most)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return _discreet(super().__repr_args__())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then the file that the command line's part names."""
        config = init_settings().get("config_file")
        if config is None:
            return init_settings, _Environment(settings_cls)
        return init_settings, _Environment(settings_cls), _FileSource(settings_cls, Path(config))


SETTING_NAMES = tuple(name for name in Settings.model_fields if name != "config_file")


class _Environment(EnvSettingsSource):
    """The settings in environment variables."""

    def __call__(self) -> dict[str, Any]:
        found = dict(super().__call__())
        # The options hold passwords for the address they were set beside, which another server must not receive.
        if "repo" in found and self.current_state.get("repo", found["repo"]) != found["repo"]:
            found.pop("repo_options", None)
        return found


class _FileSource(InitSettingsSource):
    """The settings in a recollect.toml."""

    def __init__(self, settings_cls: type[BaseSettings], config: Path) -> None:
        super().__init__(settings_cls, init_kwargs=read_file(config, SETTING_NAMES))

    def __call__(self) -> dict[str, Any]:
        found = dict(super().__call__())
        # Options, secrets among them, belong to the address they were written beside: an address from elsewhere must
        # not receive them.
        above = self.current_state
        if "repo" in found and above.get("repo", found["repo"]) != found["repo"]:
            found.pop("repo_options", None)
            found = without_secrets(found)
        # One secret takes another's place whole: the file's command is not run when the environment has the passphrase.
        if names_a_secret(above):
            found = without_secrets(found)
        if isinstance(named := found.get("repositories"), dict) and isinstance(
            others := above.get("repositories"), dict
        ):
            found["repositories"] = {
                name: without_secrets(known) if names_a_secret(others.get(name)) and isinstance(known, dict) else known
                for name, known in named.items()
            }
        return found


@dataclass(frozen=True, slots=True)
class RepositoryAddress:
    """Where a repository is: its URL with the fsspec options, which may hold secrets and are never shown."""

    name: str
    url: str
    options: Mapping[str, Any] = field(hash=False)
    secret: SecretPlace = field(default_factory=SecretPlace)

    @property
    def shown(self) -> str:
        """The URL as it may be shown to anyone."""
        return shown_url(self.url)

    def __repr__(self) -> str:
        return f"RepositoryAddress(name={self.name!r}, url={self.shown!r})"


def load_settings(overrides: Mapping[str, object] = {}, *, config: Path | None = None) -> Settings:
    """The settings in force. `overrides` come from the command line; those that are None were not given.

    Read is the file `config`, or the one that RECOLLECT_CONFIG names, else ./recollect.toml, else the user's own.

    Raises SettingsInvalid naming the file and the key, with what is allowed, and never a value.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    file = chosen_file(config)
    try:
        return Settings(**cast(dict[str, Any], given | {"config_file": file}))
    except ValidationError as error:
        invalid = _explained(error, given, file)
    except (SettingsError, RecursionError):
        invalid = _unparsable_environment()
    # Raised out here, the error drags no context along that would hold the values.
    raise invalid


def repository_address(settings: Settings, name: str = "default") -> RepositoryAddress:
    """The repository that goes by `name`; "default" is the one that `repo` sets, a URL or a path stands for itself.

    A URL gets the options that the settings give for the very same URL, and no others.

    Raises SettingsInvalid; where there is none of that name it is RepositoryUnknown, and lists the names there are.
    """
    if name == "default":
        if settings.repo is None or _is_address(settings.repo):
            url = settings.repo if settings.repo is not None else default_repository_url()
            return RepositoryAddress(name, url, copy.deepcopy(settings.repo_options), secret_place(settings))
        name = settings.repo
    elif _is_address(name):
        try:
            url = full_address(name)
        except ValueError as error:
            problem = f"The repository's address {error}"
        else:
            known = _known_as(settings, url)
            if known is None:
                return RepositoryAddress("default", url, {})
            options = known.repo_options if isinstance(known, Settings) else known.options
            return RepositoryAddress("default", url, copy.deepcopy(options), secret_place(known))
        raise SettingsInvalid(problem, "Write a URL, or a full path")
    named = _named(settings, name)
    options, secret = named.options, secret_place(named)
    if name == settings.repo:
        options = {**options, **settings.repo_options}
        secret = own if (own := secret_place(settings)).is_set else secret
    return RepositoryAddress(name, named.url, copy.deepcopy(options), secret)


def default_repository_url() -> str:
    """The path of the repository on this disk that is used when nothing else is set."""
    return str(platformdirs.user_data_path("recollect", appauthor=False) / "repository")


def _named(settings: Settings, name: str) -> RepositorySettings:
    if name in settings.repositories:
        return settings.repositories[name]
    known = ", ".join(sorted(settings.repositories)) or "none"
    shown = name if PLAIN_KEY.fullmatch(name) else "of that name"
    raise RepositoryUnknown(
        f"There is no repository {shown} in the settings",
        f"Known names: {known}. Otherwise write a URL, or a path with a slash in it, such as ./backups",
    )


def _known_as(settings: Settings, url: str) -> Settings | RepositorySettings | None:
    """What stands in the settings about the very URL `url`."""
    if url == settings.repo or (settings.repo is None and url == default_repository_url()):
        return settings
    return next((known for known in settings.repositories.values() if known.url == url), None)


def _is_address(value: str) -> bool:
    """Whether `value` is a URL or a path, or was meant for one, rather than the name of a repository."""
    return "://" in value or "::" in value or LOOKS_LIKE_A_SERVER.match(value) is not None or is_path(value)


def _discreet(arguments: Iterable[tuple[str | None, Any]]) -> Iterable[tuple[str | None, Any]]:
    for name, value in arguments:
        yield name, shown_url(value) if name in {"repo", "url"} and isinstance(value, str) else value


def _explained(error: ValidationError, given: Mapping[str, object], config: Path | None) -> SettingsInvalid:
    problems: list[str] = []
    advices: list[str] = []
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        place = detail["loc"]
        said = detail["msg"].removeprefix("Value error, ")
        if not place:
            problems.append(f"In the settings {said}")
            advices.append("Leave out all but one")
            continue
        key = ".".join(shown_key(part) for part in place)
        origin = _origin(str(place[0]), given, config)
        if detail["type"] == "extra_forbidden":
            problems.append(f"The key {key} in {origin} is unknown")
            advices.append(
                f"Known are: {', '.join(SETTING_NAMES if len(place) == 1 else RepositorySettings.model_fields)}"
            )
            continue
        problems.append(f"The setting {key} in {origin} is not right: {said[:1].lower()}{said[1:]}")
        known = Settings.model_fields.get(str(place[0]))
        if known is not None and known.description:
            advices.append(f"Allowed for {place[0]} is {known.description}")
    advice = "; ".join(dict.fromkeys(advices)) or "Correct it, or leave it out to go by the default"
    return SettingsInvalid("; ".join(dict.fromkeys(problems)), advice)


def _origin(key: str, given: Mapping[str, object], config: Path | None) -> str:
    origins = []
    if key in given:
        origins.append("the command line")
    if any(name.upper() == f"{PREFIX}{key.upper()}" and value for name, value in os.environ.items()):
        origins.append(f"the environment variable {PREFIX}{key.upper()}")
    if config is not None and (key in _TABLES or not origins):
        origins.append(str(config))
    # Only tables are merged; of anything else the first origin alone counts.
    return " or ".join(origins if key in _TABLES else origins[:1]) or "the settings"


def _unparsable_environment() -> SettingsInvalid:
    variables = [f"{PREFIX}{key.upper()}" for key in _TABLES]
    broken = [name for name in variables if (text := os.environ.get(name)) and not _is_json(text)] or variables
    return SettingsInvalid(
        f"The environment variable {' or '.join(broken)} is not valid JSON",
        'Write a JSON object, such as {"key": "value"}',
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
