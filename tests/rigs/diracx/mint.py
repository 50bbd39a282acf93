"""Prints a refresh token of the kind that a person gets by logging in; runs in the rig's own environment."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from diracx.core.models import RefreshTokenPayload
from diracx.core.settings import AuthSettings
from diracx.db.sql import AuthDB
from diracx.db.sql.utils import uuid7_to_datetime
from diracx.logic.auth.token import create_token, insert_refresh_token


async def mint(subject: str, scope: str) -> str:
    settings = AuthSettings()
    database = AuthDB(os.environ["DIRACX_DB_URL_AUTHDB"])
    async with database.engine_context(), database:
        identity = await insert_refresh_token(auth_db=database, subject=subject, scope=scope)
    expires = uuid7_to_datetime(identity) + timedelta(minutes=settings.refresh_token_expire_minutes)
    payload = RefreshTokenPayload(jti=str(identity), exp=expires, legacy_exchange=False, dirac_policies={})
    return str(create_token(payload, settings))


if __name__ == "__main__":
    print(asyncio.run(mint(*sys.argv[1:])))  # noqa: T201 - its one output
