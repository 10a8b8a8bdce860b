"""The block types that the Prefect UI offers for Recollect: repositories, secrets, and ways to be told of something."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import BlockSchemaCreate, BlockTypeCreate, BlockTypeUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from tasks.repository_address import BLOCK_NAME
from tasks.repository_block import RecollectRepository

BLOCKS: tuple[type[Block], ...] = (RecollectRepository, Secret, CustomWebhookNotificationBlock)
"""Our own, and of Prefect's those that Recollect uses, and that work without any host but the person's own."""


async def register_blocks() -> tuple[str, ...]:
    """Make known to the server that PREFECT_API_URL names the types that it lacks; returns their names.

    A picture of a block type is an address on a host of others, which hears of everybody who looks at a page with it.
    So those that are made here have none, and a server on this computer loses those that it has.

    Raises httpx.HTTPError and errors of Prefect when the server does not answer, or not as it should.
    """
    async with get_client() as server:
        added = [kind.get_block_type_name() for kind in BLOCKS if await _add(server, kind)]
        if _is_here(str(server.api_url)):
            await take_pictures_away(server)
    return tuple(added)


async def take_pictures_away(server: PrefectClient) -> None:
    """Let the pages of a server show no picture of a block type that lies on another host.

    Prefect puts those of its own types back whenever a server starts, unless PREFECT_SERVER_REGISTER_BLOCKS_ON_START is
    off, and that of any type when a block of it is saved by a program.
    """
    for there in await server.read_block_types():
        if there.logo_url is not None and urlsplit(str(there.logo_url)).scheme in {"http", "https"}:
            await server.update_block_type(there.id, BlockTypeUpdate(logo_url=None))


async def repository_blocks(server: PrefectClient) -> tuple[str, ...]:
    """The names of the repositories that stand in blocks, as far as flows take them."""
    try:
        found = await server.read_block_documents_by_type(RecollectRepository.get_block_type_slug())
    except PrefectHTTPStatusError as error:  # which this method does not turn into ObjectNotFound
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        return ()
    return tuple(sorted(document.name for document in found if document.name and BLOCK_NAME.fullmatch(document.name)))


async def _add(server: PrefectClient, kind: type[Block]) -> bool:
    """Register a type without a picture, else as Block.register_type_and_schema does; of one that is there its newest
    form, and nothing else."""
    slug, added = kind.get_block_type_slug(), False
    try:
        there = await server.read_block_type_by_slug(slug)
    except ObjectNotFound:
        told = kind._to_block_type().model_dump(
            include={"name", "slug", "documentation_url", "description", "code_example"}
        )
        try:
            there, added = await server.create_block_type(BlockTypeCreate(**told)), True
        except ObjectAlreadyExists:  # another computer was quicker
            there = await server.read_block_type_by_slug(slug)
    try:
        await server.read_block_schema_by_checksum(
            kind._calculate_schema_checksum(),
            kind.get_block_schema_version(),
        )
    except ObjectNotFound:
        schema = kind._to_block_schema(block_type_id=there.id).model_dump(
            include={"fields", "block_type_id", "capabilities", "version"}
        )
        await server.create_block_schema(BlockSchemaCreate(**schema))
    return added


def _is_here(api_url: str) -> bool:
    return (urlsplit(api_url).hostname or "") in {"127.0.0.1", "localhost", "::1"}
