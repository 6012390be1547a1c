"""The demo: days of M-PESA traffic through the real intake and worker, compared with the truth to the cent.

It runs in a database of its own, on the servers of the settings, through the same functions and processes as a
county would. What it proves: every delivery acknowledged is accounted for, no shilling is lost or counted twice,
and the control accounts tie.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Engine

from adapters.sandbox import mpesa
from adapters.sandbox.mpesa_people import Population
from adapters.sandbox.mpesa_provider import Provider
from reconciliation.runs import running as matching_runs
from revenue_engine import bootstrap, embedded, ledger, periods
from revenue_engine.channels import accounts as channel_accounts
from revenue_engine.config import PREFIX, Settings
from revenue_engine.county import loading as counties
from revenue_engine.db import acting_by, transaction
from revenue_engine.demo import comparing, database, finding, persons, population, processes, sending
from revenue_engine.demo.processes import Running
from revenue_engine.demo.result import DemoResult
from revenue_engine.demo.sending import Sent
from revenue_engine.embedded import Servers
from revenue_engine.errors import Retryable
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.work import jobs

__all__ = ["DemoResult", "command", "run_demo"]

STALLED_AFTER = 60.0
"""Seconds without progress after which the backlog is no longer waited for."""

WITHHELD = 50
"""Of a thousand payments, how many no callback tells of."""

Say = Callable[[str], None]


@dataclass(slots=True)
class _Stage:
    """The demo's database and the engines on it."""

    servers: Servers
    url: str
    engines: dict[str, Engine] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    shortcodes: dict[str, str] = field(default_factory=dict)
    tokens: dict[tuple[str, Purpose], str] = field(default_factory=dict)
    persons: list[persons.Made] = field(default_factory=list)
    hands: tuple[str, str] = ("", "")
    """The sessions of who brings files and of who agrees to them."""
    clerk: str = ""
    """The session of who asks that bills be cancelled."""

    def role_url(self, role: str) -> str:
        """The URL of a role's own login for the demo's database; the main login's where it has none."""
        return database.in_database(self.servers.role_urls[role], database_name(self.url))

    def engine(self, role: str) -> Engine:
        """An engine on the demo's database for a role."""
        if role not in self.engines:
            shared = self.servers.role_urls[role] == self.servers.database_url
            self.engines[role] = bootstrap.make_engine(self.role_url(role), role, shared=shared)
        return self.engines[role]

    def close(self) -> None:
        """Let every connection go."""
        for engine in self.engines.values():
            engine.dispose()


def database_name(url: str) -> str:
    """The name of the database in a URL."""
    return url.partition("://")[2].partition("/")[2].partition("?")[0]


@dataclass(slots=True)
class _Clock:
    """Seconds by phase."""

    started: float = field(default_factory=time.monotonic)
    phases: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def lap(self, phase: str) -> float:
        """End a phase; its seconds."""
        now = time.monotonic()
        self.phases[phase], self.since = round(now - self.since, 3), now
        return self.phases[phase]


def run_demo(
    settings: Settings,
    *,
    days: int = 7,
    payments: int = 4_000,
    seed: int = 7,
    reset: bool = False,
    withheld: int = WITHHELD,
    progress: Say = lambda _: None,
    after: Callable[[DemoResult, Running], None] | None = None,
    name: str = database.NAME,
) -> DemoResult:
    """Run the demo and answer its figures. The days are the last full ones, so that a day late is still today.

    ``withheld`` is how many of a thousand credits no callback tells of: a pull or a statement must. ``after`` is
    called while the processes still run; they are ended whatever happens, the servers stay. Raises Conflict when the
    database may not be used, Retryable when a process or a server does not do its part.
    """
    clock = _Clock()
    first = periods.today() - timedelta(days=days)
    progress("servers: starting or re-attaching")
    servers = embedded.ensure(settings)
    stage = _Stage(servers, database.make(servers, name, reset=reset))
    try:
        _prepare(stage, settings)
        progress(f"database {name}: schema, county and endpoints are ready ({clock.lap('prepare'):.1f} s)")
        with (
            finding.provided(sorted(stage.accounts), seed=seed, secrets=_secrets(settings)) as (provider, url),
            processes.running(_environment(stage, settings), state_dir=settings.state_dir) as running,
        ):
            with acting_by(stage.clerk):
                people = population.populate(
                    stage.engine("api"), payments_planned=payments, first=first, seed=seed, agrees=stage.hands[1]
                )
            plan = _plan(stage, people, first=first, days=days, payments=payments, seed=seed, withheld=withheld)
            with acting_by(stage.clerk):
                population.ask(stage.engine("api"), plan.pushes, accounts=stage.accounts)
            seconds = clock.lap("populate")
            progress(f"population: {len(people.bills):,} bills, {len(people.spots):,} things to buy ({seconds:.1f} s)")
            processes.wait_ready(running)
            # What bills ask of their payers' credit is settled before there is any, so that a seed makes one result.
            _wait_for_backlog(stage, running)
            clock.lap("settle")
            kept_back = plan.truth.withheld
            sent = _send(stage, running, plan, progress)
            clock.lap("send")
            _wait_for_backlog(stage, running)
            with transaction(stage.engine("worker")) as session:
                ledger.tick(session)
                ledger.snapshot(session, every=1)
            clock.lap("drain")
            if plan.truth.withheld:
                with acting_by(stage.hands[1]):
                    finding.let_ask(stage.engine("api"), provider, url, stage.accounts)
                _find(stage, running, provider, plan, progress)
                plan = finding.all_told(plan)
                clock.lap("find")
            _match(stage, running, progress, clock)
            result = _result(stage, running, plan, people, sent, clock, withheld=kept_back)
            if after is not None:
                after(result, running)
            return result
    finally:
        stage.close()


def _plan(
    stage: _Stage, people: Population, *, first: date, days: int, payments: int, seed: int, withheld: int
) -> mpesa.Plan:
    """What payers do in those days, with the truth of it."""
    return mpesa.plan(
        people,
        first=first,
        days=days,
        payments=payments,
        seed=seed,
        shortcodes=stage.shortcodes,
        withheld=withheld,
    )


def _match(stage: _Stage, running: Running, progress: Say, clock: _Clock) -> None:
    """Set by one matching run what callbacks leave to a run, because every bill must be looked at."""
    run = matching_runs.run(stage.engine("worker"), by="demo")
    _wait_for_backlog(stage, running)
    seconds = clock.lap("match")
    progress(f"matching run: {len(run.matched):,} payments left suspense for their bills ({seconds:.1f} s)")


def _prepare(stage: _Stage, settings: Settings) -> None:
    """Schema, logins, the county's facts in test mode, its persons, and the addresses that callbacks come to."""
    import migrations

    migrations.upgrade(stage.url)
    stage.servers = embedded.create_logins(stage.servers)
    models = {name: adapter.settings_model for name, adapter in bootstrap.adapters().items()}
    with transaction(stage.engine("migrate")) as session:
        counties.load(session, settings.county, mode="test", settings_models=models, by="demo")
    made = persons.make(stage.engine("migrate"), stage.engine("api"))
    stage.persons = made
    stage.hands, stage.clerk = (made[0].session, made[1].session), made[2].session
    with acting_by(stage.hands[1]), transaction(stage.engine("api")) as session:
        for account in population.channel_accounts(session):
            stage.accounts[account.identifier] = account.id
            stage.shortcodes.setdefault("", account.identifier)
            if "hospital" in account.name.lower():
                stage.shortcodes["HOSPITAL"] = account.identifier
            for purpose in (Purpose.VALIDATION, Purpose.CONFIRMATION, Purpose.PUSH_RESULT, Purpose.RESULT):
                token = channel_accounts.add_endpoint(
                    session, channel_account_id=account.id, purpose=purpose, by="demo"
                )
                stage.tokens[account.identifier, purpose] = token


def _secrets(settings: Settings) -> Path:
    """Where the secrets of the simulated provider stand; they open nothing else."""
    return settings.state_dir / "demo-secrets"


def _find(stage: _Stage, running: Running, provider: Provider, plan: mpesa.Plan, progress: Say) -> None:
    """Let the provider know what happened, ask it, and bring its statements."""
    provider.load(plan)
    api = stage.engine("api")
    finding.ask(api, stage.accounts, check=running.check)
    _wait_for_backlog(stage, running)
    with transaction(stage.engine("migrate")) as session:
        pulled = finding.found(session).pulled
    progress(f"asked: the provider told {pulled:,} payments of the last two days that no callback had told")
    files = finding.bring_statements(api, provider, plan, stage.accounts, hands=stage.hands)
    progress(f"statements: {files} files are being read and proved, line by line")
    _wait_for_backlog(stage, running, lambda left: progress(f"statements: {files - left} of {files} files done"))
    with transaction(stage.engine("migrate")) as session:
        stated = finding.found(session).stated
    progress(f"statements: {files} files told {stated:,} more")
    with transaction(stage.engine("worker")) as session:
        ledger.tick(session)
        ledger.snapshot(session, every=1)


def _environment(stage: _Stage, settings: Settings) -> dict[str, dict[str, str]]:
    """The settings of each process: its own login and no other."""
    shared = {
        f"{PREFIX}STATE_DIR": str(settings.state_dir),
        f"{PREFIX}REDIS_URL": stage.servers.redis_url,
        f"{PREFIX}LOG_LEVEL": "warning",
        f"{PREFIX}COUNTY": settings.county,
        f"{PREFIX}SECRETS_DIR": str(_secrets(settings)),
    }
    logins = {"intake": "intake", "worker": "worker", "desk": "api"}
    return {name: {**shared, f"{PREFIX}DATABASE_URL": stage.role_url(role)} for name, role in logins.items()}


def _send(stage: _Stage, running: Running, plan: mpesa.Plan, progress: Say) -> Sent:
    """Post the plan day by day."""
    sent = Sent()
    for day, hits in mpesa.days_of(plan):
        if not hits:
            continue
        started = time.monotonic()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(sending.send(hits, stage.tokens, url=running.url, sent=sent))
        running.check()
        seconds = time.monotonic() - started
        late = " (a day late)" if day == plan.first + timedelta(days=plan.days) else ""
        progress(f"{day:%a %d %b}: {len(hits):,} callbacks in {seconds:.1f} s{late}")
    return sent


TELL_EVERY = 4.0
"""Seconds between two words about a backlog that is waited for."""


def _wait_for_backlog(stage: _Stage, running: Running, tell: Callable[[int], None] = lambda _: None) -> None:
    """Wait until no work waits; ``tell`` hears now and then how much does.

    Raises Retryable when the worker makes no progress.
    """
    told = time.monotonic()
    least, moved = -1, time.monotonic()
    while True:
        running.check()
        with transaction(stage.engine("worker")) as session:
            waiting = jobs.backlog(session).ready
        if not waiting:
            return
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            tell(waiting)
        if waiting != least:
            least, moved = waiting, time.monotonic()
        elif time.monotonic() - moved > STALLED_AFTER:
            raise Retryable(f"{waiting} jobs wait and the worker does not get on with them", waiting=waiting)
        time.sleep(0.1)


def _result(
    stage: _Stage,
    running: Running,
    plan: mpesa.Plan,
    people: Population,
    sent: Sent,
    clock: _Clock,
    *,
    withheld: Sequence[mpesa.Credit],
) -> DemoResult:
    with transaction(stage.engine("migrate")) as session:
        comparison = comparing.compare(session, plan, people, sent)
        found = finding.found(session)
        comparing.compare_found(comparison, withheld, found)
    clock.lap("compare")
    named = {key for credit in plan.truth.credits for key in credit.bills}
    home = stage.shortcodes[""]
    return DemoResult(
        first=plan.first,
        last=plan.first + timedelta(days=plan.days - 1),
        payments=len(plan.truth.credits),
        callbacks=len(plan.hits),
        withheld_minor=sum(credit.amount_minor for credit in withheld),
        found=found,
        comparison=comparison,
        seconds=round(time.monotonic() - clock.started, 3),
        timings=clock.phases,
        database_url=stage.url,
        report_url=stage.role_url("report"),
        persons=stage.persons,
        callback_url=f"{running.url}/cb/v1/{stage.tokens[home, Purpose.CONFIRMATION]}",
        shortcode=home,
        some_code=next(
            (credit.reference for credit in plan.truth.standing.values() if not credit.bills and not credit.spot), ""
        ),
        open_bill=next(
            bill
            for bill in people.bills
            if bill.key not in named and not bill.cancelled and stage.shortcodes.get(bill.stream, home) == home
        ),
    )


# --- the command -----------------------------------------------------------------------------------------------------


def command(settings: Settings, *, days: int, payments: int, seed: int, reset: bool, serve: bool, as_json: bool) -> int:
    """``revenue-engine demo``: run it, print it, keep it running when asked to; the exit code."""
    from rich.console import Console

    from revenue_engine.demo import showing

    out, err = Console(), Console(stderr=True)

    def after(result: DemoResult, running: Running) -> None:
        _print(out, result, settings.state_dir, as_json=as_json)
        if serve:
            running.start("desk", more={f"{PREFIX}DESK_PORT": str(running.desk_port)})
            showing.next_steps(err if as_json else out, result)
            showing.desk(err if as_json else out, result, f"http://localhost:{running.desk_port}/")
            _until_interrupted(running)

    previous = signal.signal(signal.SIGTERM, _leave)
    try:
        result = run_demo(
            settings,
            days=days,
            payments=payments,
            seed=seed,
            reset=reset,
            progress=lambda line: err.print(line, highlight=False, style="dim"),
            after=after,
        )
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0 if result.ok else 1


def _print(out: Any, result: DemoResult, state_dir: Path, *, as_json: bool) -> None:
    import json
    import sys

    from revenue_engine.demo import leaving, showing

    if as_json:
        sys.stdout.write(json.dumps(result.as_dict(), indent=2) + "\n")
        sys.stdout.flush()
        return
    engine = bootstrap.make_engine(result.database_url, "report", shared=True)
    try:
        left = leaving.leave(engine, result, state_dir)
    finally:
        engine.dispose()
    showing.files(out, left)
    showing.commands(out, result)
    showing.show(out, result)


def _leave(*_: object) -> None:
    """SIGTERM ends the demo as Ctrl-C does, so that its processes end with it."""
    raise KeyboardInterrupt


def _until_interrupted(running: Running) -> None:
    """Keep the processes up until Ctrl-C; raises Retryable when one of them ends by itself."""
    try:
        while True:
            running.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
