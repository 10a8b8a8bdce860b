"""The address that is called when somebody should be told. It may hold a secret, so a block of the server keeps it."""

from __future__ import annotations

from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

BLOCK = "recollect-notifications"
_SLUG = CustomWebhookNotificationBlock.get_block_type_slug()


async def bring_address(server: PrefectClient, address: SecretStr) -> UUID:
    """Keep the address in a block of the server; the block's id."""
    url = address.get_secret_value()
    try:
        found = await server.read_block_document_by_name(BLOCK, _SLUG, include_secrets=True)
        if found.data.get("secrets", {}).get("address") == url and found.data.get("json_data") == _block(url).json_data:
            return found.id
    except ObjectNotFound:
        pass
    id_: UUID = await _block(url).save(BLOCK, overwrite=True, client=server)
    return id_


async def remove_address(server: PrefectClient) -> None:
    """Forget the address."""
    try:
        found = await server.read_block_document_by_name(BLOCK, _SLUG, include_secrets=False)
        await server.delete_block_document(found.id)
    except ObjectNotFound:
        pass


def _block(url: str) -> CustomWebhookNotificationBlock:
    return CustomWebhookNotificationBlock.model_validate(
        {
            "name": "Recollect",
            "url": "{{address}}",
            # What Slack, Mattermost, Rocket.Chat, Google Chat and others take.
            "json_data": {"text": "{{subject}}: {{body}}"},
            "secrets": {"address": url},
        }
    )
