"""``channel ...``: the county's channel accounts and the callback addresses given to providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import FAILED, JsonFlag, answering, err, out, print_json, table_of
from revenue_engine.cli.purposes import PurposeName

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from revenue_engine.channels.accounts import ChannelAccount
    from revenue_engine.ports.callbacks import CallbackAdapter

app = typer.Typer(help="Ways to pay.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Ways to pay."""


@app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """List channel accounts and the callback addresses that are open, by number and purpose."""
    from dataclasses import asdict

    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            rows = [asdict(one) for one in accounts.listed(session)]
        if as_json:
            print_json(rows)
            return
        table = table_of(*(rows[0] if rows else ("no channel account",)))
        for row in rows:
            table.add_row(*row.values())
        out.print(table)


_Identifier = Annotated[str, typer.Argument(help="The shortcode, till or account.")]
_Adapter = Annotated[str | None, typer.Option(help="The provider; needed when two have this identifier.")]
_Mode = Annotated[str | None, typer.Option(help="test or live; needed when both are registered.")]


def _facts(account: ChannelAccount) -> dict[str, Any]:
    return {
        "account": account.public_id,
        "adapter": account.adapter,
        "identifier": account.identifier,
        "name": account.name,
        "mode": account.mode,
        "status": account.status,
        "clearing_account": account.clearing_account,
    }


def _say(found: dict[str, Any], *, as_json: bool) -> None:
    from revenue_engine.cli import onboarding

    if as_json:
        print_json(found)
        return
    for line in onboarding.lines(found):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


_Reason = Annotated[
    str, typer.Option(help="Why; needed for a live account, which changes when another person has agreed.")
]


def _say_asked(request: str, *, as_json: bool, addresses: Mapping[str, str] | None = None) -> None:
    """What a change of a live account answers: the request, and addresses that listen once it is agreed to."""
    if as_json:
        print_json({"ok": True, "request": request} | ({"addresses": dict(addresses)} if addresses else {}))
        return
    for purpose, address in (addresses or {}).items():
        out.print(f"{purpose}: {address}", highlight=False, markup=False, soft_wrap=True)
    if addresses:
        out.print("Shown this once; nothing listens there until another person has agreed.", highlight=False)
    out.print(f"asked as {request}; another person: revenue-engine approval agree {request}", highlight=False)


@app.command("add")
def add(
    adapter: Annotated[str, typer.Argument(help="The provider, such as mpesa or kcb.")],
    identifier: _Identifier,
    name: Annotated[str, typer.Option(help="What people call it.")],
    test: Annotated[bool, typer.Option("--test/--live", help="Test accounts never touch live books.")] = True,
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", exists=True, dir_okay=False, help="Its settings, TOML or JSON."),
    ] = None,
    purpose: Annotated[list[PurposeName] | None, typer.Option(help="Addresses to open; may be given again.")] = None,
    reason: _Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Register a way to pay, open its addresses, and print the sheet for the provider's engineer.

    The addresses and, for a test account without --settings, fresh test credentials are shown this once. A live account
    is asked for: another person agrees.
    """
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.cli import onboarding
    from revenue_engine.county import loading
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue, NotFound
    from revenue_engine.ports.callbacks import AskingAdapter, RehearsingAdapter

    with answering(as_json=as_json):
        settings, adapters = bootstrap.settings(), bootstrap.adapters()
        if adapter not in adapters:
            raise NotFound(f"no adapter {adapter!r}; installed: {', '.join(sorted(adapters))}", adapter=adapter)
        chosen, rehearsal = adapters[adapter], None
        if settings_file is not None:
            given = onboarding.read_settings_file(settings_file)
        elif test and isinstance(chosen, RehearsingAdapter):
            rehearsal = chosen.rehearse(identifier)
            given = dict(rehearsal.settings)
        else:
            needed = sorted(n for n, field in chosen.settings_model.model_fields.items() if field.is_required())
            raise InvalidValue(f"a live account needs --settings FILE with {', '.join(needed)}", field="settings")
        asks = isinstance(chosen, AskingAdapter) and getattr(chosen, "asks", True)
        purposes = [one.value for one in purpose or ()] or ["confirmation", *(["validation"] if asks else [])]
        if not test:
            _ask_live(chosen, identifier, name, given, purposes, reason=reason, as_json=as_json)
            return
        with signing.signed_in(), transaction(bootstrap.engine("api")) as session:
            by = signing.login(session)
            account = loading.add_channel_account(
                session,
                adapter=adapter,
                identifier=identifier,
                mode="test",
                name=name,
                settings=given,
                settings_models={one: known.settings_model for one, known in adapters.items()},
                secrets_dir=settings.secrets_dir,
                by=by,
            )
            tokens = {
                one: accounts.add_endpoint(session, channel_account_id=account.id, purpose=one, by=by)
                for one in purposes
            }
            facts = _facts(account)
        if rehearsal is not None:
            onboarding.keep_test_key(settings, adapter, identifier, rehearsal)
        found = onboarding.sheet(chosen, settings, facts=facts, given=given, tokens=tokens, rehearsal=rehearsal)
        _say(found, as_json=as_json)


def _ask_live(
    adapter: CallbackAdapter,
    identifier: str,
    name: str,
    given: Mapping[str, Any],
    purposes: Sequence[str],
    *,
    reason: str,
    as_json: bool,
) -> None:
    """Ask for a live account and its addresses, as who is signed in."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import set_up
    from revenue_engine.cli import onboarding
    from revenue_engine.county import loading
    from revenue_engine.db import transaction

    settings, models = bootstrap.settings(), {adapter.name: adapter.settings_model}
    set_up.secrets_by_file(adapter.settings_model, given)
    loading.check_settings(adapter.name, given, mode="live", settings_models=models, secrets_dir=settings.secrets_dir)
    with signing.signed_in(), transaction(bootstrap.engine("api")) as session:
        asked = set_up.ask_account(
            session,
            adapter=adapter.name,
            identifier=identifier,
            name=name,
            settings=given,
            purposes=purposes,
            reason=reason,
        )
    addresses = {one: onboarding.address(settings, token) for one, token in asked.tokens.items()}
    _say_asked(asked.public_id, as_json=as_json, addresses=addresses)


@app.command("show")
def show(identifier: _Identifier, adapter: _Adapter = None, mode: _Mode = None, as_json: JsonFlag = False) -> None:
    """Show a channel account: its settings without secrets, its open addresses by number, its sheet without tokens."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.cli import onboarding
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            account = accounts.named(session, identifier, adapter=adapter, mode=mode)
            facts, given = _facts(account), dict(account.settings)
            open_now = accounts.open_endpoints(session, account.id)
        chosen = bootstrap.adapters().get(facts["adapter"])
        found: dict[str, Any] = dict(facts)
        if chosen is not None:
            found = onboarding.sheet(chosen, bootstrap.settings(), facts=facts, given=given, tokens={}, rehearsal=None)
            found["settings"] = onboarding.masked(chosen.settings_model, given)
        found["addresses"] = {
            str(number): f"{purpose}, open since {opened:%Y-%m-%d %H:%M}"
            + (f", ends {ends:%Y-%m-%d %H:%M %Z}" if ends else "")
            for number, purpose, opened, ends in open_now
        }
        _say(found, as_json=as_json)


@app.command("rotate")
def rotate(
    identifier: _Identifier,
    purpose: Annotated[PurposeName, typer.Option(help="Whose address is replaced.")] = PurposeName.CONFIRMATION,
    grace: Annotated[
        float, typer.Option(min=0, max=2160, help="Hours the old address stays good; 0 ends it now.")
    ] = 24,
    adapter: _Adapter = None,
    mode: _Mode = None,
    reason: _Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Give an account a new callback address. The intake knows it within five seconds; the old one has its grace."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts, set_up
    from revenue_engine.cli import onboarding

    with answering(as_json=as_json):
        with _changing(identifier, adapter, mode) as (session, account):
            hours = timedelta(hours=grace)
            if account.mode == "live":
                asked = set_up.ask_address(session, account, purpose=purpose.value, grace=hours, reason=reason)
                address = onboarding.address(bootstrap.settings(), asked.tokens[purpose.value])
                request: str | None = asked.public_id
            else:
                token = accounts.rotate_endpoints(
                    session,
                    channel_account_id=account.id,
                    purpose=purpose.value,
                    grace=hours,
                    by=signing.login(session),
                )
                address, request = onboarding.address(bootstrap.settings(), token), None
            facts = _facts(account)
        if request is not None:
            _say_asked(request, as_json=as_json, addresses={purpose.value: address})
            return
        _say({**facts, "addresses": {purpose.value: address}, "old_address_hours": grace}, as_json=as_json)


@app.command("set")
def set_settings(
    identifier: _Identifier,
    settings_file: Annotated[
        Path, typer.Option("--settings", exists=True, dir_okay=False, help="All its settings, TOML or JSON.")
    ],
    adapter: _Adapter = None,
    mode: _Mode = None,
    reason: _Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Give an account other settings, such as whom it listens to. The intake knows them within five seconds."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts, set_up
    from revenue_engine.cli import onboarding
    from revenue_engine.county import loading

    with answering(as_json=as_json):
        given = onboarding.read_settings_file(settings_file)
        models = {one: known.settings_model for one, known in bootstrap.adapters().items()}
        with _changing(identifier, adapter, mode) as (session, account):
            secrets_dir = bootstrap.settings().secrets_dir
            loading.check_settings(
                account.adapter, given, mode=account.mode, settings_models=models, secrets_dir=secrets_dir
            )
            request = None
            if account.mode == "live":
                set_up.secrets_by_file(models[account.adapter], given)
                request = set_up.ask_settings(session, account, given, reason=reason)
            else:
                accounts.change_settings(
                    session, channel_account_id=account.id, settings=given, by=signing.login(session)
                )
            facts = _facts(account)
        if request is not None:
            _say_asked(request, as_json=as_json)
            return
        _say({**facts, "settings": onboarding.masked(models[facts["adapter"]], given)}, as_json=as_json)


@app.command("disable")
def disable(
    identifier: _Identifier,
    close: Annotated[bool, typer.Option("--close", help="Close its addresses too: what comes is then lost.")] = False,
    adapter: _Adapter = None,
    mode: _Mode = None,
    reason: _Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Take an account out of use. It goes on listening, for payers do not stop at once, unless --close."""
    from revenue_engine.channels import accounts, set_up

    with answering(as_json=as_json):
        with _changing(identifier, adapter, mode) as (session, account):
            request = None
            if account.mode == "live":
                request = set_up.ask_disable(session, account, close=close, reason=reason)
            else:
                accounts.disable_channel_account(
                    session, channel_account_id=account.id, close=close, by=signing.login(session)
                )
            facts = _facts(account)
        if request is not None:
            _say_asked(request, as_json=as_json)
            return
        _say({**facts, "listens": not close}, as_json=as_json)


@app.command("open")
def open_address(
    identifier: _Identifier,
    purpose: Annotated[PurposeName, typer.Option(help="What the provider will post there.")],
    adapter: Annotated[str, typer.Option(help="The provider.")] = "mpesa",
    mode: _Mode = None,
    reason: _Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Open a callback address and print it. It is shown this once: only its hash is kept."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts, set_up
    from revenue_engine.cli import onboarding

    with answering(as_json=as_json):
        settings = bootstrap.settings()
        with _changing(identifier, adapter, mode) as (session, account):
            request = None
            if account.mode == "live":
                asked = set_up.ask_address(session, account, purpose=purpose.value, reason=reason)
                request, token = asked.public_id, asked.tokens[purpose.value]
            else:
                by = signing.login(session)
                token = accounts.add_endpoint(session, channel_account_id=account.id, purpose=purpose.value, by=by)
        if request is not None:
            _say_asked(request, as_json=as_json, addresses={purpose.value: onboarding.address(settings, token)})
            return
        path = f"/cb/v1/{token}"
        address = f"http://{settings.intake_host}:{settings.intake_port}{path}"
        if as_json:
            print_json({"identifier": identifier, "purpose": purpose.value, "path": path, "local_address": address})
        else:
            out.print(f"{purpose.value} of {identifier}:", highlight=False)
            out.print(f"  {address}", highlight=False, soft_wrap=True)
            out.print("Give the provider this path on your public HTTPS host. It will not be shown again.")


@app.command("revoke")
def revoke(
    endpoint: Annotated[int, typer.Argument(help="The address's number, from 'channel list'.")],
    reason: _Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Close a callback address. The intake stops listening on it within five seconds."""
    from revenue_engine.channels import accounts, set_up

    with answering(as_json=as_json):
        with _changing(endpoint) as (session, account):
            request = None
            if account.mode == "live":
                request = set_up.ask_revoke(session, account, endpoint_id=endpoint, reason=reason)
            else:
                accounts.revoke_endpoint(session, endpoint_id=endpoint, by=signing.login(session))
        if request is not None:
            _say_asked(request, as_json=as_json)
        elif as_json:
            print_json({"ok": True})
        else:
            out.print("closed", highlight=False)


@contextmanager
def _changing(
    named: str | int, adapter: str | None = None, mode: str | None = None
) -> Iterator[tuple[Session, ChannelAccount]]:
    """A transaction and the account that changes in it: by who is signed in."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts, set_up
    from revenue_engine.db import transaction

    def account(session: Session) -> ChannelAccount:
        if isinstance(named, int):
            return set_up.account_of(session, named)
        return accounts.named(session, named, adapter=adapter, mode=mode)

    with signing.signed_in(), transaction(bootstrap.engine("api")) as session:
        yield session, account(session)


@app.command("ask")
def ask(
    identifier: Annotated[str, typer.Argument(help="The shortcode, till or account.")],
    adapter: Annotated[str | None, typer.Option(help="The provider, where accounts of two have one number.")] = None,
    mode: Annotated[str | None, typer.Option(help="test or live; needed when both are registered.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask the provider now for every payment it has of the last hours, and for pushes without an end."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.collection import polling
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            account = accounts.named(session, identifier, adapter=adapter, mode=mode)
            channel_id = account.id
            polling.ask_now(session, channel_id)
        done = polling.Asker(bootstrap.engine("worker"), bootstrap.outbound_clients()).once()
        with transaction(bootstrap.engine("api")) as session:
            last = polling.last_asked(session, channel_id)
        if as_json:
            print_json({"asked": done, "last": last})
        elif last is None:
            err.print(f"{identifier} cannot be asked: its settings say nothing about asking", highlight=False)
        else:
            out.print(f"{last['what']} at {last['at']}: {last['outcome']}", highlight=False)
        if last is None:
            raise typer.Exit(FAILED)
