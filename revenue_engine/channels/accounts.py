"""Channel accounts, the ways to pay that the county owns, and the callback addresses that providers are given."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    LargeBinary,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine import identifiers
from revenue_engine.access import audit
from revenue_engine.db import Base, Sealed, raw
from revenue_engine.errors import Conflict, InvalidValue, NotFound
from revenue_engine.ports.callbacks import Purpose


class ChannelAccount(Sealed, Base):
    """A way to pay that we own: a shortcode, a till, a bank account; test or live."""

    __tablename__ = "channel_account"
    __table_args__ = (
        UniqueConstraint("adapter", "identifier", "mode"),
        CheckConstraint("mode IN ('test', 'live')", name="mode"),
        CheckConstraint("status IN ('sample', 'active', 'disabled')", name="status"),
        CheckConstraint("clearing_account LIKE '1200.%'", name="clearing"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    adapter: Mapped[str]
    identifier: Mapped[str]
    mode: Mapped[str]
    status: Mapped[str]
    clearing_account: Mapped[str] = mapped_column(ForeignKey("account.code"))
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class ChannelEndpoint(Sealed, Base):
    """One opaque URL given to a provider. Only the SHA-256 of its token is kept."""

    __tablename__ = "channel_endpoint"
    __table_args__ = (
        CheckConstraint(
            "purpose IN ('validation', 'confirmation', 'push_result', 'result', 'timeout')", name="purpose"
        ),
        CheckConstraint("length(token_sha256) = 32", name="token"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    purpose: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    revoked_at: Mapped[datetime | None]


_LEAST_PART = 5
"""Characters of a part of an account that may stand for all of it."""
_LEAST_IN_IBAN = 7


def is_called(identifier: str, told: str) -> bool:
    """Whether ``told`` names the account ``identifier``, as files and messages write accounts; naming none is no other.

    Blanks, dashes, strokes and zeros in front say nothing. A bank's code, the country or the currency may stand beside
    the number (``KCBLKENX/1100100``, ``KE1100100KES``), and an IBAN ends with it. Of a masked account
    (``0113****8600``) what stands open must be ours, four digits at least.
    """
    if not told or told == identifier:  # as nearly every message does
        return True
    ours, theirs = _bare(identifier), _bare(told)
    if not theirs or theirs == ours:
        return True
    if len(ours) < _LEAST_PART:
        return False
    if _MASK.search(told):
        return _fits_mask(ours, told)
    parts = [*re.split(r"[^0-9A-Za-z]+", told), re.sub(r"[^0-9A-Za-z]+", "", told)]
    for part in parts:
        plain = re.sub(r"^(?:KES|KE(?=\d))|(?:KES|KE)$", "", part.upper()).lstrip("0")
        if plain == ours:
            return True
    iban = re.fullmatch(r"[A-Z]{2}\d{2}([0-9A-Z]{11,30})", re.sub(r"[^0-9A-Z]+", "", told.upper()))
    return iban is not None and len(ours) >= _LEAST_IN_IBAN and iban[1].endswith(ours)


_MASK = re.compile(r"\*+|[Xx]{2,}")
_LEAST_OPEN = 4


def _fits_mask(ours: str, told: str) -> bool:
    opened = [_bare_part(part) for part in _MASK.split(told)]
    opened[0] = opened[0].lstrip("0")
    if sum(map(len, opened)) < _LEAST_OPEN:
        return False
    return re.fullmatch(".*".join(map(re.escape, opened)), ours) is not None


def _bare_part(part: str) -> str:
    return "".join(character for character in part if character.isalnum()).upper()


def _bare(account: str) -> str:
    return _bare_part(account).lstrip("0")


@dataclass(frozen=True, slots=True)
class Channel:
    """What recording needs to know of a channel account."""

    id: int
    adapter: str
    identifier: str
    mode: str
    clearing_account: str
    settings: dict[str, Any]


def channels(session: Session) -> dict[int, Channel]:
    """Every channel account by id. Disabled ones too: money that reaches a retired shortcode is still money."""
    rows = raw(session).execute("SELECT id, adapter, identifier, mode, clearing_account, settings FROM channel_account")
    return {row[0]: Channel(*row) for row in rows}


class Labelled(NamedTuple):
    """How a channel account is shown: its adapter and identifier, and its name."""

    label: str
    name: str


def names(session: Session) -> dict[int, Labelled]:
    """How each channel account is shown, by id, in the order of the ids."""
    found = raw(session).execute("SELECT id, adapter || ' ' || identifier, name FROM channel_account ORDER BY id")
    return {account_id: Labelled(label, name) for account_id, label, name in found}


TOKEN_BYTES = 32
_ADAPTER = re.compile(r"[a-z][a-z0-9_]{1,19}", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{1,33}", re.ASCII)


def add_channel_account(
    session: Session,
    *,
    adapter: str,
    identifier: str,
    mode: str,
    name: str,
    settings: Mapping[str, Any],
    clearing_account: str,
    status: str = "active",
    by: str = "setup",
) -> ChannelAccount:
    """Register a way to pay whose clearing account is open already; ``county.add_channel_account`` opens it as well.

    Raises InvalidValue for a malformed field and Conflict when the same adapter, identifier and mode are registered.
    """
    if not _ADAPTER.fullmatch(adapter):
        raise InvalidValue("an adapter is named by 2 to 20 small letters and digits", field="adapter")
    if not _IDENTIFIER.fullmatch(identifier):
        raise InvalidValue("an identifier is 2 to 34 letters, digits and dashes", field="identifier")
    if mode not in {"test", "live"}:
        raise InvalidValue("a channel account is test or live", field="mode", mode=mode)
    if status not in {"sample", "active"}:
        raise InvalidValue("a new channel account is active, or a sample", field="status", status=status)
    if not 1 <= len(name.strip()) <= 200:
        raise InvalidValue("a channel account's name has 1 to 200 characters", field="name")
    if find_channel_account(session, adapter=adapter, identifier=identifier, mode=mode) is not None:
        raise Conflict(f"the {mode} {adapter} account {identifier} is registered already", field="identifier")
    added = ChannelAccount(
        public_id=identifiers.public_id("cha"),
        name=name.strip(),
        adapter=adapter,
        identifier=identifier,
        mode=mode,
        status=status,
        clearing_account=clearing_account,
        settings=dict(settings),
    )
    session.add(added)
    session.flush()
    audit.record(
        session,
        actor=by,
        action="channel_account.added",
        subject=added.public_id,
        facts={"adapter": adapter, "identifier": identifier, "mode": mode, "status": status},
    )
    return added


def find_channel_account(session: Session, *, adapter: str, identifier: str, mode: str) -> ChannelAccount | None:
    """The channel account of an adapter with this identifier, test or live; None when there is none."""
    return session.scalars(
        select(ChannelAccount).where(
            ChannelAccount.adapter == adapter, ChannelAccount.identifier == identifier, ChannelAccount.mode == mode
        )
    ).one_or_none()


def add_endpoint(session: Session, *, channel_account_id: int, purpose: str, by: str = "setup") -> str:
    """Open one callback address of a channel account and answer its token, which is shown this once.

    The token is 256 random bits, safe in a URL; only its SHA-256 is kept, so that nobody who reads the database can
    call in the provider's name. Raises InvalidValue for an unknown purpose, NotFound, Conflict for a disabled account.
    """
    try:
        wanted = Purpose(purpose)
    except ValueError as error:
        raise InvalidValue(f"a purpose is one of {', '.join(Purpose)}", field="purpose", purpose=purpose) from error
    account = session.get(ChannelAccount, channel_account_id)
    if account is None:
        raise NotFound(f"no channel account {channel_account_id}", channel_account_id=channel_account_id)
    if account.status == "disabled":
        raise Conflict(f"channel account {account.public_id} is disabled", field="status")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    endpoint = ChannelEndpoint(
        channel_account_id=account.id, purpose=wanted.value, token_sha256=hashlib.sha256(token.encode()).digest()
    )
    session.add(endpoint)
    session.flush()
    audit.record(
        session,
        actor=by,
        action="endpoint.opened",
        subject=account.public_id,
        facts={"endpoint": endpoint.id, "purpose": wanted.value},
    )
    return token


def revoke_endpoint(session: Session, *, endpoint_id: int, by: str = "setup") -> None:
    """Close a callback address: deliveries to it are refused from the intake's next look (within seconds) on.

    Raises NotFound, and Conflict when it is revoked already.
    """
    done = (
        raw(session)
        .execute(
            "UPDATE channel_endpoint SET revoked_at = now()"
            " WHERE id = %s AND (revoked_at IS NULL OR revoked_at > now())",
            (endpoint_id,),
        )
        .rowcount
    )
    if not done:
        row = raw(session).execute("SELECT id FROM channel_endpoint WHERE id = %s", (endpoint_id,)).fetchone()
        if row is None:
            raise NotFound(f"no endpoint {endpoint_id}", endpoint_id=endpoint_id)
        raise Conflict(f"endpoint {endpoint_id} is revoked already", endpoint_id=endpoint_id, field="revoked_at")
    audit.record(session, actor=by, action="endpoint.revoked", subject=str(endpoint_id))


def rotate_endpoints(
    session: Session, *, channel_account_id: int, purpose: str, grace: timedelta, by: str = "setup"
) -> str:
    """Open a new callback address in place of those of a purpose, which stay good for ``grace``; answers the new token.

    An address that ends sooner already keeps its end. Raises NotFound when none is open, and as ``add_endpoint`` does.
    """
    if grace < timedelta(0) or grace > timedelta(days=90):
        raise InvalidValue("a grace time is between nothing and ninety days", field="grace")
    ended = (
        raw(session)
        .execute(
            "UPDATE channel_endpoint SET revoked_at = least(coalesce(revoked_at, 'infinity'), now() + %s)"
            " WHERE channel_account_id = %s AND purpose = %s AND (revoked_at IS NULL OR revoked_at > now())"
            " RETURNING id",
            (grace, channel_account_id, purpose),
        )
        .fetchall()
    )
    if not ended:
        raise NotFound(f"no {purpose} address of this channel account is open", purpose=purpose)
    token = add_endpoint(session, channel_account_id=channel_account_id, purpose=purpose, by=by)
    audit.record(
        session,
        actor=by,
        action="endpoint.rotated",
        subject=str(channel_account_id),
        facts={"ended": [row[0] for row in ended], "purpose": purpose, "grace_seconds": int(grace.total_seconds())},
    )
    return token


def change_settings(
    session: Session, *, channel_account_id: int, settings: Mapping[str, Any], by: str = "setup"
) -> None:
    """Give a test account other settings, all of them. Those of a live account come by ``channels.set_up``.

    The caller checks them (``county.loading.check_settings``). Raises NotFound, and NotAllowed for a live account.
    """
    account = session.get(ChannelAccount, channel_account_id)
    if account is None:
        raise NotFound(f"no channel account {channel_account_id}", channel_account_id=channel_account_id)
    account.settings = dict(settings)
    session.flush()
    audit.record(session, actor=by, action="channel_account.set", subject=account.public_id)


def disable_channel_account(session: Session, *, channel_account_id: int, close: bool, by: str = "setup") -> None:
    """Take a channel account out of use. Its addresses go on listening unless ``close``: payers do not stop at once,
    and money that comes all the same must be known. Raises NotFound, and Conflict when it is disabled already."""
    account = session.get(ChannelAccount, channel_account_id)
    if account is None:
        raise NotFound(f"no channel account {channel_account_id}", channel_account_id=channel_account_id)
    if account.status == "disabled":
        raise Conflict(f"{account.adapter} {account.identifier} is disabled already", field="status")
    raw(session).execute("UPDATE channel_account SET status = 'disabled' WHERE id = %s", (channel_account_id,))
    session.refresh(account)
    if close:
        raw(session).execute(
            "UPDATE channel_endpoint SET revoked_at = now()"
            " WHERE channel_account_id = %s AND (revoked_at IS NULL OR revoked_at > now())",
            (channel_account_id,),
        )
    audit.record(
        session,
        actor=by,
        action="channel_account.disabled",
        subject=account.public_id,
        facts={"addresses_closed": close},
    )


def open_endpoints(session: Session, channel_account_id: int) -> list[tuple[int, str, datetime, datetime | None]]:
    """The callback addresses of an account that listen now: number, purpose, opened, and the end of a grace time."""
    return [
        tuple(row)
        for row in raw(session).execute(
            "SELECT id, purpose, created_at, revoked_at FROM channel_endpoint"
            " WHERE channel_account_id = %s AND (revoked_at IS NULL OR revoked_at > now()) ORDER BY id",
            (channel_account_id,),
        )
    ]


def labels(session: Session) -> dict[int, str]:
    """What people call each channel account, by its id: its provider and its number, and TEST where money is not real.

    A county that is not live has only test accounts, and none is marked.
    """
    rows = raw(session).execute(
        "SELECT id, adapter || ' ' || identifier || CASE WHEN mode = 'test'"
        " AND EXISTS (SELECT FROM channel_account WHERE mode = 'live') THEN ' (TEST)' ELSE '' END FROM channel_account"
    )
    return {row[0]: row[1] for row in rows}


def identifiers_of_all(session: Session) -> dict[int, str]:
    """The shortcode, till or account number of each channel account, by its id."""
    rows = raw(session).execute("SELECT id, identifier FROM channel_account")
    return {row[0]: row[1] for row in rows}


def id_of(session: Session, identifier: str) -> int:
    """The number of the one channel account that is called so; a process that may read little more can ask this.

    Raises NotFound for none and for several.
    """
    found = [one for one, name in identifiers_of_all(session).items() if name == identifier]
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'no'} channel accounts are called {identifier!r}: see 'revenue-engine channel list'",
            identifier=identifier,
        )
    return found[0]


def public_ids(session: Session, ids: Iterable[int]) -> list[str]:
    """The public ids of channel accounts, in the order of their ids. Raises NotFound for one that is not registered."""
    wanted = sorted(set(ids))
    rows = raw(session).execute("SELECT id, public_id FROM channel_account WHERE id = ANY(%s) ORDER BY id", (wanted,))
    found = {row[0]: str(row[1]) for row in rows}
    for one in wanted:
        if one not in found:
            raise NotFound(f"no channel account {one}", channel_account_id=one)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A channel account as a list shows it; ``open`` names its callback addresses that listen: number and purpose."""

    adapter: str
    identifier: str
    mode: str
    status: str
    name: str
    open: str


def listed(session: Session) -> list[AccountRow]:
    """Every channel account, in the order of registration."""
    rows = raw(session).execute(
        "SELECT a.adapter, a.identifier, a.mode, a.status, a.name,"
        " coalesce(string_agg(e.id || ' ' || e.purpose, ', ' ORDER BY e.id)"
        " FILTER (WHERE e.revoked_at IS NULL OR e.revoked_at > now()), '')"
        " FROM channel_account a LEFT JOIN channel_endpoint e ON e.channel_account_id = a.id"
        " GROUP BY a.id ORDER BY a.id"
    )
    return [AccountRow(*row) for row in rows]


def named(session: Session, identifier: str, *, adapter: str | None = None, mode: str | None = None) -> ChannelAccount:
    """The one channel account that is called so. Raises NotFound, which says how to name it more plainly."""
    wanted = select(ChannelAccount).where(ChannelAccount.identifier == identifier)
    if adapter is not None:
        wanted = wanted.where(ChannelAccount.adapter == adapter)
    if mode is not None:
        wanted = wanted.where(ChannelAccount.mode == mode)
    found = list(session.scalars(wanted))
    kind = " ".join(filter(None, (mode, adapter, "channel account")))
    if not found:
        raise NotFound(f"no {kind} is called {identifier!r}: see 'revenue-engine channel list'", identifier=identifier)
    if len(found) > 1:
        them = "; ".join(f"{one.adapter} {one.mode}" for one in found)
        raise NotFound(
            f"{len(found)} channel accounts are called {identifier!r} ({them}): say --adapter, --mode test or --mode"
            " live",
            identifier=identifier,
        )
    return found[0]
