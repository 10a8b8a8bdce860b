"""A repository as a Prefect block: for those who keep addresses and secrets on their server.

It imports Prefect, so nobody loads it who does not use it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import ConfigDict, Field, JsonValue, SecretStr, ValidationError, model_validator

from recollect.errors import RecollectError
from recollect.secret_settings import SecretPlace
from recollect.settings import RepositoryAddress

_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/@]*:[^/]*@.*", re.DOTALL)
_FULL_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+|[/~].*|[A-Za-z]:[\\/].*|\\\\.+", re.DOTALL)
_CREDENTIALS = r"^((aws-credentials|minio-credentials)/[a-z0-9][a-z0-9-]{0,99})?$"
_NAME_OF_A_BLOCK = r"^([a-z0-9][a-z0-9-]{0,99})?$"


class BlockUnusable(RecollectError):
    """A block of Prefect is there, and what it holds can't be used."""

    code = "block-unusable"


class RecollectRepository(Block):
    """Where backups of Anki go, and what it takes to get there. Flows name it by the name that you give it here."""

    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "Recollect Repository"
    _block_type_slug = "recollect-repository"
    _description = "Where Recollect keeps backups of Anki, and what it takes to get there."
    # A picture would have to come from a host of others: a page that shows it would tell that host.
    _logo_url = None
    _documentation_url = None

    url: str = Field(
        title="URL",
        description="The repository's URL, such as s3://bucket/anki, or its full path; without a password.",
        min_length=1,
    )
    options: dict[str, JsonValue] = Field(
        default={}, title="Options", description="fsspec options for the URL that anybody may see, as a JSON object."
    )
    # Empty instead of None, for which a form would ask to choose between two kinds of nothing.
    secret_options: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        title="Secret options",
        description='fsspec options that are secrets, such as {"secret": "..."}.',
    )
    credentials: Annotated[str, Field(pattern=_CREDENTIALS)] = Field(
        default="",
        title="Credentials",
        description="For S3: a credentials block of Prefect, as aws-credentials/NAME or minio-credentials/NAME. That "
        "needs the package prefect-aws. The options here win over what it says.",
    )
    passphrase: SecretStr = Field(
        default=SecretStr(""), title="Passphrase", description="The passphrase, if the repository is encrypted."
    )
    passphrase_block: Annotated[str, Field(pattern=_NAME_OF_A_BLOCK)] = Field(
        default="",
        title="Passphrase block",
        description="Instead: the name of a Secret block that holds the passphrase.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, given: Any) -> Any:
        # What a form was left empty in may come as nothing at all.
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if _PASSWORD.fullmatch(self.url):
            raise ValueError("the URL holds a password, which everybody would see: put it into the secret options")
        if not _FULL_ADDRESS.fullmatch(self.url):
            raise ValueError("the URL is neither a URL nor a full path, and each run starts in another folder")
        if self.passphrase.get_secret_value() and self.passphrase_block:
            raise ValueError("there are a passphrase and a passphrase block, and only one of them can be")
        return self

    def address(self, name: str) -> RepositoryAddress:
        """Where it is, with all that it takes to get there. Raises BlockUnusable for credentials that can't be had."""
        credentials = _s3_options(name, self.credentials) if self.credentials else {}
        secrets = self.secret_options.get_secret_value()
        own = {**self.options, **secrets}
        nested = {
            key: {**found, **own[key]}
            for key, found in credentials.items()
            if isinstance(found, dict) and isinstance(own.get(key), dict)
        }
        secret = SecretPlace(
            passphrase=self.passphrase.get_secret_value() or None, passphrase_block=self.passphrase_block or None
        )
        return RepositoryAddress(name, self.url, {**credentials, **own, **nested}, secret)


def repository_in_block(name: str) -> RepositoryAddress | None:
    """What the block `name` says; None where there is none of that name, or no server to ask.

    Raises BlockUnusable for one that is there and can't be used. It never tells what stands in it.
    """
    found = _loaded(RecollectRepository, name, f"The block {name} (Recollect Repository)")
    return None if found is None else found.address(name)


def _s3_options(name: str, reference: str) -> dict[str, Any]:
    """The options of s3fs that a standard credentials block stands for."""
    who = f"The credentials block {reference}, which the block {name} names,"
    try:
        from prefect_aws import AwsCredentials, MinIOCredentials  # noqa: PLC0415 -- loads boto3, for nobody else
    except ImportError as missing:
        raise BlockUnusable(
            f"{who} can't be read without the package prefect-aws",
            "Install it where the flows run: `pip install 'recollect[aws-blocks]'`",
        ) from missing
    slug, _, called = reference.partition("/")
    kind = AwsCredentials if slug == "aws-credentials" else MinIOCredentials
    found = _loaded(kind, called, who.removesuffix(","))
    if found is None:
        raise BlockUnusable(f"{who} is not there", "Make it in the Prefect UI under Blocks, or correct the name")
    if isinstance(found, MinIOCredentials):
        key, secret, token = found.minio_root_user, found.minio_root_password, None
    elif found.profile_name or found.assume_role_arn:
        return _of_a_session(found, who)
    else:
        key, secret, token = found.aws_access_key_id, found.aws_secret_access_key, found.aws_session_token
    return _as_s3fs(found, key, secret.get_secret_value() if secret else None, token)


def _of_a_session(found: Any, who: str) -> dict[str, Any]:
    """Profiles and roles are for boto3 to look up. The keys of a role last an hour or so, and a run reads them anew."""
    try:
        keys = found.get_boto3_session().get_credentials().get_frozen_credentials()
    except Exception as trouble:  # noqa: BLE001 -- of botocore, in many kinds, which may hold what it was given
        raise BlockUnusable(
            f"{who} gives no keys: {type(trouble).__name__}",
            "See that its profile or role is known where the flows run",
        ) from None
    return _as_s3fs(found, keys.access_key, keys.secret_key, keys.token)


def _as_s3fs(found: Any, key: str | None, secret: str | None, token: str | None) -> dict[str, Any]:
    client = found.aws_client_parameters
    verify = str(client.verify_cert_path) if client.verify_cert_path else client.verify
    kwargs = {"region_name": found.region_name, "verify": verify}
    options = {
        "key": key,
        "secret": secret,
        "token": token,
        "endpoint_url": client.endpoint_url,
        "use_ssl": None if client.use_ssl else False,
        "client_kwargs": {name: value for name, value in kwargs.items() if value is not None} or None,
        "config_kwargs": client.config,
    }
    return {name: value for name, value in options.items() if value is not None}


def _loaded(kind: Any, name: str, who: str) -> Any:
    """The block of that kind and name; None where there is none, or no server to ask."""
    fault: Exception
    try:
        return kind.load(name)
    except (ValueError, RuntimeError) as trouble:
        if isinstance(trouble.__cause__, ObjectNotFound):
            return None
        fault = trouble
    except Exception:  # noqa: BLE001 -- of Prefect, its client and its server: none can be had from there
        return None
    # Raised out here, the error drags no context along that would hold what stands in the block.
    raise BlockUnusable(f"{who} {_told(fault)}", "Correct it in the Prefect UI under Blocks")


def _told(fault: Exception) -> str:
    wrong = fault if isinstance(fault, ValidationError) else fault.__cause__
    if not isinstance(wrong, ValidationError):
        return "can't be read"
    told = []
    for detail in wrong.errors(include_url=False, include_context=False, include_input=False):
        place, said = ".".join(map(str, detail["loc"])), detail["msg"].removeprefix("Value error, ")
        told.append(f"{place}: {said[:1].lower()}{said[1:]}" if place else said)
    return f"can't be used: {'; '.join(told)}"
