"""A passphrase from a Prefect Secret block. Imports Prefect when it is called, and is called by nobody else."""

from __future__ import annotations

from typing import Any


def passphrase_in_block(name: str) -> object:
    """What the Secret block `name` holds, None when there is no such block, or no server to ask."""
    from prefect.blocks.system import Secret  # noqa: PLC0415 -- Prefect takes a second to import

    try:
        # Outside of a coroutine this is the block itself, whatever the annotation says.
        block: Any = Secret.load(name)
        return block.get()
    except Exception:  # noqa: BLE001 -- of Prefect, its client, its server and the block's type: no such block, for us
        return None
