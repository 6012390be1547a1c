"""What changes a live channel account is asked for here; another person agrees, and the database then writes the rows.

The token of an address is drawn by who asks and shown to nobody else: the request holds its SHA-256 alone. Until the
request is agreed to, nothing listens on the address. A test account books nothing in live books, and one person sets
it up (``channels.accounts``).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from sqlalchemy.orm import Session

from revenue_engine import identifiers
from revenue_engine.access import approvals
from revenue_engine.channels.accounts import TOKEN_BYTES, ChannelAccount
from revenue_engine.channels.settings import MARK
from revenue_engine.db import raw
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.ports.callbacks import Purpose


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's public id, and the tokens of the addresses that it would open, by purpose."""

    public_id: str
    tokens: Mapping[str, str]


def ask_account(
    session: Session,
    *,
    adapter: str,
    identifier: str,
    name: str,
    settings: Mapping[str, Any],
    purposes: Iterable[str],
    reason: str,
) -> Asked:
    """Ask for a live channel account with its clearing account and its first addresses.

    Raises InvalidValue for a malformed field, Conflict when it is registered already or the books are test books, and
    what ``approvals.ask`` raises.
    """
    tokens = _tokens(purposes)
    payload = {
        "account": identifiers.public_id("cha"),
        "adapter": adapter,
        "identifier": identifier,
        "name": name,
        "settings": dict(settings),
        "tokens": _hashes(tokens),
    }
    subject = f"{adapter} {identifier}"[:200]
    return Asked(approvals.ask(session, "channel_add", subject=subject, payload=payload, reason=reason), tokens)


def ask_address(
    session: Session, account: ChannelAccount, *, purpose: str, reason: str, grace: timedelta | None = None
) -> Asked:
    """Ask for a callback address of a live account; with a ``grace``, in place of those of its purpose, which stay good
    for so long after the change. Raises NotFound where none is to be replaced, Conflict for a disabled account."""
    tokens = _tokens([purpose])
    payload: dict[str, Any] = {"tokens": _hashes(tokens)}
    if grace is not None:
        if grace < timedelta(0) or grace > timedelta(days=90):
            raise InvalidValue("a grace time is between nothing and ninety days", field="grace")
        payload["grace_seconds"] = int(grace.total_seconds())
    kind = "channel_open" if grace is None else "channel_rotate"
    return Asked(_ask(session, kind, account, payload, reason), tokens)


def ask_settings(session: Session, account: ChannelAccount, settings: Mapping[str, Any], *, reason: str) -> str:
    """Ask that all settings of a live account become these; returns the request's public id."""
    return _ask(session, "channel_set", account, {"settings": dict(settings)}, reason)


def ask_disable(session: Session, account: ChannelAccount, *, close: bool, reason: str) -> str:
    """Ask that a live account goes out of use, and with ``close`` listens no more; returns the request's public id."""
    return _ask(session, "channel_disable", account, {"close": close}, reason)


def ask_revoke(session: Session, account: ChannelAccount, *, endpoint_id: int, reason: str) -> str:
    """Ask that one address of a live account closes; returns the request's public id. Raises NotFound for another's."""
    return _ask(session, "channel_revoke", account, {"number": endpoint_id}, reason)


def account_of(session: Session, endpoint_id: int) -> ChannelAccount:
    """The channel account of an address. Raises NotFound."""
    row = (
        raw(session).execute("SELECT channel_account_id FROM channel_endpoint WHERE id = %s", (endpoint_id,)).fetchone()
    )
    found = None if row is None else session.get(ChannelAccount, row[0])
    if found is None:
        raise NotFound(f"no endpoint {endpoint_id}", endpoint_id=endpoint_id)
    return found


def secrets_by_file(model: type[BaseModel], settings: Mapping[str, Any]) -> None:
    """Refuse secrets that are typed in place of a file's name: a request is shown to others. Raises InvalidValue."""
    for name, info in model.model_fields.items():
        secret = SecretStr in (info.annotation, *get_args(info.annotation))
        if secret and settings.get(name) and not str(settings[name]).startswith(MARK):
            raise InvalidValue(
                f"{name}: a live account names its secret by file: write {MARK}NAME, and put the secret into that file"
                " in REVENUE_SECRETS_DIR",
                field=name,
            )


def _ask(session: Session, kind: str, account: ChannelAccount, payload: Mapping[str, Any], reason: str) -> str:
    subject = f"{account.adapter} {account.identifier}"
    told = {"account": account.public_id, **payload}
    return approvals.ask(session, kind, subject=subject, payload=told, reason=reason)


def _tokens(purposes: Iterable[str]) -> dict[str, str]:
    """A fresh token a purpose: 256 random bits, safe in a URL. Raises InvalidValue for an unknown purpose."""
    drawn = {}
    for purpose in purposes:
        if purpose not in set(Purpose):
            raise InvalidValue(f"a purpose is one of {', '.join(Purpose)}", field="purpose", purpose=purpose)
        drawn[purpose] = secrets.token_urlsafe(TOKEN_BYTES)
    return drawn


def _hashes(tokens: Mapping[str, str]) -> dict[str, str]:
    return {purpose: hashlib.sha256(token.encode()).hexdigest() for purpose, token in tokens.items()}
