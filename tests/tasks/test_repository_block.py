"""What a block of a repository stands for, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.types import SecretDict
from prefect_aws import AwsCredentials, MinIOCredentials
from prefect_aws.client_parameters import AwsClientParameters
from pydantic import SecretStr, ValidationError

from recollect.errors import RepositoryUnknown
from recollect.secret_settings import SecretPlace
from recollect.settings import load_settings
from tasks import repository_address, repository_block
from tasks.repository_address import address_of
from tasks.repository_block import BlockUnusable, RecollectRepository

HIDDEN = "what-nobody-must-see"


def block(**fields: Any) -> RecollectRepository:
    return RecollectRepository(**{"url": "s3://bucket/anki", **fields})


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Credentials blocks by name, as a server would hold them."""
    held: dict[str, object] = {}
    monkeypatch.setattr(repository_block, "_loaded", lambda _kind, name, _who: held.get(name))
    return held


def test_options_of_all_kinds_come_together_and_no_secret_is_shown() -> None:
    school = block(options={"anon": False}, secret_options=SecretDict({"secret": HIDDEN}), passphrase=SecretStr(HIDDEN))
    address = school.address("school")
    assert (address.name, address.url) == ("school", "s3://bucket/anki")
    assert address.options == {"anon": False, "secret": HIDDEN}
    assert address.secret == SecretPlace(passphrase=HIDDEN)
    for shown in (repr(school), str(school), repr(address), str(address), school.model_dump_json()):
        assert HIDDEN not in shown


def test_a_passphrase_may_lie_in_a_block_of_its_own() -> None:
    assert block(passphrase_block="anki").address("school").secret == SecretPlace(passphrase_block="anki")
    with pytest.raises(ValidationError, match="only one of them"):
        block(passphrase_block="anki", passphrase=HIDDEN)


def test_what_a_form_was_left_empty_in_counts_as_not_given() -> None:
    for nothing in ("", None):
        empty = block(credentials=nothing, passphrase=nothing, passphrase_block=nothing, secret_options=None)
        assert empty.address("school").secret == SecretPlace()
        assert empty.address("school").options == {}


@pytest.mark.parametrize("url", ["", "backups", "./backups", f"sftp://ada:{HIDDEN}@nas/anki", "nas:/backups"])
def test_an_address_that_shows_a_password_or_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as told:
        block(url=url)
    assert HIDDEN not in str(told.value)


@pytest.mark.parametrize(
    "url", ["s3://bucket", "sftp://ada@nas/anki", "/mnt/backups", "~/backups", "C:\\backups", "\\\\nas\\b"]
)
def test_an_address_that_is_whole_is_taken(url: str) -> None:
    assert block(url=url).address("school").url == url


def test_keys_of_aws_are_those_of_s3fs(credentials: dict[str, object]) -> None:
    credentials["keys"] = AwsCredentials(
        aws_access_key_id="key",
        aws_secret_access_key=SecretStr(HIDDEN),
        aws_session_token="token",
        region_name="eu-central-1",
        aws_client_parameters=AwsClientParameters(
            endpoint_url="https://s3.example.org", verify=False, config={"retries": {"max_attempts": 2}}
        ),
    )
    assert block(credentials="aws-credentials/keys").address("school").options == {
        "key": "key",
        "secret": HIDDEN,
        "token": "token",
        "endpoint_url": "https://s3.example.org",
        "client_kwargs": {"region_name": "eu-central-1", "verify": False},
        "config_kwargs": {"retries": {"max_attempts": 2}},
    }


def test_keys_of_minio_are_those_of_s3fs_and_options_of_the_block_win(credentials: dict[str, object]) -> None:
    credentials["keys"] = MinIOCredentials(
        minio_root_user="root", minio_root_password=SecretStr(HIDDEN), region_name="home"
    )
    own = {"endpoint_url": "http://nas:9000", "client_kwargs": {"verify": False}, "key": "other"}
    assert block(credentials="minio-credentials/keys", options=own).address("school").options == {
        "key": "other",
        "secret": HIDDEN,
        "endpoint_url": "http://nas:9000",
        "client_kwargs": {"region_name": "home", "verify": False},
    }


def test_a_profile_of_aws_is_looked_up(
    credentials: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "credentials"
    keys.write_text(f"[school]\naws_access_key_id = key\naws_secret_access_key = {HIDDEN}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    credentials["keys"] = AwsCredentials(profile_name="school")
    assert block(credentials="aws-credentials/keys").address("school").options == {"key": "key", "secret": HIDDEN}
    credentials["keys"] = AwsCredentials(profile_name="none such")
    with pytest.raises(BlockUnusable, match="aws-credentials/keys, which the block school names, gives no keys"):
        block(credentials="aws-credentials/keys").address("school")


def test_credentials_that_are_not_there_or_can_not_be_read_are_named(
    credentials: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BlockUnusable, match="aws-credentials/gone, which the block school names, is not there"):
        block(credentials="aws-credentials/gone").address("school")
    monkeypatch.setitem(sys.modules, "prefect_aws", None)
    with pytest.raises(BlockUnusable, match=r"without the package prefect-aws.*recollect\[aws-blocks\]"):
        block(credentials="aws-credentials/keys").address("school")


def test_a_name_in_the_settings_goes_before_a_block_and_what_stands_beside_it_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "recollect.toml"
    config.write_text('[repositories.school]\nurl = "/of/the/settings"\n')
    there = {
        "school": block().address("school"),
        "work": block(options={"key": "a"}, passphrase=HIDDEN).address("work"),
    }
    monkeypatch.setattr(repository_address, "_in_block", there.get)
    settings = load_settings(config=config)
    assert address_of(settings, "school").url == "/of/the/settings"
    assert address_of(settings, "work") == there["work"]
    with pytest.raises(RepositoryUnknown, match="There is no repository home in the settings"):
        address_of(settings, "home")
    chosen = load_settings({"repo": "work", "repo_options": {"secret": "b"}}, config=config)
    assert address_of(chosen).url == "s3://bucket/anki"
    assert address_of(chosen).options == {"key": "a", "secret": "b"}
    assert address_of(chosen).secret == SecretPlace(passphrase=HIDDEN)
    chosen = load_settings({"repo": "work", "key_file": tmp_path / "key"}, config=config)
    assert address_of(chosen).secret == SecretPlace(key_file=tmp_path / "key")


def test_without_a_server_no_block_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "recollect.toml").touch()
    code = (
        "import sys\n"
        "from recollect.settings import load_settings\n"
        "from recollect.errors import RepositoryUnknown\n"
        "from tasks.repository_address import address_of\n"
        "try: address_of(load_settings(), 'school')\n"
        "except RepositoryUnknown as told: print(told)\n"
        "print('prefect' in sys.modules)"
    )
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("RECOLLECT_CONFIG", str(tmp_path / "recollect.toml"))
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    told, prefect = ended.stdout.splitlines()
    assert told.startswith("There is no repository school in the settings. ")
    assert prefect == "False"
