"""The two servers that ``bench_intake`` sets side by side, each run as a process of its own.

``ours`` is the intake as it is deployed. ``baseline`` is the strong usual way: async FastAPI on one uvicorn process
with uvloop and httptools, raw bytes, a psycopg pool of ten, autocommit and prepared INSERT into a table of the same
shape without our trigger, the token found in a dictionary.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

BASELINE_TABLE = "delivery_baseline"


def ours(url: str, port: int) -> uvicorn.Server:
    """The intake, with the rights it has in production."""
    from adapters.mpesa import adapter
    from revenue_engine.bootstrap import configure_logging
    from revenue_engine.intake.server import create_app, server

    configure_logging("warning")
    return server(create_app(url, adapters={"mpesa": adapter}), host="127.0.0.1", port=port)


def baseline(url: str, port: int, token: str) -> uvicorn.Server:
    """FastAPI and one autocommit INSERT a request."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        url, min_size=10, max_size=10, open=False, kwargs={"autocommit": True}
    )
    known = {hashlib.sha256(token.encode()).digest(): (1, 1, "confirmation")}
    insert = (
        f"INSERT INTO {BASELINE_TABLE} (channel_account_id, endpoint_id, purpose, peer, headers, body, body_length,"
        " verdict, verdict_reason) VALUES (%b, %b, %b, %s, %b, %b, %b, %b, %b)"
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.open(wait=True)
        yield
        await pool.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/cb/v1/{token}")
    async def callback(token: str, request: Request) -> Response:
        found = known.get(hashlib.sha256(token.encode()).digest())
        if found is None:
            return Response(status_code=404)
        body = await request.body()
        headers = {name: request.headers[name] for name in ("content-type", "user-agent") if name in request.headers}
        peer = request.client.host if request.client else None
        async with pool.connection() as connection:
            await connection.execute(
                insert, (*found, peer, Jsonb(headers), body, len(body), "accepted", ""), prepare=True
            )
        return Response(b'{"ResultCode":0,"ResultDesc":"Success"}', media_type="application/json")

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    made = ours(given["url"], given["port"]) if given["name"] == "ours" else baseline(**given["baseline"])
    made.run()
