"""The process that serves the desk: uvicorn on a socket that listens already, ended gracefully."""

from __future__ import annotations

import socket

import uvicorn
from sqlalchemy import Engine

from revenue_engine.desk import application

POOL = 10
"""Database connections of one process, beside five more under load."""
ENDS_WITHIN = 20
"""Seconds that running requests have to end in once the process is told to stop."""


def run(engine: Engine, listening: socket.socket, *, https: bool, address: str) -> None:
    """Serve until SIGTERM or SIGINT; requests that run then are ended first. No line of a log holds an address."""
    config = uvicorn.Config(
        application.make(engine, https=https, address=address),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=ENDS_WITHIN,
        timeout_keep_alive=10,
        limit_concurrency=500,
        h11_max_incomplete_event_size=16_384,
    )
    uvicorn.Server(config).run(sockets=[listening])
