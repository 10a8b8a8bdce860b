"""The address that is called when somebody should be told. It may hold a secret, so a block of the server keeps it.

Not Prefect's block for notifications: when a call fails, the server logs the whole address. This one it does not log.
"""

from __future__ import annotations

from hashlib import blake2s
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

_HEADERS = {"Content-Type": "application/json"}


def block_of(host: str) -> str:
    """The name of a computer's block. Names of blocks are made of small letters, digits and dashes."""
    return f"recollect-notifications-{blake2s(host.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


async def bring_address(server: PrefectClient, host: str, address: SecretStr) -> UUID:
    """Keep a computer's address in a block of the server; the block's id."""
    wanted = Webhook.model_validate({"url": address, "headers": _HEADERS})
    try:
        found = await server.read_block_document_by_name(
            block_of(host), wanted.get_block_type_slug(), include_secrets=True
        )
    except ObjectNotFound:
        pass
    else:
        if (found.data.get("url"), found.data.get("headers")) == (address.get_secret_value(), _HEADERS):
            return found.id
    # Not `save`, which is another function when a flow is under way that is not a coroutine.
    return await wanted.asave(block_of(host), overwrite=True, client=server)


async def remove_address(server: PrefectClient, host: str) -> None:
    """Forget a computer's address."""
    try:
        found = await server.read_block_document_by_name(
            block_of(host), Webhook.get_block_type_slug(), include_secrets=False
        )
        await server.delete_block_document(found.id)
    except ObjectNotFound:
        pass
