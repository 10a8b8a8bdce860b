"""Runs Prefect's server, as `prefect server start` does, with the first of its two sets of pages alone.

The second asks a host of others for its configuration as soon as someone looks at it, whatever the server's settings
say, and the first one links to it. Prefect leaves out pages whose files it does not find.
"""

from __future__ import annotations

import prefect
import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings


def main() -> None:
    """Serve until the process is ended."""
    prefect.__ui_v2_static_path__ = prefect.__ui_v2_static_path__ / "left-out"
    settings = get_current_settings().server
    uvicorn.run(
        create_app(final=True),
        host=str(settings.api.host),
        port=settings.api.port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level=settings.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
