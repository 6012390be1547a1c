"""The simulated M-PESA over HTTP: the provider's own paths, and beside them a few of its own under ``/simulator``.

``python -m adapters.sandbox.mpesa_server --port 9000 --seed 7 --secrets DIR`` runs it alone; it prints one line of JSON
with its address and the settings of a channel account that asks it. :func:`serving` runs it in a thread.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.sandbox.mpesa_posts import Faults
from adapters.sandbox.mpesa_provider import Call, Provider, Refusal
from revenue_engine.errors import Retryable, RevenueError
from revenue_engine.ports.callbacks import Purpose

READY_SECONDS: Final = 20

_Operation = Callable[[Mapping[str, Any]], dict[str, Any]]


def app(provider: Provider) -> Starlette:
    """The provider as a web application."""
    operations: dict[str, _Operation] = {
        "/mpesa/c2b/v1/registerurl": lambda body: provider.register(body, version=1),
        "/mpesa/c2b/v2/registerurl": lambda body: provider.register(body, version=2),
        "/mpesa/c2b/v1/simulate": provider.simulate,
        "/mpesa/c2b/v2/simulate": provider.simulate,
        "/mpesa/stkpush/v1/processrequest": provider.push,
        "/mpesa/stkpushquery/v1/query": provider.push_query,
        "/mpesa/transactionstatus/v1/query": provider.status,
        "/mpesa/accountbalance/v1/query": provider.balance,
        "/mpesa/reversal/v1/request": provider.reverse,
        "/pulltransactions/v1/register": provider.pull_register,
        "/pulltransactions/v1/query": provider.pull,
    }

    async def token(request: Request) -> Response:
        if request.query_params.get("grant_type") != "client_credentials":
            return _refused(Refusal(400, "400.008.02", "Invalid grant type passed"))
        try:
            return JSONResponse(provider.token(request.headers.get("authorization", "")))
        except Refusal as refusal:
            return _refused(refusal)

    def route(path: str, operation: _Operation) -> Route:
        async def answer(request: Request) -> Response:
            given = await request.body()
            return await run_in_threadpool(_called, provider, path, operation, request.headers, given)

        return Route(path, answer, methods=["POST"])

    return Starlette(
        routes=[
            Route("/oauth/v1/generate", token, methods=["GET"]),
            *(route(path, operation) for path, operation in operations.items()),
            *_own_routes(provider),
        ]
    )


def _called(
    provider: Provider, path: str, operation: _Operation, headers: Mapping[str, str], given: bytes
) -> JSONResponse:
    try:
        provider.admit(headers.get("authorization", ""))
        body = _object(given)
        provider.calls.append(Call(path, body))
        answer = JSONResponse(operation(body))
    except Refusal as refusal:
        return _refused(refusal)
    time.sleep(provider.faults.hang_ms / 1000)
    return answer


def _object(given: bytes) -> dict[str, Any]:
    try:
        body = json.loads(given)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "400.002.02", "Bad Request - Invalid JSON")
    return body


def _refused(refusal: Refusal) -> JSONResponse:
    body = {"requestId": "7071-4170-1", "errorCode": refusal.code, "errorMessage": refusal.message}
    return JSONResponse(body, status_code=refusal.status)


def _own_routes(provider: Provider) -> list[Route]:
    """What no provider has: its switches, its payers and its truth."""

    async def faults(request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else {}
        if unknown := wanted.keys() - {one.name for one in fields(Faults)}:
            return JSONResponse({"error": f"no such switch: {', '.join(sorted(unknown))}"}, status_code=400)
        provider.faults = replace(provider.faults, **wanted)
        return JSONResponse(asdict(provider.faults))

    async def pay(request: Request) -> Response:
        wanted = await request.json()
        moved = await run_in_threadpool(
            lambda: provider.pay(
                str(wanted["shortcode"]),
                amount_minor=int(wanted["amount_minor"]),
                account=str(wanted["account"]),
                phone=str(wanted.get("phone", "254700000101")),
                told=bool(wanted.get("told", True)),
            )
        )
        return JSONResponse(_shown(moved))

    async def answer(request: Request) -> Response:
        wanted = await request.json()
        try:
            prompt = provider.answer(str(wanted["request_id"]), str(wanted.get("code", "0")))
        except RevenueError as error:
            return JSONResponse({"error": error.message}, status_code=404)
        return JSONResponse(asdict(prompt))

    async def truth(request: Request) -> Response:
        wanted = request.query_params.get("shortcode")
        rows = [_shown(one) for one in provider.books.movements if wanted in (None, one.shortcode)]
        return JSONResponse(rows)

    async def statement(request: Request) -> Response:
        asked = request.query_params
        try:
            layout: Any = asked.get("layout", "legacy")
            first, last = date.fromisoformat(asked["first"]), date.fromisoformat(asked.get("last", asked["first"]))
            text = provider.statement(asked["shortcode"], first, last, layout)
        except (KeyError, ValueError, RevenueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return Response(text, media_type="text/csv")

    return [
        Route("/simulator/faults", faults, methods=["GET", "POST"]),
        Route("/simulator/pay", pay, methods=["POST"]),
        Route("/simulator/answer", answer, methods=["POST"]),
        Route("/simulator/truth", truth),
        Route("/simulator/statement", statement),
    ]


def _shown(moved: Any) -> dict[str, Any]:
    return {**asdict(moved), "occurred_at": moved.occurred_at.isoformat()}


@contextlib.contextmanager
def serving(provider: Provider, *, port: int = 0) -> Iterator[str]:
    """Serve the provider in a thread on loopback; answers its address. Port 0 takes a free one."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        config = uvicorn.Config(app(provider), log_level="warning", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not server.started:
                if time.monotonic() > deadline or not thread.is_alive():
                    raise Retryable("the simulated M-PESA did not start")
                time.sleep(1 / 100)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            provider.sender.close()
            server.should_exit = True
            thread.join(timeout=READY_SECONDS)


def main(arguments: list[str] | None = None) -> None:
    """Run the simulator alone, until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sandbox.mpesa_server", description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shortcode", action="append", default=None, help="600100=County; may be given again")
    parser.add_argument("--secrets", type=Path, help="write the secret files a client needs into this folder")
    parser.add_argument("--callbacks", default="http://127.0.0.1:8801/cb/v1", help="where our addresses begin")
    given = parser.parse_args(arguments)
    pairs = [one.partition("=") for one in given.shortcode or ["600100=County"]]
    provider = Provider({code: holder or "County" for code, _, holder in pairs}, seed=given.seed)
    purposes = (Purpose.CONFIRMATION, Purpose.VALIDATION, Purpose.PUSH_RESULT, Purpose.RESULT, Purpose.TIMEOUT)
    if given.secrets is not None:
        given.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
        provider.keys.write(given.secrets, {purpose: f"{given.callbacks}/{purpose}" for purpose in purposes})
    with serving(provider, port=given.port) as url:
        print(json.dumps({"url": url, "asking": provider.keys.asking(url)}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
