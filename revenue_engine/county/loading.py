"""Loads a county's facts from its files into an empty or loaded database, and opens the accounts they need."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from revenue_engine import ledger
from revenue_engine.access import audit
from revenue_engine.billing import tariffs
from revenue_engine.billing.tariffs import County, PublicHoliday, Station, Stream, TariffLine
from revenue_engine.channels import accounts
from revenue_engine.channels.accounts import ChannelAccount
from revenue_engine.channels.settings import read_settings
from revenue_engine.county import files as county_files
from revenue_engine.county.checks import cross_check
from revenue_engine.county.files import CountyFiles, CountyRefused, Problem, Row
from revenue_engine.db import raw
from revenue_engine.errors import ConfigurationError, Conflict, InvalidValue, in_plain_words
from revenue_engine.ledger import chart
from revenue_engine.money import wire

SettingsModels = Mapping[str, type[BaseModel]]
"""Adapter name to the model that its channel accounts' settings must fit."""

_LATER = {"draft": 0, "sample": 1, "active": 1, "suspended": 2, "repealed": 3}
"""How far a tariff line has come: a file may move a stored line on, never back, and never from sample to active."""


@dataclass(slots=True)
class Loaded:
    """What a load did: rows added and tariff lines moved on, and what the database keeps against the file."""

    name: str
    mode: str
    added: dict[str, int] = field(default_factory=dict)
    tariff_lines_changed: int = 0
    accounts_opened: int = 0
    kept: list[str] = field(default_factory=list)
    """Where the file differs from what somebody has changed since the first load: the database's word stands."""

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return bool(any(self.added.values()) or self.tariff_lines_changed or self.accounts_opened)

    def __str__(self) -> str:
        said = [f"{count} {what}" for what, count in self.added.items() if count]
        if self.accounts_opened:
            said.append(f"{self.accounts_opened} accounts opened")
        if self.tariff_lines_changed:
            said.append(f"{self.tariff_lines_changed} tariff lines ended or suspended")
        lines = [f"{self.name}, {self.mode} books: {', '.join(said) or 'all of it was loaded already'}"]
        return "\n".join(lines + [f"kept: {one}" for one in self.kept])


def load(
    session: Session,
    code: str,
    *,
    mode: str = "test",
    directory: Path | None = None,
    settings_models: SettingsModels | None = None,
    secrets_dir: Path | None = None,
    by: str = "county load",
) -> Loaded:
    """Load a county's files, all of them or nothing; loading again writes nothing and undoes nobody's change.

    Raises CountyRefused with every problem at once: cells that cannot be read, rows that contradict each other, rows
    that contradict the database, samples in a live county. Policies and channel accounts are set by the first load
    only; a stored tariff line may be ended, suspended or repealed by its file, and a new amount is a new line.
    """
    if mode not in {"test", "live"}:
        raise InvalidValue("a county's books are test or live", field="mode", mode=mode)
    files, problems = county_files.read(code, directory=directory)
    problems += cross_check(files)
    problems += _not_for_mode(files, mode)
    problems += _settings_fit(files, settings_models, secrets_dir)
    if problems:
        raise CountyRefused(code, problems)
    raw(session).execute("SELECT lock_set_up()")
    loaded = Loaded(files.county["name"], mode)
    plan = _Plan(session, files, mode, loaded)
    if plan.problems:
        raise CountyRefused(code, plan.problems)
    plan.write(settings_models, secrets_dir, by)
    if loaded.changed:
        audit.record(
            session,
            actor=by,
            action="county.loaded",
            subject=code,
            facts={
                "mode": mode,
                "added": loaded.added,
                "tariff_lines_changed": plan.changes,
                "accounts_opened": loaded.accounts_opened,
            },
        )
    return loaded


# --- what must hold before anything is written -----------------------------------------------------------------------


def _not_for_mode(files: CountyFiles, mode: str) -> Iterable[Problem]:
    """A live county takes nothing that is a sample; test books take no live channel account."""
    if mode == "live":
        for row in files.tariffs:
            if row.values.get("status") == "sample":
                message = "a live county charges by a published Act: put its amount here and write active"
                yield Problem("tariffs.csv", row.line, "status", message)
        for row in files.channel_accounts:
            if row.values.get("status") == "sample":
                message = "a live county has no sample channel account: put your own here and write active"
                yield Problem("channel_accounts.toml", row.at("status"), "status", message)
    for row in files.channel_accounts:
        if mode == "test" and row.values.get("mode") == "live":
            message = "test books take no live channel account: real money belongs in live books"
            yield Problem("channel_accounts.toml", row.at("mode"), "mode", message)


def _settings_fit(files: CountyFiles, models: SettingsModels | None, secrets_dir: Path | None) -> Iterable[Problem]:
    for row in files.channel_accounts:
        if {"adapter", "mode", "settings"} <= row.values.keys():
            try:
                check_settings(
                    row["adapter"],
                    row["settings"],
                    mode=row["mode"],
                    settings_models=models,
                    secrets_dir=secrets_dir,
                )
            except (InvalidValue, ConfigurationError) as error:
                yield Problem("channel_accounts.toml", row.at("settings"), "settings", error.message)


def check_settings(
    adapter: str,
    settings: Mapping[str, Any],
    *,
    mode: str,
    settings_models: SettingsModels | None = None,
    secrets_dir: Path | None = None,
) -> None:
    """Check a channel account's settings: they fit the adapter's model where the models are given, and a live account
    does not listen to its own machine, because whoever is on it could then speak for the provider.

    Raises InvalidValue.
    """
    if settings_models is not None:
        model = settings_models.get(adapter)
        if model is None:
            raise InvalidValue(
                f"no adapter {adapter!r} is installed; there are: {', '.join(sorted(settings_models))}", field="adapter"
            )
        try:
            read_settings(model, settings, secrets_dir=secrets_dir)
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {in_plain_words(one)}" for one in error.errors())
            raise InvalidValue(f"the settings do not fit: {said}", field="settings") from error
    peers = settings.get("peers", ())
    for peer in peers if isinstance(peers, list | tuple) else ():
        try:
            network = ipaddress.ip_network(str(peer), strict=False)
        except ValueError as error:
            raise InvalidValue(f"peers: {peer!r} is no address or network", field="settings") from error
        if mode == "live" and (network.is_loopback or network.prefixlen == 0):
            raise InvalidValue(f"peers: a live account does not listen to {peer}", field="settings")


# --- comparing with what is stored, and writing ----------------------------------------------------------------------


class _Plan:
    """What is new, what moves on, and what contradicts the database. Nothing is written before all is known."""

    def __init__(self, session: Session, files: CountyFiles, mode: str, loaded: Loaded) -> None:
        self.session = session
        self.files = files
        self.loaded = loaded
        self.problems: list[Problem] = []
        self.new: list[County | Stream | Station | TariffLine | PublicHoliday] = []
        self.moved: list[tuple[TariffLine, Row]] = []
        self.new_channels: list[Row] = []
        self._county(mode)
        if self.problems:  # another county's database, or another mode's: comparing the rest says nothing more
            return
        self._same("streams.csv", files.streams, Stream, "code")
        self._same("stations.csv", files.stations, Station, "code")
        self._tariffs()
        self._holidays()
        self._channels()

    def _contradicts(self, file: str, row: Row, column: str, stored: object) -> None:
        message = f"the database holds {stored!s} here, and what was loaded is not changed by a file"
        self.problems.append(Problem(file, row.at(column), column, message))

    def _county(self, mode: str) -> None:
        row = self.files.county
        stored = self.session.scalars(select(County)).one_or_none()
        if stored is None:
            self.new.append(
                County(
                    code=row["code"],
                    name=row["name"],
                    books_open_from=row["books_open_from"],
                    refuse_unknown_accounts=row["refuse_unknown_accounts"],
                    confirm_limit_minor=row["confirm_limit"],
                    mode=mode,
                )
            )
            return
        if stored.code != row["code"]:
            self._contradicts("county.toml", row, "code", stored.code)
        if stored.mode != mode:
            message = f"this database keeps {stored.mode} books; {mode} books need a database of their own"
            self.problems.append(Problem("county.toml", row.line, "", message))
        if stored.books_open_from != row["books_open_from"]:
            self._contradicts("county.toml", row, "books_open_from", stored.books_open_from)
        for key, kept, asked in (
            ("name", stored.name, row["name"]),
            ("refuse_unknown_accounts", stored.refuse_unknown_accounts, row["refuse_unknown_accounts"]),
            ("confirm_limit", wire(stored.confirm_limit_minor), wire(row["confirm_limit"])),
        ):
            if kept != asked:
                self.loaded.kept.append(f"county.toml: {key} is {kept} in the database, {asked} in the file")

    def _same(self, file: str, rows: list[Row], kind: type[Stream | Station], key: str) -> None:
        stored = {getattr(one, key): one for one in self.session.scalars(select(kind))}
        for row in rows:
            known = stored.get(row[key])
            if known is None:
                self.new.append(kind(**row.values))
                continue
            for column, value in row.values.items():
                if getattr(known, column) != value:
                    self._contradicts(file, row, column, getattr(known, column))

    def _tariffs(self) -> None:
        stored = {(one.item_code, one.effective_from): one for one in self.session.scalars(select(TariffLine))}
        for row in self.files.tariffs:
            known = stored.get((row["item_code"], row["effective_from"]))
            if known is None:
                values = {column: value for column, value in row.values.items() if column != "amount"}
                self.new.append(TariffLine(amount_minor=row["amount"], **values))
                continue
            for column in ("stream_code", "name", "unit", "law", "spot"):
                if getattr(known, column) != row[column]:
                    self._contradicts("tariffs.csv", row, column, getattr(known, column))
            if known.amount_minor != row["amount"]:
                self._contradicts("tariffs.csv", row, "amount", wire(known.amount_minor))
            self._move_on(known, row)
        asked = {(row["item_code"], row["effective_from"]) for row in self.files.tariffs}
        others = [line for key, line in stored.items() if key not in asked]
        for row in self.files.tariffs:
            for other in others:
                if other.item_code == row["item_code"] and _overlap(other, row):
                    message = f"the database has {other.item_code} in force from {other.effective_from} on, of no file"
                    self.problems.append(Problem("tariffs.csv", row.line, "effective_from", message))

    def _move_on(self, known: TariffLine, row: Row) -> None:
        """A line may be ended or suspended by its file; one that was, by whoever may, is not brought back by it."""
        moves = False
        if known.effective_to != row["effective_to"]:
            if known.effective_to is None:
                moves = True
            elif row["effective_to"] is None:
                self._keep(row, "effective_to", known.effective_to, "open")
            else:
                self._contradicts("tariffs.csv", row, "effective_to", known.effective_to)
        if known.status != row["status"]:
            if _LATER[row["status"]] > max(_LATER[known.status], 1):
                moves = True
            elif _LATER[row["status"]] < _LATER[known.status]:
                self._keep(row, "status", known.status, row["status"])
            else:
                self._contradicts("tariffs.csv", row, "status", known.status)
        if moves:
            self.moved.append((known, row))

    def _keep(self, row: Row, column: str, kept: object, asked: object) -> None:
        self.loaded.kept.append(f"tariffs.csv:{row.line}: {column} is {kept} in the database, {asked} in the file")

    def _holidays(self) -> None:
        stored = {one.day: one for one in self.session.scalars(select(PublicHoliday))}
        for row in self.files.holidays:
            if row["day"] not in stored:
                self.new.append(PublicHoliday(**row.values))
            elif stored[row["day"]].name != row["name"]:
                self._contradicts("holidays.csv", row, "name", stored[row["day"]].name)

    def _channels(self) -> None:
        for row in self.files.channel_accounts:
            known = accounts.find_channel_account(
                self.session, adapter=row["adapter"], identifier=row["identifier"], mode=row["mode"]
            )
            if known is None:
                if row["mode"] == "live" and not self.new_county:
                    message = "the books are open: another person agrees to a live account ('channel add --live')"
                    self.problems.append(Problem("channel_accounts.toml", row.line, "mode", message))
                self.new_channels.append(row)
                continue
            for column in ("name", "status", "settings"):
                if getattr(known, column) != row[column]:
                    where = f"channel_accounts.toml:{row.line}"
                    self.loaded.kept.append(f"{where}: the {column} of {row['identifier']} was changed since")

    @property
    def new_county(self) -> bool:
        """Whether the books begin with these files."""
        return any(isinstance(one, County) for one in self.new)

    @property
    def changes(self) -> list[str]:
        """The tariff lines that move on, for the audit trail."""
        return [f"{line.item_code} of {line.effective_from}" for line, _ in self.moved]

    def write(self, settings_models: SettingsModels | None, secrets_dir: Path | None, by: str) -> None:
        """Write everything that is new, in the order in which rows lean on each other."""
        count = self.loaded.added
        for kind, what in (
            (County, "county"),
            (Stream, "streams"),
            (Station, "stations"),
            (TariffLine, "tariff lines"),
            (PublicHoliday, "public holidays"),
        ):
            rows = [one for one in self.new if isinstance(one, kind)]
            count[what] = len(rows)
            self.session.add_all(rows)
            self.session.flush()
        for line, row in self.moved:
            line.effective_to = line.effective_to if row["effective_to"] is None else row["effective_to"]
            if _LATER[row["status"]] > _LATER[line.status]:
                line.status = row["status"]
        self.session.flush()
        self.loaded.tariff_lines_changed = len(self.moved)
        self.loaded.accounts_opened = open_accounts(self.session)
        for row in self.new_channels:
            add_channel_account(
                self.session, **row.values, settings_models=settings_models, secrets_dir=secrets_dir, by=by
            )
        count["channel accounts"] = len(self.new_channels)
        self.loaded.accounts_opened += len(self.new_channels)


def _overlap(stored: TariffLine, row: Row) -> bool:
    """Whether a stored line and a line of the file are in force on one day."""
    begins_in_time = stored.effective_to is None or row["effective_from"] < stored.effective_to
    ends_too_late = row["effective_to"] is None or stored.effective_from < row["effective_to"]
    return begins_in_time and ends_too_late


# --- accounts and channels -------------------------------------------------------------------------------------------


def open_accounts(session: Session) -> int:
    """Open every account that is missing: the control accounts, those of each stream, the clearing account of each
    channel account. Answers how many were opened; opening them again opens none."""
    specs = list(chart.CONTROL_ACCOUNTS)
    for code, name in session.execute(select(Stream.code, Stream.name).order_by(Stream.code)):
        specs += chart.stream_accounts(code, name)
    for account in session.scalars(select(ChannelAccount).order_by(ChannelAccount.id)):
        specs.append(chart.clearing_account(account.clearing_account.partition(".")[2], account.name))
    return ledger.open_accounts(session, specs)


def add_channel_account(
    session: Session,
    *,
    adapter: str,
    identifier: str,
    mode: str,
    name: str,
    settings: Mapping[str, Any],
    status: str = "active",
    settings_models: SettingsModels | None = None,
    secrets_dir: Path | None = None,
    by: str = "setup",
) -> ChannelAccount:
    """Register a way to pay and open its clearing account, ``1200.<adapter>-<identifier>`` (``-test`` when test).

    Raises InvalidValue for a malformed field or settings that do not fit; Conflict when it is registered already, when
    it is a sample and the county is live, or when it is live and the county keeps test books.
    """
    county = tariffs.county(session)
    if county.mode == "live" and status == "sample":
        raise Conflict("a live county has no sample channel account", field="status")
    if county.mode == "test" and mode == "live":
        raise Conflict("test books take no live channel account: real money belongs in live books", field="mode")
    check_settings(adapter, settings, mode=mode, settings_models=settings_models, secrets_dir=secrets_dir)
    named = f"{adapter}-{identifier}{'' if mode == 'live' else f'-{mode}'}"
    with session.begin_nested():  # an account without its channel is not left behind
        ledger.open_accounts(session, [*chart.CONTROL_ACCOUNTS, chart.clearing_account(named, name)])
        return accounts.add_channel_account(
            session,
            adapter=adapter,
            identifier=identifier,
            mode=mode,
            name=name,
            settings=settings,
            status=status,
            clearing_account=chart.clearing(named),
            by=by,
        )
