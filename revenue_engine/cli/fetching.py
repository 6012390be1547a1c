"""``statement fetch``: take statement files from where banks put them; ``drop ...``: where that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import (
    ATTENTION,
    CONFIGURATION,
    DEPENDENCY,
    FAILED,
    JsonFlag,
    answering,
    err,
    out,
    print_json,
    table_of,
)

if TYPE_CHECKING:
    from revenue_engine.statements.fetching import Look

app = typer.Typer(help="Folders where banks put statement files.", no_args_is_help=True)


def register(statements: typer.Typer) -> None:
    """Put ``fetch`` under the noun of statements."""
    statements.command("fetch")(fetch)


def fetch(
    account: Annotated[str | None, typer.Option(help="Only the drop that speaks for this account.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once into each drop, now, and end.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Fetch statement files from banks, on the schedule of each drop until stopped. This process alone holds the login
    that may keep what banks deliver. With --once: exit 3 when a file was refused, 1 when a server was not the one
    agreed to or said no, 4 for a setting of ours, 5 for a server that is away."""
    import signal
    import threading

    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.db import transaction
    from revenue_engine.statements import fetching

    with answering(as_json=as_json):
        bootstrap.configure_logging("warning" if once else bootstrap.settings().log_level)
        engine = bootstrap.engine("fetch")
        with transaction(engine) as session:
            wanted = None if account is None else accounts.id_of(session, account)
        fetcher = fetching.Fetcher(engine, bootstrap.drop_client, bootstrap.statement_readers())
        if not once:
            stop = threading.Event()
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, lambda *_: stop.set())
            fetcher.run(stop, account_id=wanted)
            return
        looks = fetcher.once(account_id=wanted)
        if as_json:
            print_json({"ok": all(_code(look) == 0 for look in looks), "drops": [_wire(look) for look in looks]})
        else:
            _show(looks)
        worst = max((_code(look) for look in looks), default=0)
        if worst:
            raise typer.Exit(worst)


def _code(look: Look) -> int:
    """The exit code that a look means."""
    if look.outcome == "seen":
        return ATTENTION if look.count("refused") else 0
    return {"away": DEPENDENCY, "settings": CONFIGURATION}.get(look.outcome, FAILED)


def _wire(look: Look) -> dict[str, Any]:
    return {
        "drop": look.drop,
        "outcome": look.outcome.value,
        "reason": look.reason,
        "listed": look.listed,
        "files": [
            {
                "name": file.name,
                "what": file.what,
                "reason": file.reason,
                "again": file.again,
                "deliveries": list(file.deliveries),
            }
            for file in look.files
        ],
    }


def _show(looks: list[Look]) -> None:
    if not looks:
        err.print("no drop is set up: see 'revenue-engine drop ask --help'", highlight=False)
    for look in looks:
        if look.outcome != "seen":
            err.print(f"[bold red]{look.drop}:[/] {look.reason}", highlight=False)
        else:
            out.print(f"{look.drop}: {look.listed} in the folder, {look.count('taken')} new", highlight=False)
        for file in look.files:
            out.print(f"  {file.what:8} {file.name}  {file.reason}", highlight=False, markup=False)


@app.callback()
def _nouns() -> None:
    """Folders where banks put statement files."""


_Name = Annotated[str, typer.Argument(help="What we call the drop, such as kcb-daily.")]
_Reason = Annotated[str, typer.Option(help="Why; who agrees reads it.")]


@app.command("ask")
def ask(
    name: _Name,
    host: Annotated[str, typer.Option(help="The bank's server.")],
    username: Annotated[str, typer.Option(help="The login that the bank gave.")],
    key_file: Annotated[str, typer.Option(help="The file of our private key, by its name in REVENUE_SECRETS_DIR.")],
    host_key: Annotated[
        list[Path],
        typer.Option(help="A file with the bank's public host key, from its letter. Again for a second key."),
    ],
    account: Annotated[list[str], typer.Option(help="An account that the drop speaks for; again for more.")],
    reason: _Reason,
    port: Annotated[int, typer.Option(help="The server's port.")] = 22,
    folder: Annotated[str, typer.Option(help="The folder at the bank.")] = ".",
    temporary: Annotated[
        str, typer.Option(help="The ending that files have while the bank writes them, such as .part; then renamed.")
    ] = "",
    settle_seconds: Annotated[int, typer.Option(help="How long a file's size and time must stay the same.")] = 30,
    every_minutes: Annotated[int, typer.Option(help="How often to look.")] = 10,
    largest_mib: Annotated[int, typer.Option(help="The largest file that is taken, in MiB.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Ask that statement files be fetched from a bank, or that it be done otherwise. Another person agrees
    ('approval agree'), after comparing the fingerprint with the bank's letter."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue
    from revenue_engine.statements import drops

    with answering(as_json=as_json), signing.signed_in():
        try:
            keys = [line for path in host_key for line in path.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValue(f"the file of the host key cannot be read: {error}", field="host_key") from error
        with transaction(bootstrap.engine("api")) as session:
            public = drops.ask(
                session,
                name=name,
                host=host,
                port=port,
                username=username,
                key_file=key_file,
                host_keys=keys,
                account_ids=[accounts.id_of(session, one) for one in account],
                folder=folder,
                temporary=temporary,
                settle_seconds=settle_seconds,
                every_minutes=every_minutes,
                largest_bytes=largest_mib * 1024 * 1024,
                reason=reason,
            )
        _asked(public, as_json=as_json)


@app.command("end")
def end(name: _Name, reason: _Reason, as_json: JsonFlag = False) -> None:
    """Ask that nothing more be fetched from a drop. Another person agrees."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.statements import drops

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = drops.ask_end(session, name, reason=reason)
        _asked(public, as_json=as_json)


def _asked(public: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "request": public, "stands": "waiting"})
    else:
        out.print(
            f"asked as {public}; another person looks with 'revenue-engine approval show {public}'", highlight=False
        )


@app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """List the drops: where they are, for which accounts, and what the last look found."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts
    from revenue_engine.db import transaction
    from revenue_engine.statements import drops

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            names = accounts.identifiers_of_all(session)
            found = [
                one._asdict()
                | {"accounts": [names[account] for account in one.account_ids]}
                | {"fingerprints": [drops.fingerprint(key) for key in one.host_keys]}
                for one in drops.listed(session)
            ]
        if as_json:
            print_json([{name: value for name, value in one.items() if name != "account_ids"} for one in found])
            return
        table = table_of("drop", "where", "accounts", "last look", "how it ended", "taken", "refused")
        for one in found:
            where = f"{one['username']}@{one['host']}:{one['port']} {one['folder']}"
            looked = one["looked_at"].isoformat(timespec="seconds") if one["looked_at"] else "never"
            ended = " ".join(filter(None, (one["outcome"], one["reason"]))) if one["active"] else "not fetched any more"
            table.add_row(
                one["name"], where, ", ".join(one["accounts"]), looked, ended, str(one["taken"]), str(one["refused"])
            )
        out.print(table)


@app.command("files")
def files(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many, newest first.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the files that were met in drops: taken, known by other names, refused and why."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.statements import drops

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            found = [one._asdict() for one in drops.files(session, limit=limit)]
        if as_json:
            print_json(found)
            return
        table = table_of("drop", "file", "bytes", "fetched", "what", "why", "deliveries")
        for one in found:
            table.add_row(
                one["drop_name"],
                one["name"],
                f"{one['size']:,}",
                one["fetched_at"].isoformat(timespec="seconds"),
                one["outcome"],
                one["reason"],
                " ".join(map(str, one["delivery_ids"])),
            )
        out.print(table)
