"""``login|logout|whoami``, ``user ...`` and ``token ...``: who is at the keyboard, and who may be."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import JsonFlag, answering, err, out, print_json, table_of

user_app = typer.Typer(help="Persons and their roles. Two administrators agree to each change.", no_args_is_help=True)
token_app = typer.Typer(help="Tokens of services, which hold no judgement.", no_args_is_help=True)

_Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]
_Place = Annotated[str | None, typer.Option("--sub-county", help="Only there; the whole county by default.")]
_Directorate = Annotated[str | None, typer.Option(help="Of a department officer.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("whoami")(whoami)
    app.add_typer(user_app, name="user")
    app.add_typer(token_app, name="token")


def login(
    name: Annotated[str | None, typer.Argument(metavar="[LOGIN]", help="Your login.")] = None,
    code: Annotated[bool, typer.Option("--code", help="Only a fresh code, for the session you are in.")] = False,
    enrol: Annotated[
        bool, typer.Option("--enrol", help="The first time: enrolment code, a new password, your authenticator.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Sign in. The password, then the code of the authenticator, are read from standard input, a line each."""
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import acting_by
    from revenue_engine.errors import InvalidValue

    with answering(as_json=as_json):
        engine = bootstrap.engine("api")
        if code:
            with signing.signed_in():
                signing.write(sessions.step_up(engine, code=signing.typed("code").strip()))
        elif name is None:
            raise InvalidValue("say who you are: revenue-engine login YOUR-LOGIN", field="login")
        elif enrol:
            _enrol(name, as_json=as_json)
            return
        else:
            password = signing.typed("password")
            with acting_by(None):
                secret = sessions.sign_in(
                    engine, login=name, password=password, code=signing.typed("code").strip(), source=signing.source()
                )
            signing.write(secret)
        _say_who(as_json=as_json)


def _enrol(name: str, *, as_json: bool) -> None:
    from revenue_engine import bootstrap
    from revenue_engine.access import passwords, sessions
    from revenue_engine.db import transaction

    enrolment = signing.typed("enrolment code")
    password = signing.typed("new password")
    passwords.check_new_password(password, login=name)
    seed = passwords.fresh_seed()
    link = passwords.authenticator_link(seed, login=name)
    err.print("Add this to your authenticator, then type the code it shows:", highlight=False)
    out.file.write(f"{link}\n")
    out.file.flush()
    with transaction(bootstrap.engine("api")) as session:
        done = sessions.enrol(
            session, login=name, enrolment=enrolment, password=password, seed=seed, code=signing.typed("code")
        )
    if as_json:
        print_json({"ok": True, "login": name, "recovery_codes": list(done.recovery_codes)})
        return
    out.print(f"[green]{name} is enrolled.[/] Ten codes for the day the authenticator is lost, each good once,")
    out.print("shown this once:")
    for spare in done.recovery_codes:
        out.print(f"  {spare}", highlight=False)


def _say_who(*, as_json: bool) -> None:
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import acting_by, transaction

    with acting_by(signing.read()), transaction(bootstrap.engine("api")) as session:
        me = sessions.whoami(session)
    answer = {
        "ok": True,
        "login": me.login,
        "name": me.name,
        "kind": me.kind,
        "roles": list(me.roles),
        "session_ends": me.ends_at and me.ends_at.isoformat(timespec="seconds"),
        "code_given": me.stepped_up_at and me.stepped_up_at.isoformat(timespec="seconds"),
        "recovery_codes_left": me.recovery_codes,
    }
    if as_json:
        print_json(answer)
    else:
        out.print(f"[bold]{me.login}[/] {me.name}: {', '.join(me.roles) or me.kind}", highlight=False)
        if me.ends_at:
            out.print(f"  until {me.ends_at:%Y-%m-%d %H:%M %Z}; idle for fifteen minutes it ends", highlight=False)


def logout(as_json: JsonFlag = False) -> None:
    """End the session and remove its file."""
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import acting_by, transaction

    with answering(as_json=as_json):
        with acting_by(signing.read()), transaction(bootstrap.engine("api")) as session:
            ended = sessions.sign_out(session)
        signing.forget()
        _done({"ok": True, "ended": ended}, "signed out" if ended else "nobody was signed in", as_json=as_json)


def whoami(as_json: JsonFlag = False) -> None:
    """Say who is signed in, with which roles and until when. Exit 1 when nobody is, with the reason."""
    with answering(as_json=as_json), signing.signed_in():
        _say_who(as_json=as_json)


def _done(answer: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        out.print(words, highlight=False)


def _ask(kind: str, subject: str, payload: dict[str, Any], reason: str, *, as_json: bool) -> None:
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = approvals.ask(session, kind, subject=subject, payload=payload, reason=reason)
        words = f"asked as {public}; another administrator: revenue-engine approval agree {public}"
        _done({"ok": True, "request": public}, words, as_json=as_json)


def _without_nothing(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if value is not None}


@user_app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="LOGIN", help="Such as a.odera.")],
    full_name: Annotated[str, typer.Option("--name", help="Full name.")],
    staff_number: Annotated[str, typer.Option(help="The county's number of this person: one person, one account.")],
    role: Annotated[str, typer.Option(help="clerk, cashier, supervisor, finance_officer, auditor, ...")],
    reason: _Reason,
    sub_county: _Place = None,
    directorate: _Directorate = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask for a new person. Once another administrator agreed, each of the two fetches half of the enrolment code."""
    payload = {"login": name, "name": full_name, "staff_number": staff_number, "role": role}
    more = {"sub_county": sub_county, "directorate": directorate}
    _ask("person_add", name, _without_nothing(payload | more), reason, as_json=as_json)


@user_app.command("reset")
def reset(name: Annotated[str, typer.Argument(metavar="LOGIN")], reason: _Reason, as_json: JsonFlag = False) -> None:
    """Ask that a person enrol anew: a lost password or authenticator, or a disabled person who comes back."""
    _ask("person_reset", name, {"login": name}, reason, as_json=as_json)


@user_app.command("grant")
def grant(
    name: Annotated[str, typer.Argument(metavar="LOGIN")],
    role: str,
    reason: _Reason,
    sub_county: _Place = None,
    directorate: _Directorate = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask for a role of a person."""
    payload = {"login": name, "role": role, "sub_county": sub_county, "directorate": directorate}
    _ask("role_grant", name, _without_nothing(payload), reason, as_json=as_json)


@user_app.command("end-role")
def end_role(
    name: Annotated[str, typer.Argument(metavar="LOGIN")],
    role: str,
    reason: _Reason,
    sub_county: _Place = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask for the end of a person's role."""
    payload = {"login": name, "role": role, "sub_county": sub_county}
    _ask("role_end", name, _without_nothing(payload), reason, as_json=as_json)


@user_app.command("half")
def half(request: Annotated[str, typer.Argument(help="The agreed request.")], as_json: JsonFlag = False) -> None:
    """Fetch your half of a new person's enrolment code: one for who asked, one for who agreed, shown this once."""
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            name, mine, first = approvals.enrolment_half(session, request)
        place = "first" if first else "second"
        words = f"{place} half of the enrolment code of {name}: {mine}\nThe whole code is first-second, with a dash."
        _done({"ok": True, "login": name, "half": mine, "place": place}, words, as_json=as_json)


@user_app.command("disable")
def disable(name: Annotated[str, typer.Argument(metavar="LOGIN")], reason: _Reason, as_json: JsonFlag = False) -> None:
    """Shut a person out now: every session ends. One administrator may; to let them back takes two ('user reset')."""
    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            persons.disable(session, name, why=reason)
        _done({"ok": True, "login": name, "state": "disabled"}, f"{name} is shut out", as_json=as_json)


@user_app.command("end-sessions")
def end_sessions(name: Annotated[str, typer.Argument(metavar="LOGIN")], as_json: JsonFlag = False) -> None:
    """End every session of a person: your own, or as an administrator anybody's."""
    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            ended = persons.end_sessions(session, name)
        _done({"ok": True, "ended": ended}, f"{ended} sessions ended", as_json=as_json)


@user_app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """List persons, their roles and how they stand."""
    from dataclasses import asdict

    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = persons.listed(session)
        if as_json:
            print_json([asdict(one) for one in found])
            return
        table = table_of("login", "name", "staff number", "roles", "state")
        for one in found:
            table.add_row(one.login, one.name, one.staff_number, ", ".join(one.roles), one.state)
        out.print(table)


@token_app.command("issue")
def issue(
    service: Annotated[str, typer.Argument(help="Login of the service, made where it is new.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it lasts.")] = 90,
    as_json: JsonFlag = False,
) -> None:
    """Issue a token of a service. It is shown this once; put it into the service's REVENUE_TOKEN_FILE."""
    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            secret = persons.issue_token(session, service, days=days)
        _done({"ok": True, "service": service, "token": secret}, secret, as_json=as_json)


@token_app.command("revoke")
def revoke(number: Annotated[int, typer.Argument(help="From 'token list'.")], as_json: JsonFlag = False) -> None:
    """End a token at once."""
    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            persons.revoke_token(session, number)
        _done({"ok": True, "token": number, "state": "revoked"}, f"token {number} is revoked", as_json=as_json)


@token_app.command("allow")
def allow(
    service: Annotated[str, typer.Argument(help="Login of the service.")],
    scope: Annotated[str, typer.Argument(help="read, bill.issue, payer.register, push.request or export.")],
    reason: _Reason,
    as_json: JsonFlag = False,
) -> None:
    """Ask that a service may do something; another administrator agrees."""
    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = persons.ask_scope(session, service, scope, reason=reason)
        words = f"asked as {public}; another administrator: revenue-engine approval agree {public}"
        _done({"ok": True, "request": public}, words, as_json=as_json)


@token_app.command("forbid")
def forbid(service: str, scope: str, as_json: JsonFlag = False) -> None:
    """Take a scope from a service at once."""
    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            persons.end_scope(session, service, scope)
        _done({"ok": True, "service": service, "scope": scope}, f"{service} may not {scope} any more", as_json=as_json)


@token_app.command("list")
def tokens(as_json: JsonFlag = False) -> None:
    """List the tokens of services and what each service may do, without their secrets."""
    from dataclasses import asdict

    from revenue_engine import bootstrap
    from revenue_engine.access import persons
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found, may = persons.tokens(session), persons.scopes(session)
        if as_json:
            print_json([{**asdict(one), "scopes": may.get(one.service, [])} for one in found])
            return
        table = table_of("token", "service", "may", "issued by", "ends", "state")
        for one in found:
            scopes = ", ".join(may.get(one.service, ())) or "nothing yet"
            table.add_row(str(one.number), one.service, scopes, one.issued_by, f"{one.ends_at:%Y-%m-%d}", one.state)
        out.print(table)
