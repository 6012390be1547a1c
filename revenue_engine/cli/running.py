"""Commands that run the engine: init, demo, serve, intake, api, desk, worker, doctor, stop."""

from __future__ import annotations

import socket
import sys
from enum import StrEnum
from typing import Annotated

import typer

from revenue_engine.cli.output import ATTENTION, FAILED, JsonFlag, answering, err, out, print_json


class Mode(StrEnum):
    """Whether the books are for real."""

    TEST = "test"
    LIVE = "live"


def register(app: typer.Typer) -> None:
    """Add these commands to the top of the command tree."""
    app.command("init")(init)
    app.command("demo")(demo)
    app.command("serve")(serve)
    app.command("intake")(intake)
    app.command("api")(api)
    app.command("desk")(desk)
    app.command("worker")(worker)
    app.command("doctor")(doctor)
    app.command("stop")(stop)


def init(
    county: Annotated[str | None, typer.Option(help="The county whose facts are loaded.")] = None,
    mode: Annotated[Mode, typer.Option(help="test books or live books")] = Mode.TEST,
    administrator: Annotated[
        list[str] | None,
        typer.Option(help="One of the first two administrators: 'login,Full Name,staff number'. Give it twice."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Prepare everything: servers, schema, roles, logins, the county's facts and its first two administrators.

    Safe to run again. The administrators' one-time enrolment codes are shown by each run until one of them enrols."""
    import migrations
    from revenue_engine import bootstrap, embedded
    from revenue_engine.access import persons
    from revenue_engine.county import loading as counties
    from revenue_engine.db import transaction
    from revenue_engine.errors import ConfigurationError

    with answering(as_json=as_json):
        named = _administrators(administrator or [])
        settings = bootstrap.settings()
        err.print("servers: starting or re-attaching")
        servers = bootstrap.servers(make=True)
        err.print("schema: bringing it to the newest revision")
        if missing := migrations.rights_missing(servers.role_urls["migrate"]):
            raise ConfigurationError(
                "the owner of this database may not make the engine's roles, which belong to the whole PostgreSQL. Let"
                " its superuser run this once, then run init again:\n" + "\n".join(missing),
                sql=missing,
            )
        migrations.upgrade(servers.role_urls["migrate"])
        servers = embedded.create_logins(servers)
        err.print("county: loading its facts")
        with transaction(bootstrap.engine("migrate")) as session:
            models = {name: adapter.settings_model for name, adapter in bootstrap.adapters().items()}
            loaded = counties.load(
                session,
                county or settings.county,
                mode=mode.value,
                settings_models=models,
                secrets_dir=settings.secrets_dir,
            )
        with transaction(bootstrap.engine("migrate")) as session:
            first = persons.first_administrators(session, named)
        if as_json:
            codes = [{"login": one.login, "enrolment_code": one.code} for one in first]
            done = {"county": county or settings.county, "mode": mode.value, "loaded": str(loaded)}
            print_json({"ok": True, **done, "administrators": codes})
        else:
            out.print(f"[green]Ready.[/] {loaded}", highlight=False)
            for one in first:
                out.print(f"  {one.login}: enrolment code {one.code}, good once and for three days", highlight=False)
            if first:
                out.print("  Each enrols alone: revenue-engine login LOGIN --enrol", highlight=False)


def _administrators(given: list[str]) -> list[tuple[str, str, str]]:
    from revenue_engine.errors import InvalidValue

    named: list[tuple[str, str, str]] = []
    for one in given:
        login, name, staff_number, *more = [part.strip() for part in one.split(",")] + ["", "", ""]
        if not staff_number or any(more):
            raise InvalidValue("write an administrator as 'login,Full Name,staff number'", field="administrator")
        named.append((login, name, staff_number))
    if given and len(named) != 2:
        raise InvalidValue("a county begins with two administrators: give --administrator twice", field="administrator")
    return named


def demo(
    days: Annotated[int, typer.Option(min=1, max=60, help="Days of traffic.")] = 7,
    payments: Annotated[int, typer.Option(min=10, max=200_000, help="Payments in all.")] = 4_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same traffic.")] = 7,
    reset: Annotated[bool, typer.Option("--reset", help="Begin with an empty demo database.")] = False,
    serve: Annotated[
        bool | None,
        typer.Option(
            "--serve/--no-serve", help="Serve the desk after the report; on a terminal so, unless told not to."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the main job on embedded servers: days of M-PESA traffic, posted, receipted, compared with the truth."""
    from revenue_engine import bootstrap
    from revenue_engine import demo as demonstration

    with answering(as_json=as_json):
        bootstrap.configure_logging("warning")
        code = demonstration.command(
            bootstrap.settings(),
            days=days,
            payments=payments,
            seed=seed,
            reset=reset,
            serve=sys.stdout.isatty() if serve is None else serve,
            as_json=as_json,
        )
    raise typer.Exit(code)


def intake(
    listening: Annotated[int | None, typer.Option(hidden=True, help="A socket of serve that listens already.")] = None,
) -> None:
    """Receive callbacks: the small process that keeps every delivery before it answers."""
    from revenue_engine import bootstrap
    from revenue_engine.intake import server as receiving

    with answering(as_json=False):
        settings = bootstrap.settings()
        bootstrap.configure_logging(settings.log_level)
        servers = bootstrap.servers()
        url = servers.role_urls["intake"]
        receiving.run(
            settings,
            database_url=url,
            role="intake" if url == servers.database_url else None,
            adapters=bootstrap.adapters(),
            data_dir=servers.state_dir,
            listening=None if listening is None else socket.socket(fileno=listening),
        )


def api(
    listening: Annotated[int | None, typer.Option(hidden=True, help="A socket of serve that listens already.")] = None,
) -> None:
    """Answer the API that other systems of the county call; its pages are at /docs."""
    from revenue_engine import bootstrap
    from revenue_engine.api import running as answering_calls
    from revenue_engine.billing.tariffs import county
    from revenue_engine.db import transaction
    from revenue_engine.intake.listening import listen

    with answering(as_json=False):
        settings = bootstrap.settings()
        bootstrap.configure_logging(settings.log_level)
        own = listen(settings.api_host, settings.api_port, door="API") if listening is None else None
        engine = bootstrap.engine("api", answering_calls.POOL)
        with transaction(engine) as session:
            county(session)  # a wrong login or a schema that is not there ends here
        answering_calls.run(engine, own or socket.socket(fileno=listening))


def desk(
    listening: Annotated[int | None, typer.Option(hidden=True, help="A socket of serve that listens already.")] = None,
) -> None:
    """Serve the county's desk to browsers: bills, payments, papers, approvals and the close. Persons sign in there."""
    from revenue_engine import bootstrap
    from revenue_engine.billing.tariffs import county
    from revenue_engine.db import transaction
    from revenue_engine.desk import running as serving
    from revenue_engine.intake.listening import listen

    with answering(as_json=False):
        settings = bootstrap.settings()
        bootstrap.configure_logging(settings.log_level)
        own = listen(settings.desk_host, settings.desk_port, door="DESK") if listening is None else None
        engine = bootstrap.engine("api", serving.POOL)
        with transaction(engine) as session:
            county(session)  # a wrong login or a schema that is not there ends here
        if own is not None:
            err.print(f"desk: http://{settings.desk_host}:{settings.desk_port}/", highlight=False)
        address = settings.desk_url or f"http://{settings.desk_host}:{settings.desk_port}"
        serving.run(
            engine, own or socket.socket(fileno=listening), https=settings.desk_https, address=address.rstrip("/")
        )


def worker(
    threads: Annotated[int | None, typer.Option(min=1, max=64, help="Threads of this process.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due.")] = False,
) -> None:
    """Work on what was received: record, apply, receipt. Sweeps by itself; Redis only wakes it sooner."""
    from revenue_engine import bootstrap
    from revenue_engine import worker as working
    from revenue_engine.collection.polling import Asker
    from revenue_engine.db import transaction
    from revenue_engine.secondary_ledgers.keeping import Keeper
    from revenue_engine.work import jobs

    with answering(as_json=False):
        settings = bootstrap.settings()
        bootstrap.configure_logging(settings.log_level)
        servers = bootstrap.servers(bell=True)
        adapters = bootstrap.adapters()
        url = servers.role_urls["worker"]
        with transaction(bootstrap.engine("worker")) as session:
            jobs.backlog(session)  # a wrong login or a schema that is not there ends here, and is not asked for ever

        def make() -> working.Worker:
            return working.Worker(
                bootstrap.make_engine(url, "worker", shared=url == servers.database_url, pool_size=2),
                adapters,
                bootstrap.statement_readers(),
                batch=settings.worker_batch,
                lease_seconds=settings.job_lease_seconds,
                max_attempts=settings.job_max_attempts,
                secrets_dir=settings.secrets_dir,
            )

        if once:
            done = make().drain()
            out.print(f"{done} jobs done", highlight=False)
        else:
            working.run_forever(
                make,
                threads=threads or settings.worker_threads,
                redis_url=servers.redis_url or None,
                asker=Asker(
                    bootstrap.make_engine(url, "worker", shared=url == servers.database_url, pool_size=2),
                    bootstrap.outbound_clients(),
                ),
                keeper=Keeper(bootstrap.make_engine(url, "worker", shared=url == servers.database_url, pool_size=1)),
            )


def serve() -> None:
    """Run intake, worker, API and desk on this machine until Ctrl-C or SIGTERM; whatever dies is started again.

    Exit 4 where the port, the login or the schema is wrong, 5 where a server is down: nothing runs then.
    """
    from revenue_engine import bootstrap
    from revenue_engine.cli.supervising import Supervisor
    from revenue_engine.intake.listening import listen

    with answering(as_json=False):
        settings = bootstrap.settings()
        bootstrap.configure_logging(settings.log_level)
        listening = listen(settings.intake_host, settings.intake_port)
        calls = listen(settings.api_host, settings.api_port, door="API")
        pages = listen(settings.desk_host, settings.desk_port, door="DESK")
        bootstrap.servers(bell=True)
        code = Supervisor(settings, listening, calls, pages).run()
    raise typer.Exit(code)


def doctor(
    as_json: JsonFlag = False,
    strict: Annotated[bool, typer.Option("--strict", help="A warning is a failure.")] = False,
) -> None:
    """Check everything the engine stands on: one line a check, with the fix. Exit 4 for settings, 5 for servers."""
    from revenue_engine import doctor as checking

    with answering(as_json=as_json):
        checks = checking.examine()
    if as_json:
        print_json({"ok": all(check.ok for check in checks), "checks": [check.as_dict() for check in checks]})
    else:
        for check in checks:
            mark = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}[check.state]
            out.print(f"{mark} {check.name}: {check.detail}", highlight=False)
            if check.fix and check.state != "ok":
                out.print(f"    fix: {check.fix}", highlight=False)
    failed = [check for check in checks if check.state == "failed"]
    if failed:
        raise typer.Exit(max(check.exit_code for check in failed) or FAILED)
    if strict and any(check.state == "warning" for check in checks):
        raise typer.Exit(ATTENTION)


def stop(as_json: JsonFlag = False) -> None:
    """Stop the embedded servers of the state folder. The data stays."""
    from revenue_engine import bootstrap, embedded

    with answering(as_json=as_json):
        stopped = embedded.stop(bootstrap.settings())
        if as_json:
            print_json({"ok": True, "stopped": stopped})
        else:
            out.print(f"stopped: {', '.join(stopped) or 'nothing was running'}", highlight=False)
