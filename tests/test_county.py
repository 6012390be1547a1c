"""A county's facts: what comes with the engine, what is refused and where, and what a second load leaves alone."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from adapters import mpesa
from reconciliation import ladder
from revenue_engine import ledger, periods
from revenue_engine.billing import open_bills, tariffs
from revenue_engine.billing.tariffs import spot_match
from revenue_engine.channels import accounts as channel_accounts
from revenue_engine.county import files, loading
from revenue_engine.county.files import CountyRefused
from revenue_engine.db import make_engine, raw, transaction
from revenue_engine.errors import Conflict, InvalidValue, NotFound
from revenue_engine.ledger import chart

BUSIA = files.HERE / "busia"
MODELS: loading.SettingsModels = {"mpesa": mpesa.MpesaSettings}


@pytest.fixture
def engine(database: Any) -> Iterator[Engine]:
    made = make_engine(database.url, pool_size=0)  # as init does it
    yield made
    made.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of Busia's files to spoil."""
    return Path(shutil.copytree(BUSIA, tmp_path / "busia"))


def spoil(folder: Path, file: str, old: str, new: str) -> int:
    """Replace the first ``old`` in a file and answer its line."""
    text = (folder / file).read_text()
    assert old in text, old
    (folder / file).write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def refused(engine: Engine, folder: Path, mode: str = "test") -> list[str]:
    with transaction(engine) as session, pytest.raises(CountyRefused) as error:
        loading.load(session, "busia", directory=folder, settings_models=MODELS, mode=mode)
    return [str(problem) for problem in error.value.problems]


def row_counts(engine: Engine) -> tuple[Any, ...]:
    tables = (
        "county",
        "stream",
        "station",
        "tariff_line",
        "public_holiday",
        "account",
        "channel_account",
        "audit_event",
    )
    with transaction(engine) as session:
        # Making the database itself leaves audit rows of what its triggers saw.
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables[:-1])
        counts += ", (SELECT count(*) FROM audit_event WHERE action LIKE 'county.%')"
        return tuple(raw(session).execute(f"SELECT {counts}").fetchone() or ())  # type: ignore[arg-type]


# --- what comes with the engine --------------------------------------------------------------------------------------


def test_busia_loads_whole_as_a_test_county_and_again_changes_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        loaded = loading.load(session, "busia", settings_models=MODELS)
    assert loaded.added == {
        "county": 1,
        "streams": 21,
        "stations": 34,
        "tariff lines": 108,
        "public holidays": 47,
        "channel accounts": 2,
    }
    assert "Busia County, test books: 1 county, 21 streams" in str(loaded)
    before = row_counts(engine)
    with transaction(engine) as session:
        again = loading.load(session, "busia", settings_models=MODELS)
    assert not again.changed
    assert str(again) == "Busia County, test books: all of it was loaded already"
    assert row_counts(engine) == before
    with transaction(engine) as session:
        stored = tariffs.county(session)
        assert (stored.mode, stored.books_open_from, stored.confirm_limit_minor) == (
            "test",
            date(2026, 7, 1),
            25_000_000,
        )
        assert {one.mode for one in channel_accounts.channels(session).values()} == {"test"}
        assert not ledger.trial_balance(session)


def test_every_stream_has_its_accounts_and_every_channel_its_clearing(engine: Engine) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        rows = raw(session).execute("SELECT code, parent FROM account").fetchall()
        accounts = dict(rows)
        for code in session.scalars(tariffs.select(tariffs.Stream.code)):
            assert accounts[f"1300.{code}"] == "1300"
            assert {f"4000.{code}.{component}" for component in chart.COMPONENTS} <= accounts.keys()
        assert [one.clearing_account for one in channel_accounts.channels(session).values()] == [
            "1200.mpesa-600100-test",
            "1200.mpesa-600101-test",
        ]
        assert accounts["1200.mpesa-600100-test"] == "1200"
        assert loading.open_accounts(session) == 0


def test_busia_is_plausible(engine: Engine) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        notes = {row[0] for row in raw(session).execute("SELECT DISTINCT note FROM stream")}
        assert {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13} == notes
        kept = dict(
            raw(session).execute("SELECT code, retained_by FROM stream WHERE retained_by <> 'county'").fetchall()
        )
        assert kept == {"HOSPITAL": "facility", "TRAILERPPP": "concession"}
        places = raw(session).execute("SELECT count(DISTINCT sub_county), count(DISTINCT ward) FROM station").fetchone()
        assert places is not None
        assert places[0] == 7
        statuses = {row[0] for row in raw(session).execute("SELECT DISTINCT status FROM tariff_line")}
        assert statuses == {"sample", "suspended"}  # no amount here is from a published Act
        holidays = tariffs.holidays(session)
    assert {date(2026, 12, 25), date(2024, 10, 21), date(2025, 6, 2), date(2027, 3, 26)} <= holidays
    assert {day.year for day in holidays} == {2024, 2025, 2026, 2027}
    assert periods.add_working_days(date(2026, 12, 23), 2, holidays) == date(2026, 12, 28)


def test_the_truck_entry_fee_lived_four_days(engine: Engine) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        charged = tariffs.assess(session, item_code="TRAILER.IN", quantity=1, on=date(2024, 10, 31))
        assert charged.amount_minor == 40_000
        with pytest.raises(NotFound, match="suspended"):
            tariffs.assess(session, item_code="TRAILER.IN", quantity=1, on=date(2024, 11, 1))


@pytest.mark.parametrize(
    ("stream", "amount", "item", "quantity"),
    [
        ("TRAILER", 30_000, "TRAILER.RIGID", 1),
        ("TRAILER", 40_000, "TRAILER.SEMI", 1),
        ("TRAILER", 50_000, "TRAILER.DRAWBAR", 1),
        ("MARKET", 5_000, "MARKET.TRADER", 1),
        ("MARKET", 6_000, "MARKET.BUNDLE", 3),
        ("BUSPARK", 10_000, "BUSPARK.MATATU", 1),
        ("CESS", 25_000, "CESS.MAIZE", 5),
    ],
)
def test_spot_amounts_of_busia_buy_one_thing(
    engine: Engine, stream: str, amount: int, item: str, quantity: int
) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        found = spot_match(tariffs.spot_lines(session, on=date(2026, 11, 20), stream_code=stream), amount)
        assert found is not None
        assert (found.line.item_code, found.quantity) == (item, quantity)


def test_every_spot_stream_has_a_station_and_distinct_prices(engine: Engine) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        stations = {row[0] for row in raw(session).execute("SELECT DISTINCT stream_code FROM station")}
        by_stream: dict[str, list[int]] = {}
        for line in tariffs.spot_lines(session, on=date(2026, 11, 20)):
            by_stream.setdefault(line.stream_code, []).append(line.amount_minor)
    assert by_stream.keys() <= stations
    for amounts in by_stream.values():
        assert len(amounts) == len(set(amounts))


@pytest.mark.parametrize("typed", ["{0}", "{0} KDA123A", "kda 123a {0}", "{0}, stall 4"])
def test_every_station_of_busia_is_known_by_its_code_and_by_its_name(engine: Engine, typed: str) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        keys, streams = open_bills.stations(session)
        prefixes = tariffs.prefixes(session)
        names = raw(session).execute("SELECT code, name FROM station").fetchall()
    known = ladder.Known({}, {}, keys)
    assert len(streams) == len(names)
    for code, name in names:
        for said in (code, name, name.lower(), name.upper().replace(" ", "")):
            assert ladder.name(ladder.read(typed.format(said), prefixes=prefixes), known).station_code == code, said


def test_two_stations_in_one_reference_are_not_chosen_between(engine: Engine) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        keys, _ = open_bills.stations(session)
    known = ladder.Known({}, {}, keys)
    assert ladder.name(ladder.read("malaba tanaka"), known).station_code is None
    assert ladder.name(ladder.read("malaba market tanaka"), known).station_code is None
    assert ladder.name(ladder.read("malaba"), known).station_code == "MALABA"


# --- live is not test ------------------------------------------------------------------------------------------------


def test_a_live_county_takes_no_sample(engine: Engine) -> None:
    problems = refused(engine, BUSIA, "live")
    samples = (BUSIA / "tariffs.csv").read_text().count(",sample,")
    assert sum(one.startswith("tariffs.csv:") and "published Act" in one for one in problems) == samples
    assert sum(one.startswith("channel_accounts.toml:") for one in problems) == 2
    assert row_counts(engine) == (0,) * 8


def live(folder: Path) -> Path:
    """Busia's files as a county that has published its tariffs and owns its pay bills would write them."""
    tariff_file, channel_file = folder / "tariffs.csv", folder / "channel_accounts.toml"
    tariff_file.write_text(tariff_file.read_text().replace(",sample,", ",active,"))
    text = channel_file.read_text().replace('status = "sample"', 'status = "active"').replace('"test"', '"live"')
    channel_file.write_text(re.sub(r"peers = \[.*?\]", 'peers = ["196.201.214.0/24"]', text))
    return folder


def test_a_live_county_loads_its_own_and_listens_to_the_provider_only(engine: Engine, folder: Path) -> None:
    live(folder)
    line = spoil(folder, "channel_accounts.toml", '["196.201.214.0/24"]', '["196.201.214.0/24", "127.0.0.1"]')
    assert refused(engine, folder, "live") == [
        f"channel_accounts.toml:{line}: settings: peers: a live account does not listen to 127.0.0.1"
    ]
    spoil(folder, "channel_accounts.toml", ', "127.0.0.1"', "")
    with transaction(engine) as session:
        loading.load(session, "busia", directory=folder, settings_models=MODELS, mode="live")
        channel = next(iter(channel_accounts.channels(session).values()))
        assert (channel.mode, channel.clearing_account) == ("live", "1200.mpesa-600100")
        with pytest.raises(Conflict, match="sample"):
            loading.add_channel_account(
                session, adapter="mpesa", identifier="600109", mode="live", name="A", settings={}, status="sample"
            )
    assert refused(engine, BUSIA) == [
        "county.toml:1: this database keeps live books; test books need a database of their own"
    ]


def test_test_books_take_no_live_account(engine: Engine, folder: Path) -> None:
    line = spoil(folder, "channel_accounts.toml", 'mode = "test"', 'mode = "live"')
    problems = refused(engine, folder)
    message = "test books take no live channel account: real money belongs in live books"
    assert f"channel_accounts.toml:{line}: mode: {message}" in problems
    with transaction(engine) as session:
        loading.load(session, "busia")
        with pytest.raises(Conflict, match="live books"):
            loading.add_channel_account(
                session, adapter="mpesa", identifier="600109", mode="live", name="A", settings={}
            )


# --- what is refused, and where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "column", "says"),
    [
        ("streams.csv", "Single business permits,3", "Single business permits,17", "note", "1 to 16"),
        ("streams.csv", "SBP,Single", "sbp,Single", "code", "capital letters"),
        ("streams.csv", "RATES", "PERMIT", "prefixes", "prefix of SBP already"),
        ("streams.csv", "RATES", "rates", "prefixes", "capital letters"),
        ("streams.csv", "3,bill,county", "3,later,county", "billing", "bill, spot"),
        ("streams.csv", "MKT\n", "TANAKA\n", None, "stations.csv:12: code: TANAKA is a prefix of stream MARKET"),
        ("stations.csv", "TANAKA,Tanaka", "BUSIAMKT,Tanaka", "code", "stands in line 2 already"),
        ("stations.csv", "Malaba Market", "Busia Market", "name", "could also mean"),
        ("stations.csv", "Bus Park,BUSPARK", "Bus Park,BUSES", "stream_code", "no stream BUSES"),
        ("stations.csv", "Nambale Township", "Burumba", "ward", "Nambale has no ward 'Burumba'"),
        ("stations.csv", "Matayos,Matayos South", "Kisumu,Matayos South", "sub_county", "no sub-county 'Kisumu'"),
        ("stations.csv", "Butula Market", " Butula Market", "name", "blanks"),
        ("tariffs.csv", ",1500.00,", ",1500.005,", "amount", "two decimals"),
        ("tariffs.csv", ",1500.00,", ',"1,500.00",', "amount", "two decimals"),
        ("tariffs.csv", ",1500.00,", ",-1500.00,", "amount", "above nothing"),
        ("tariffs.csv", ",1500.00,", ",0.00,", "amount", "above nothing"),
        (
            "tariffs.csv",
            "2024-07-01,2025-07-01",
            "2024-07-01,2025-07-02",
            None,
            "tariffs.csv:3: effective_from: SBP.APP",
        ),
        ("tariffs.csv", "2024-07-01,2025-07-01", "2024-07-01,2024-07-01", "effective_to", "ends after"),
        ("tariffs.csv", "2024-07-01,2025-07-01", "2024-02-30,2025-07-01", "effective_from", "not in the calendar"),
        ("tariffs.csv", "2024-07-01,2025-07-01", "01/07/2024,2025-07-01", "effective_from", "2026-07-01"),
        ("tariffs.csv", "application,200.00", "form,200.00", "unit", "one of application"),
        ("tariffs.csv", "sample,no", "sample,yes", "spot", "billed first"),
        ("tariffs.csv", "sample,no", "sample,maybe", "spot", "yes, no"),
        ("tariffs.csv", "sample,no", "approved,no", "status", "one of draft"),
        ("tariffs.csv", "SBP.KIOSK,SBP,", "SBP.KIOSK,TAX,", "stream_code", "no stream TAX"),
        ("holidays.csv", "2024-05-01", "2024-01-01", "day", "stands in line 2 already"),
        ("county.toml", 'confirm_limit = "250000.00"', "confirm_limit = 250000.00", "confirm_limit", "in quotes"),
        ("county.toml", 'confirm_limit = "250000.00"', 'confirm_limit = "lots"', "confirm_limit", "digits"),
        ("county.toml", "books_open_from = 2026-07-01", 'books_open_from = "soon"', "books_open_from", "a day"),
        ("county.toml", 'code = "busia"', 'code = "kisumu"', "code", "was asked for"),
        ("county.toml", 'name = "Busia County"', 'names = "Busia County"', "names", "not known"),
        ("channel_accounts.toml", '"600101", kind', '"six", kind', "settings", "shortcode: has a letter or a sign"),
        ("channel_accounts.toml", 'status = "sample"', 'status = "disabled"', "status", "sample or active"),
        (
            "channel_accounts.toml",
            'identifier = "600101"',
            'identifier = "600100"',
            "adapter",
            "stands in line 5 already",
        ),
        ("channel_accounts.toml", 'adapter = "mpesa"', 'adapter = "pigeon"', None, "no adapter 'pigeon' is installed"),
    ],
)
def test_a_wrong_cell_is_named_by_file_line_and_column(
    engine: Engine, folder: Path, file: str, old: str, new: str, column: str | None, says: str
) -> None:
    line = spoil(folder, file, old, new)
    problems = refused(engine, folder)
    if column is None:  # the mistake shows elsewhere
        assert any(says in one for one in problems), problems
    else:
        found = [one for one in problems if re.match(rf"{file}:\d+: {column}: ", one) and says in one]
        assert found, problems
        assert found[0].startswith(f"{file}:{line}: ") or "already" in says or "could also" in says
    assert row_counts(engine) == (0,) * 8


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("streams.csv", None, r"streams.csv:1: the file is missing"),
        ("streams.csv", b"", r"streams.csv:1: the file holds no rows"),
        (
            "streams.csv",
            b"code,name,note\nSBP,Permits,3\n",
            r"streams.csv:1: the header must be exactly code,name,note,bill",
        ),
        ("holidays.csv", b"day,name,source\n2026-01-01,New Year\n", r"holidays.csv:2: 2 cells where 3 belong"),
        ("holidays.csv", b"day,name,source\n\n2026-01-01,New Year,Act\n", r"holidays.csv:2: 0 cells where 3 belong"),
        ("holidays.csv", b'day,name,source\n2026-01-01,"New" Year,Act\n', r"holidays.csv:2: this is not CSV"),
        ("holidays.csv", b'day,name,source\n2026-01-01,"New\nYear",Act\nx,y,z\n', r"holidays.csv:4: day: "),
        ("holidays.csv", b"day,name,source\n2026-01-01,New \xff,Act\n", r"holidays.csv:2: byte 31 is not UTF-8"),
        ("county.toml", b'code = "busia"\nname = \n', r"county.toml:2: this is not TOML"),
        ("channel_accounts.toml", b"[[account]]\n", r"channel_accounts.toml:1: account: only channel_account tables"),
        ("channel_accounts.toml", b'channel_account = "x"\n', r"channel_accounts.toml:1: channel_account: write each"),
    ],
)
def test_a_wrong_file_is_named(engine: Engine, folder: Path, file: str, content: bytes | None, says: str) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    assert any(re.match(says, one) for one in refused(engine, folder))


def test_everything_wrong_is_said_at_once_and_as_data(engine: Engine, folder: Path) -> None:
    lines = [
        spoil(folder, "streams.csv", "Single business permits,3", "Single business permits,0"),
        spoil(folder, "tariffs.csv", ",1500.00,", ",1500,00,"),
        spoil(folder, "tariffs.csv", "year,18000.00", "year,18 000"),
        spoil(folder, "holidays.csv", "2024-12-25", "25.12.2024"),
    ]
    with transaction(engine) as session, pytest.raises(CountyRefused) as error:
        loading.load(session, "busia", directory=folder)
    told = error.value.as_dict()
    assert told["code"] == "county_refused"
    assert {(one["file"], one["line"]) for one in told["problems"]} == {
        ("streams.csv", lines[0]),
        ("tariffs.csv", lines[1]),
        ("tariffs.csv", lines[2]),
        ("holidays.csv", lines[3]),
    }


def test_unknown_counties_and_modes_are_refused(engine: Engine) -> None:
    with transaction(engine) as session:
        with pytest.raises(NotFound, match="there are: busia"):
            loading.load(session, "atlantis")
        for code in ("../busia", "Busia", ""):
            with pytest.raises(InvalidValue):
                loading.load(session, code)
        with pytest.raises(InvalidValue, match="test or live"):
            loading.load(session, "busia", mode="demo")


# --- loading again ---------------------------------------------------------------------------------------------------


def test_a_new_financial_year_is_new_lines_and_an_end_of_the_old(engine: Engine, folder: Path) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia", directory=folder)
    old = next(
        row for row in (folder / "tariffs.csv").read_text().splitlines() if row.startswith("SBP.SHOP") and "4000" in row
    )
    ended = old.replace("2025-07-01,,", "2027-07-01,2027-07-01,").replace(
        "2027-07-01,2027-07-01", "2025-07-01,2027-07-01"
    )
    new = old.replace("4000.00", "4500.00").replace("2025-07-01,,", "2027-07-01,,")
    spoil(folder, "tariffs.csv", old, f"{ended}\n{new}")
    with transaction(engine) as session:
        loaded = loading.load(session, "busia", directory=folder, by="finance")
        assert (loaded.added["tariff lines"], loaded.tariff_lines_changed) == (1, 1)
        for on, amount in ((date(2027, 6, 30), 400_000), (date(2027, 7, 1), 450_000)):
            assert tariffs.assess(session, item_code="SBP.SHOP", quantity=1, on=on).amount_minor == amount
        row = raw(session).execute("SELECT actor, content FROM audit_event ORDER BY id DESC LIMIT 1").fetchone()
        assert row is not None
        assert row[0] == "finance"
        assert b"SBP.SHOP of 2025-07-01" in row[1]


@pytest.mark.parametrize(
    ("file", "old", "new", "column"),
    [
        ("tariffs.csv", "year,4000.00", "year,4100.00", "amount"),
        ("tariffs.csv", "2025-07-01,,sample", "2025-07-01,,active", "status"),
        ("streams.csv", "Single business permits,3", "Single business permits,4", "note"),
        ("stations.csv", "Tanaka Bus Park", "Tanaka Stage", "name"),
        ("county.toml", "2026-07-01", "2026-08-01", "books_open_from"),
        ("holidays.csv", "Labour Day", "May Day", "name"),
    ],
)
def test_what_was_loaded_is_not_rewritten(
    engine: Engine, folder: Path, file: str, old: str, new: str, column: str
) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia", directory=folder, settings_models=MODELS)
    before = row_counts(engine)
    spoil(folder, file, old, new)
    problems = refused(engine, folder)
    assert [one.split(": ")[:2][1] for one in problems] == [column]
    assert "the database holds" in problems[0]
    assert row_counts(engine) == before


def test_what_officers_changed_since_stands_and_is_said(engine: Engine, database: Any) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
    with database.connect() as connection:
        connection.execute("UPDATE county SET confirm_limit_minor = 100")
        connection.execute("UPDATE channel_account SET status = 'disabled' WHERE identifier = '600101'")
        connection.execute("UPDATE tariff_line SET status = 'suspended' WHERE item_code = 'SBP.LARGE'")
        connection.execute(
            "UPDATE tariff_line SET effective_to = '2027-01-01'"
            " WHERE item_code = 'BODA.STICKER' AND effective_to IS NULL"
        )
    with transaction(engine) as session:
        again = loading.load(session, "busia")
    assert not again.changed
    assert len(again.kept) == 5
    assert "kept: county.toml: confirm_limit is 1.00 in the database, 250000.00 in the file" in str(again)


def test_a_line_of_the_console_and_a_line_of_the_file_are_not_in_force_at_once(engine: Engine, folder: Path) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia", directory=folder, settings_models=MODELS)
        raw(session).execute(
            "INSERT INTO tariff_line (item_code, stream_code, name, unit, amount_minor, law, effective_from, status)"
            " VALUES ('SBP.SHOP', 'SBP', 'Shop', 'year', 1, 'Act', '2026-09-01', 'sample')"
        )
    assert any("in force from 2026-09-01" in one for one in refused(engine, folder))


# --- channels --------------------------------------------------------------------------------------------------------


class PigeonSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    loft: str


def test_a_channel_account_gets_its_clearing_account(engine: Engine) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        added = loading.add_channel_account(
            session,
            adapter="pigeon",
            identifier="L-7",
            mode="test",
            name="Pigeons",
            settings={"loft": "north"},
            settings_models={"pigeon": PigeonSettings},
            by="ict",
        )
        assert added.public_id.startswith("cha_")
        assert (added.status, added.clearing_account) == ("active", "1200.pigeon-L-7-test")
        with pytest.raises(Conflict, match="registered already"):
            loading.add_channel_account(
                session, adapter="pigeon", identifier="L-7", mode="test", name="Again", settings={}
            )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"settings": {"loft": 7}}, "settings"),
        ({"settings": {"loft": "n", "colour": "grey"}}, "settings"),
        ({"settings": {"loft": "n", "peers": ["nowhere"]}}, "settings"),
        ({"adapter": "owl"}, "adapter"),
        ({"identifier": "../7"}, "identifier"),
        ({"mode": "demo"}, "mode"),
        ({"status": "disabled"}, "status"),
        ({"name": " "}, "name"),
    ],
)
def test_a_wrong_channel_account_is_refused_by_field(engine: Engine, changes: dict[str, Any], field: str) -> None:
    values: dict[str, Any] = {
        "adapter": "pigeon",
        "identifier": "L7",
        "mode": "test",
        "name": "Pigeons",
        "settings": {"loft": "n"},
        **changes,
    }
    with transaction(engine) as session:
        loading.load(session, "busia")
        with pytest.raises(InvalidValue) as error:
            loading.add_channel_account(session, **values, settings_models={"pigeon": PigeonSettings})
        assert error.value.facts["field"] == field


def test_a_token_is_shown_once_and_its_endpoint_can_be_closed(engine: Engine, database: Any) -> None:
    with transaction(engine) as session:
        loading.load(session, "busia")
        account = channel_accounts.find_channel_account(session, adapter="mpesa", identifier="600100", mode="test")
        assert account is not None
        tokens = [
            channel_accounts.add_endpoint(session, channel_account_id=account.id, purpose=purpose, by="ict")
            for purpose in ("confirmation", "push_result")
        ]
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
    with database.connect() as connection:
        rows = connection.execute("SELECT id, token_sha256, revoked_at FROM channel_endpoint ORDER BY id").fetchall()
        assert [row[1] for row in rows] == [hashlib.sha256(token.encode()).digest() for token in tokens]
        kept = connection.execute("SELECT string_agg(content::text, '') FROM audit_event").fetchone()
        assert kept is not None
        assert not any(token in kept[0] or token.encode().hex() in kept[0] for token in tokens)
    with transaction(engine) as session:
        channel_accounts.revoke_endpoint(session, endpoint_id=rows[0][0], by="ict")
        with pytest.raises(Conflict, match="revoked already"):
            channel_accounts.revoke_endpoint(session, endpoint_id=rows[0][0])
        with pytest.raises(NotFound):
            channel_accounts.revoke_endpoint(session, endpoint_id=99)
        with pytest.raises(NotFound):
            channel_accounts.add_endpoint(session, channel_account_id=99, purpose="confirmation")
        with pytest.raises(InvalidValue, match="purpose"):
            channel_accounts.add_endpoint(session, channel_account_id=account.id, purpose="gossip")
        raw(session).execute("UPDATE channel_account SET status = 'disabled' WHERE id = %s", (account.id,))
        session.expire_all()
        with pytest.raises(Conflict, match="disabled"):
            channel_accounts.add_endpoint(session, channel_account_id=account.id, purpose="confirmation")
