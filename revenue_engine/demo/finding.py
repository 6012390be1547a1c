"""What no callback told is found: the simulated provider is asked, and then its statements are brought."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from adapters.sandbox.mpesa import Plan
from adapters.sandbox.mpesa_provider import Provider
from adapters.sandbox.mpesa_server import serving
from revenue_engine import bootstrap
from revenue_engine.channels import accounts as channel_accounts
from revenue_engine.channels import deliveries
from revenue_engine.collection import polling
from revenue_engine.db import acting_by, raw, transaction
from revenue_engine.errors import Retryable
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.statements import by_hand, importing

ASKED_WITHIN = 60.0
"""Seconds within which the worker must have asked."""


@dataclass(frozen=True, slots=True)
class Found:
    """The payments that were first told of otherwise than by a callback: how many, and their sum in cents."""

    pulled: int = 0
    stated: int = 0
    minor: int = 0
    references: frozenset[str] = frozenset()


@contextmanager
def provided(shortcodes: list[str], *, seed: int, secrets: Path) -> Iterator[tuple[Provider, str]]:
    """A simulated provider that answers on this machine, with the secrets that a client needs in a folder of ours."""
    provider = Provider(dict.fromkeys(shortcodes, "County"), seed=seed)
    provider.pulling.update(shortcodes)  # registered for pulls, as an account is once
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    with serving(provider) as url:
        provider.keys.write(secrets, {})
        yield provider, url


def let_ask(engine: Engine, provider: Provider, url: str, accounts: dict[str, int]) -> None:
    """Tell each channel account where its provider can be asked, by the names of its secrets."""
    with transaction(engine) as session:
        for account_id in accounts.values():
            account = session.get_one(channel_accounts.ChannelAccount, account_id)
            account.settings = {**account.settings, "asking": provider.keys.asking(url)}


def ask(engine: Engine, accounts: dict[str, int], *, check: Callable[[], None]) -> None:
    """Have every account asked now, by the worker that runs. Raises Retryable when it does not."""
    with transaction(engine) as session:
        before = _pulls(session)
        for account_id in accounts.values():
            polling.ask_now(session, account_id)
    deadline = time.monotonic() + ASKED_WITHIN
    while True:
        check()
        with transaction(engine) as session:
            pulls = _pulls(session)
        if all(pulls.get(account_id, 0) > before.get(account_id, 0) for account_id in accounts.values()):
            return
        if time.monotonic() > deadline:
            raise Retryable("the worker did not ask the provider in time")
        time.sleep(0.1)


def _pulls(session: Session) -> dict[int, int]:
    rows = raw(session).execute(
        "SELECT channel_account_id, count(*) FROM asked WHERE what = 'pull' GROUP BY channel_account_id"
    )
    return {row[0]: row[1] for row in rows}


def bring_statements(
    engine: Engine, provider: Provider, plan: Plan, accounts: dict[str, int], *, hands: tuple[str, str]
) -> int:
    """Bring every day's statement of every account, the portal's two layouts in turn; how many files.

    ``hands``: the sessions of who brings the files, and of who enters from the portal what each closes with.
    """
    brought = 0
    readers = bootstrap.statement_readers()
    for shortcode, account_id in accounts.items():
        for number in range(plan.days):
            day = plan.first + timedelta(days=number)
            body = provider.statement(shortcode, day, day, "new" if number % 2 else "legacy")
            with acting_by(hands[0]), transaction(engine) as session:
                delivery = deliveries.keep(
                    session,
                    channel_account_id=account_id,
                    purpose=Purpose.STATEMENT,
                    body=body,
                    headers={"filename": filename(shortcode, day)},
                )
            foot = importing.foot_of(readers, body, filename=filename(shortcode, day))
            with acting_by(hands[1]), transaction(engine) as session:
                by_hand.enter(session, delivery, foot.minor)
            brought += 1
    return brought


def all_told(plan: Plan) -> Plan:
    """The plan as it stands once pulls and statements have told what no callback told."""
    told = tuple(replace(credit, delivered=True) for credit in plan.truth.credits)
    return replace(plan, truth=replace(plan.truth, credits=told))


def filename(shortcode: str, day: date) -> str:
    """What the file of a day is called."""
    return f"statement-{shortcode}-{day.isoformat()}.csv"


def found(session: Session) -> Found:
    """Which payments the books know first from an answer or a statement."""
    rows = (
        raw(session)
        .execute(
            "SELECT d.purpose, p.reference, p.amount_minor FROM payment p"
            " JOIN LATERAL (SELECT e.delivery_id FROM evidence e WHERE e.reference = p.reference AND e.kind = p.kind"
            "                AND e.channel_account_id = p.channel_account_id ORDER BY e.id LIMIT 1) f ON true"
            " JOIN delivery d ON d.id = f.delivery_id"
            " WHERE p.kind = 'payment' AND d.purpose IN ('pull', 'statement')"
        )
        .fetchall()
    )
    return Found(
        pulled=sum(row[0] == "pull" for row in rows),
        stated=sum(row[0] == "statement" for row in rows),
        minor=sum(row[2] for row in rows),
        references=frozenset(row[1] for row in rows),
    )
