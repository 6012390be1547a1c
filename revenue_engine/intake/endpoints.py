"""What the intake knows of its addresses: whose each one is, who judges a hit on it, and how a question is answered.

Read anew every few seconds, so that a rotation needs no restart. ``doctor`` reads the same rows through the same
function, and so says of an address what the intake will do with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from pydantic import BaseModel, ValidationError

from revenue_engine import identifiers
from revenue_engine.channels.settings import read_settings
from revenue_engine.errors import ConfigurationError
from revenue_engine.ports.callbacks import AckOutcome, AskingAdapter, CallbackAdapter, EchoingAdapter, Purpose

log = structlog.get_logger("revenue_engine.intake")

JSON: Final = "application/json"
_CONTENT_TYPE: Final = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One URL a provider was given, with everything needed to judge a hit on it without asking the database."""

    id: int
    channel_account_id: int
    purpose: str
    token_sha256: bytes
    adapter: CallbackAdapter | None = None
    asks: AskingAdapter | None = None
    """The adapter again, where the endpoint is for questions and the adapter can answer them."""
    settings: BaseModel | None = None
    problem: str = ""
    """Why no delivery here can be proved: our own set-up is wrong. Deliveries are stored as refused all the same."""
    kept_headers: frozenset[str] = frozenset()
    kept: bytes = b"{}"
    refused: bytes = b"{}"
    echoes: EchoingAdapter | None = None
    """The adapter again, where its acknowledgement repeats ids of the body."""
    content_type: bytes = JSON.encode()
    """What the adapter's answers are."""

    def ack(self, outcome: AckOutcome, body: bytes) -> bytes:
        """The acknowledgement of a delivery; where an adapter fails at an echo, the form without it."""
        if self.echoes is not None:
            try:
                return self.echoes.ack_for(outcome, body)
            except Exception as error:  # noqa: BLE001 - the delivery is kept; its answer must not fail for an echo
                log.error("ack_for raised", endpoint=self.id, error=type(error).__name__)  # noqa: TRY400
        return self.kept if outcome is AckOutcome.KEPT else self.refused


NO_ENDPOINT: Final = Endpoint(id=0, channel_account_id=0, purpose="", token_sha256=bytes(32))
"""Stands in for an unknown token, so that the same comparison is made; no SHA-256 we can meet is all zeros."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What the intake knows between two readings: endpoints by token hash, and what a question is judged by."""

    endpoints: Mapping[bytes, Endpoint] = field(default_factory=dict)
    refuse_unknown_accounts: bool = False
    prefixes: tuple[str, ...] = ()
    stations: frozenset[str] = frozenset()

    @property
    def problems(self) -> dict[int, str]:
        """Endpoint id to what is wrong with its set-up."""
        return {endpoint.id: endpoint.problem for endpoint in self.endpoints.values() if endpoint.problem}


# A disabled account is read too: switching a shortcode off does not stop payers, and their money must be known.
ENDPOINTS: Final = """
SELECT e.id, e.channel_account_id, e.purpose, e.token_sha256, a.adapter, a.settings::text
  FROM channel_endpoint e JOIN channel_account a ON a.id = e.channel_account_id
 WHERE e.revoked_at IS NULL OR e.revoked_at > now()"""
_POLICY: Final = """
SELECT coalesce((SELECT refuse_unknown_accounts FROM county), false),
       ARRAY(SELECT DISTINCT unnest(prefixes) FROM stream),
       ARRAY(SELECT code FROM station UNION SELECT name FROM station)"""


def read_endpoints(
    rows: Iterable[tuple[Any, ...]], adapters: Mapping[str, CallbackAdapter], secrets_dir: Path | None
) -> list[Endpoint]:
    """Endpoints of the rows of ``ENDPOINTS``, each with what is wrong with its set-up. Reads secrets, never raises."""
    return [_endpoint(_Row(*row), adapters, secrets_dir) for row in rows]


async def read_directory(
    connection: psycopg.AsyncConnection[Any],
    adapters: Mapping[str, CallbackAdapter],
    secrets_dir: Path | None = None,
) -> Directory:
    """Read every live endpoint and the county's policy; an endpoint we cannot serve is kept with its problem.

    Secrets that settings name by file are read here, so that ``verify`` stays pure and a new key needs no restart.
    """
    rows = await (await connection.execute(ENDPOINTS)).fetchall()
    policy = await (await connection.execute(_POLICY)).fetchone()
    refuse, prefixes, stations = policy or (False, [], [])
    found = read_endpoints(rows, adapters, secrets_dir)
    return Directory(
        endpoints={endpoint.token_sha256: endpoint for endpoint in found},
        refuse_unknown_accounts=refuse,
        prefixes=tuple(sorted(prefixes)),
        stations=frozenset(map(identifiers.key, stations)) - {""},
    )


class _Row(NamedTuple):
    """A row of ``ENDPOINTS``; the settings are JSON as it is stored."""

    id: int
    channel_account_id: int
    purpose: str
    token_sha256: bytes
    adapter: str
    settings: str


def _endpoint(row: _Row, adapters: Mapping[str, CallbackAdapter], secrets_dir: Path | None) -> Endpoint:
    plain = Endpoint(
        id=row.id, channel_account_id=row.channel_account_id, purpose=row.purpose, token_sha256=row.token_sha256
    )
    adapter = adapters.get(row.adapter)
    if adapter is None:
        return replace(plain, problem=f"no adapter is called {row.adapter}")
    # First, for without its headers a delivery refused by a fault of ours could never be judged again.
    names = frozenset(str(header).lower() for header in getattr(adapter, "kept_headers", ()))
    kept = refused = b"{}"
    settings, problem, kind = None, "", JSON
    try:
        kept, refused, kind = adapter.ack(AckOutcome.KEPT), adapter.ack(AckOutcome.REFUSED), content_type(adapter)
        settings = read_settings(adapter.settings_model, json.loads(row.settings), secrets_dir=secrets_dir)
    except ValidationError as error:
        # Names of the fields only: a value may be what somebody should not have typed there.
        wrong = sorted({".".join(str(part) for part in e["loc"]) or "settings" for e in error.errors()})
        problem = f"settings invalid: {', '.join(wrong)}"
    except ConfigurationError as error:
        problem = error.message
    except Exception as error:  # noqa: BLE001 - one faulty adapter must not stop the others
        problem = f"adapter raised {type(error).__name__}"
    return replace(
        plain,
        adapter=adapter,
        asks=adapter if row.purpose == Purpose.VALIDATION and isinstance(adapter, AskingAdapter) else None,
        settings=settings,
        problem=problem,
        kept_headers=names,
        kept=kept,
        refused=refused,
        echoes=adapter if isinstance(adapter, EchoingAdapter) else None,
        content_type=kind.encode(),
    )


def content_type(adapter: CallbackAdapter) -> str:
    """What an adapter's answers are: its own ``content_type``, else JSON. Raises ConfigurationError for a wrong one."""
    found = getattr(adapter, "content_type", JSON)
    if not isinstance(found, str) or _CONTENT_TYPE.fullmatch(found) is None:
        raise ConfigurationError(f"the adapter {adapter.name} has a content_type that is none: mend the adapter")
    return found
