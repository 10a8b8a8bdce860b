"""Repositories that stand in blocks of a real Prefect server, and what the server and its logs get to know of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.flows.on_prefect import Home, pressed
from tests.servers.prefect_server import PrefectServer
from tests.servers.rclone import KEY, SECRET, s3_server

PASSPHRASE = "correct-horse-battery-staple"
IN_A_URL = "a-password-where-none-belongs"
"""What a form did not keep anybody from storing in clear: other tests look for other secrets on the same server."""
REGISTER = (
    "import asyncio, json\n"
    "from deployments.blocks import register_blocks\n"
    "print(json.dumps(asyncio.run(register_blocks())))\n"
)


def asked(server: PrefectServer, what: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{server.api_url}/{what}", json=wanted, timeout=30)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def all_of(server: PrefectServer, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := asked(server, f"{what}/filter", {"offset": len(found), "limit": 200}):
        found += page
    return found


def fill_in(home: Home, blocks: Mapping[str, dict[str, Any]]) -> None:
    """Make blocks as the form in the browser does, which knows nothing of what Python would refuse."""
    home.printed(REGISTER)
    api = home.server.api_url
    kind = httpx.get(f"{api}/block_types/slug/recollect-repository", timeout=30).json()["id"]
    (schema, *_) = asked(home.server, "block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}})
    for name, data in blocks.items():
        body = {"name": name, "data": data, "block_type_id": kind, "block_schema_id": schema["id"]}
        pressed(f"{api}/block_documents/", body)


def test_block_types_are_registered_once_and_show_no_picture_of_another_host(home: Home) -> None:
    before = {kind["slug"] for kind in all_of(home.server, "block_types")}
    first, second = (json.loads(home.printed(REGISTER)) for _ in range(2))
    assert "recollect-repository" in before or "Recollect Repository" in first
    assert second == []
    kinds = {kind["slug"]: kind for kind in all_of(home.server, "block_types")}
    assert {"recollect-repository", "secret", "custom-webhook"} <= kinds.keys()
    assert {kind["logo_url"] for kind in kinds.values()} == {None}
    own = kinds["recollect-repository"]["id"]
    (schema,) = asked(home.server, "block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [own]}}})
    assert schema["fields"]["required"] == ["url"]
    assert set(schema["fields"]["secret_fields"]) == {"passphrase", "secret_options.*"}
    for field in schema["fields"]["properties"].values():
        assert field["title"]
        assert field["description"]


def test_a_flow_backs_up_to_a_repository_in_a_block_and_no_secret_of_it_shows_anywhere(
    home: Home, tmp_path: Path
) -> None:
    with s3_server(tmp_path / "s3", tmp_path) as s3:
        endpoint = s3.options["endpoint_url"]
        backed_up, restored, exported = home.run(
            "from prefect_aws import MinIOCredentials\n"
            "from prefect_aws.client_parameters import AwsClientParameters\n"
            "from tasks.repository_block import RecollectRepository\n"
            f"keys = MinIOCredentials(minio_root_user={KEY!r}, minio_root_password={SECRET!r},\n"
            f"    aws_client_parameters=AwsClientParameters(endpoint_url={endpoint!r}))\n"
            "keys.save('school-keys')\n"
            f"RecollectRepository(url={s3.url('anki')!r}, credentials='minio-credentials/school-keys',\n"
            f"    passphrase={PASSPHRASE!r}).save('school')\n"
            f"RecollectRepository(url={s3.url('anki')!r}, options={{'endpoint_url': {endpoint!r}, 'key': {KEY!r}}},\n"
            f"    secret_options={{'secret': {SECRET!r}}}, passphrase={PASSPHRASE!r}).save('school-again')\n"
            f"restored = {str(tmp_path / 'out')!r}\n"
            "end(back_up_profile('Ada', 'school', return_state=True))\n"
            "end(restore_profile('Ada', to=restored, repository='school-again', return_state=True))\n"
            f"end(export_colpkg('Ada', {s3.url('ada.colpkg')!r}, repository='school', return_state=True))\n",
        )

    for run in (backed_up, restored, exported):
        assert run.state == "Completed", run.message
    assert [*(tmp_path / "s3").rglob("ada.colpkg")]
    (configuration,) = (tmp_path / "s3").rglob("recollect.json")
    assert json.loads(configuration.read_text())["sealing"] == "aes-256-gcm"
    assert not (home.folder / "repository").exists()
    shown = [
        json.dumps(all_of(home.server, what))
        for what in ("flow_runs", "task_runs", "logs", "artifacts", "block_documents")
    ]
    shown += [json.dumps(asked(home.server, "events/filter", {})), (home.folder / "stderr.log").read_text()]
    for text in shown:
        assert SECRET not in text
        assert PASSPHRASE not in text
    for path in [*home.server.home.rglob("*"), home.server.home.parent / "prefect-server.log"]:
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content, path
        assert PASSPHRASE.encode() not in content, path


def test_a_block_that_is_wrong_is_told_in_a_sentence_without_what_stands_in_it(home: Home) -> None:
    blocks = {
        "shows-a-password": {"url": f"sftp://ada:{IN_A_URL}@nas/anki"},
        "lacks-a-place": {"passphrase": PASSPHRASE},
        "leads-nowhere": {"url": "backups", "passphrase": PASSPHRASE},
        "lacks-keys": {"url": "s3://bucket/anki", "credentials": "aws-credentials/gone"},
    }
    fill_in(home, blocks)
    names = [*blocks, "is-not-there"]
    runs = home.run("".join(f"end(back_up_profile('Ada', {name!r}, return_state=True))\n" for name in names))

    for run, said in zip(
        runs,
        (
            "The block shows-a-password (Recollect Repository) can't be used: the URL holds a password",
            "The block lacks-a-place (Recollect Repository) can't be used: url: field required. Correct it",
            "The block leads-nowhere (Recollect Repository) can't be used: the URL is neither a URL nor a full path",
            "The credentials block aws-credentials/gone, which the block lacks-keys names, is not there. Make it",
            "There is no repository is-not-there in the settings, and no block of that name on the Prefect server",
        ),
        strict=True,
    ):
        assert run.state == "Failed"
        assert run.message.startswith(said)
        assert "Traceback" not in run.log()
        assert IN_A_URL not in run.message + run.log()
        assert PASSPHRASE not in run.message + run.log()


def test_standard_credentials_are_loaded_only_where_a_block_names_some(home: Home) -> None:
    fill_in(home, {"plain": {"url": str(home.folder / "elsewhere")}})
    printed = home.printed(
        "import sys\n"
        "from flows.backup import back_up_profile\n"
        "print(back_up_profile('Ada', 'plain', return_state=True).name)\n"
        "print([name for name in ('prefect_aws', 'boto3') if name in sys.modules])\n"
    )
    assert printed.splitlines() == ["Completed", "[]"]
    assert (home.folder / "elsewhere" / "recollect.json").exists()
