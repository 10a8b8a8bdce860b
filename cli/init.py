"""`recollect init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.asking import ask_new_passphrase
from cli.key_output import made_key_file, show_recovery_key
from cli.options import AsJson, Config, path_named
from cli.output import say, show_json, show_text
from cli.session import session, usage
from recollect.settings import Settings
from storage.format.configuration import Sealing
from storage.format.secret import Secret, SecretKind, new_recovery_key
from storage.keys import add_slot, unlock_once
from storage.repository import Repository
from tasks.repositories import default_url, make_named, on_this_computer, settings_secret
from tasks.repository_address import address_of


def init(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="An empty place: a path, a URL, a name in recollect.toml or, with a Prefect server, of a block there. "
            "Default: RECOLLECT_REPO, else this disk.",
            show_default=False,
        ),
    ] = None,
    encryption: Annotated[
        bool | None,
        typer.Option(
            "--encryption/--no-encryption",
            metavar="",
            show_default=False,
            help="Encrypt it, or not. Default: yes on other computers, and wherever a secret is set.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="Encrypt it with a key file, which is made if it isn't there.",
            parser=path_named,
        ),
    ] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="A name for the first key slot.")] = None,
    recovery_key: Annotated[
        bool, typer.Option("--recovery-key/--no-recovery-key", metavar="", help="Make a recovery key, or not.")
    ] = True,
    new_repository: Annotated[
        bool,
        typer.Option(
            "--new-repository", metavar="", help="Begin a new repository where one was before and is no more."
        ),
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Make an empty place a repository, encrypted unless it stays on this computer, and show its recovery key once.

    Where no passphrase is set you are asked for one.

    Example: recollect init s3://my-bucket/anki
    """
    if encryption is False and key_file is not None:
        raise usage("A key file is of use to an encrypted repository only: leave out --key-file or --no-encryption.")
    if encryption is False and label is not None:
        raise usage("A label names a key slot, and a repository without encryption has none: leave out one of the two.")
    with session(config, repo=url) as settings:
        secret = _secret(settings, encryption=encryption, key_file=key_file)
        repository = make_named(secret=secret, label=label or "", despite_memory=new_repository)
        text = _add_recovery_key(repository, secret) if secret is not None and recovery_key else None
        if as_json:
            show_json(
                {
                    "url": repository.store.url,
                    "id": repository.id,
                    "encrypted": repository.configuration.sealing is Sealing.AES,
                    "recovery_key": text,
                }
            )
            return
        _tell(repository, secret, text, is_set=address_of(settings).secret.is_set)


def _secret(settings: Settings, *, encryption: bool | None, key_file: Path | None) -> Secret | None:
    place = address_of(settings).secret
    if encryption is False:
        if place.is_set:
            raise usage("A secret is set for this place, and --no-encryption was said: leave out one of them.")
        return None
    if key_file is not None:
        if place.is_set and place.key_file != key_file:
            raise usage(
                "A secret is set for this place, and --key-file names another one: leave out one of them, and add the "
                "other with `recollect key add`."
            )
        return made_key_file(key_file)
    if place.is_set:
        return settings_secret()
    where = default_url(settings)
    if encryption is None and on_this_computer(where):
        return None
    return ask_new_passphrase(f"for the repository at {where}")


def _add_recovery_key(repository: Repository, secret: Secret) -> str:
    recovery, text = new_recovery_key()
    keyring = unlock_once(repository.store, repository.configuration, secret)
    add_slot(repository.store, repository.configuration, keyring, recovery)
    return text


def _tell(repository: Repository, secret: Secret | None, text: str | None, *, is_set: bool) -> None:
    if secret is None:
        show_text(f"The repository at {repository.store.url} is made. It is not encrypted.")
        return
    show_text(f"The repository at {repository.store.url} is made, and encrypted.")
    if text is not None:
        show_recovery_key(text)
    else:
        say("Without its secret nobody can read it: `recollect key add --recovery` makes a key to write down.")
    if not is_set:
        setting = "key_file" if secret.kind is SecretKind.KEY_FILE else "RECOLLECT_PASSPHRASE or passphrase_file"
        say(f"So that backups on a schedule can open it, set {setting}; at a terminal you are asked otherwise.")
