"""Serves DiracX on a port of loopback, its tables made first; runs in the rig's own environment."""

from __future__ import annotations

import asyncio
import os
import sys

import uvicorn
from diracx.db.sql import AuthDB, PilotAgentsDB
from diracx.routers.factory import create_app


async def make_tables() -> None:
    for kind, variable in ((AuthDB, "DIRACX_DB_URL_AUTHDB"), (PilotAgentsDB, "DIRACX_DB_URL_PILOTAGENTSDB")):
        database = kind(os.environ[variable])
        async with database.engine_context(), database.engine.begin() as connection:
            await connection.run_sync(database.metadata.create_all)


if __name__ == "__main__":
    asyncio.run(make_tables())
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]))
