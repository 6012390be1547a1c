"""The registers of ``bench world``: payers, businesses, plots, stalls and vehicles, written by COPY; three persons."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine
from stdnum import damm

from adapters.sandbox.mpesa_slips import GIVEN_NAMES
from benchmarks import world_shape
from benchmarks.world_shape import BUSINESSES, PERSONS, PLATES, PLOTS, STALLS, scaled
from revenue_engine import bootstrap, db, identifiers
from revenue_engine.billing.tariffs import Station
from revenue_engine.channels import accounts
from revenue_engine.county import loading
from revenue_engine.db import copy_rows, next_ids, raw, transaction
from revenue_engine.demo import persons
from revenue_engine.ports.callbacks import Purpose

VEHICLES = ("BUSPARK", "TRAILER", "PARKING")


def found(owner: Engine, api_url: str, folder: Path, county: Path) -> None:
    """The county, its addresses, and three persons whose secrets stand in ``persons.json`` of the folder."""
    models = {name: adapter.settings_model for name, adapter in bootstrap.adapters().items()}
    with transaction(owner) as session:
        loading.load(session, "busia", mode="test", directory=county, settings_models=models, by="bench")
    api = db.make_engine(api_url, pool_size=2)
    made = persons.make(owner, api)
    kept = folder / "persons.json"
    kept.touch(mode=0o600)
    kept.write_text(
        json.dumps([{"login": one.login, "password": one.password, "authenticator": one.authenticator} for one in made])
    )
    with transaction(api) as session:
        for purpose in (Purpose.CONFIRMATION, Purpose.PUSH_RESULT, Purpose.RESULT):
            accounts.add_endpoint(session, channel_account_id=1, purpose=purpose, by="bench")
    api.dispose()


def reference(kind: str, number: int) -> str:
    """The n-th business, plot, stall or vehicle as its payer writes it; no two are a single slip apart."""
    digits = f"{number:05d}"
    if kind == "plate":
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        return f"K{letters[3 + number % 4]}{letters[number // 4 % 24]} {number * 37 % 1000:03d}{letters[number % 23]}"
    before = {"permit": "BP", "plot": "BUSIA/T", "stall": "STL"}[kind]
    return f"{before}-{digits}{damm.calc_check_digit(digits)}"


def register(engine: Engine, payments: int) -> None:
    """All payers and objects of a world of so many payments, in one transaction with its mark."""
    rng = random.Random(payments)
    counts = {name: scaled(count, payments) for name, count in _THINGS.items()}
    with transaction(engine) as session:
        connection = raw(session)
        owners = sum(counts.values()) - counts["plate"] + scaled(PERSONS, payments)
        payer_ids = next_ids(connection, {"payer": owners})["payer"]
        copy_rows(
            connection,
            "payer",
            ("id", "public_id", "name", "phone"),
            ("int8", "text", "text", "text"),
            [
                (
                    payer,
                    identifiers.public_id("pyr"),
                    f"{rng.choice(GIVEN_NAMES).title()} {rng.choice(GIVEN_NAMES).title()} {number:05d}",
                    f"+254700{number:06d}" if number % 10 else None,
                )
                for number, payer in enumerate(payer_ids)
            ],
        )
        stations = {
            stream: [one.code for one in session.query(Station).filter_by(stream_code=stream).order_by(Station.code)]
            for stream in VEHICLES
        }
        things = list(_things(rng, counts, iter(payer_ids), stations))
        ids = next_ids(connection, {"billed_object": len(things)})["billed_object"]
        copy_rows(
            connection,
            "billed_object",
            ("id", "public_id", "stream_code", "station_code", "reference", "payer_id", "tariff_item"),
            ("int8", "text", "text", "text", "text", "int8", "text"),
            [(one, identifiers.public_id("obj"), *thing[1:]) for one, thing in zip(ids, things, strict=True)],
        )
        copy_rows(
            connection,
            "alias",
            ("kind", "normal", "typed", "object_id"),
            ("text", "text", "text", "int8"),
            [(t[0], identifiers.key(t[3]), t[3], one) for one, t in zip(ids, things, strict=True)],
        )
        standing = [one for one, thing in zip(ids, things, strict=True) if thing[0] != "plate"]
        numbers: dict[str, int] = {}
        while len(numbers) < len(standing):
            numbers.setdefault(identifiers.draw_pay_account_number(), standing[len(numbers)])
        copy_rows(connection, "pay_account", ("number", "object_id"), ("text", "int8"), list(numbers.items()))
        connection.execute("UPDATE bench.world SET registered_at = now()")
    with db.transaction(engine) as session:
        raw(session).execute("ANALYZE payer, billed_object, alias, pay_account")


_THINGS = {"permit": BUSINESSES, "plot": PLOTS, "stall": STALLS, "plate": PLATES}
_STREAM_OF = {"permit": "SBP", "plot": "LANDRATE", "stall": "HOUSING"}
ITEMS = {"BUSPARK": "BUSPARK.MATATU", "TRAILER": "TRAILER.SEMI", "PARKING": "PARKING.SALOON"}

Thing = tuple[str, str, str | None, str, int | None, str | None]


def _things(
    rng: random.Random, counts: dict[str, int], payers: Iterator[int], stations: dict[str, list[str]]
) -> Iterator[Thing]:
    """Kind, stream, station, reference, payer, tariff item."""
    for kind, stream in _STREAM_OF.items():
        for number in range(counts[kind]):
            yield kind, stream, None, reference(kind, number), next(payers), None
    for number in range(counts["plate"]):
        stream = VEHICLES[number % len(VEHICLES)]
        yield "plate", stream, rng.choice(stations[stream]), reference("plate", number), None, ITEMS[stream]


def item_of(kind: str, number: int) -> str:
    """The tariff item of the n-th business or plot: mostly small ones."""
    choices: Sequence[str] = {
        "SBP": ("SBP.KIOSK",) * 6 + ("SBP.SHOP",) * 3 + ("SBP.MEDIUM",),
        "LANDRATE": ("LANDRATE.PLOT",) * 8 + ("LANDRATE.COMMERCIAL",) * 2,
    }[kind]
    return choices[number % len(choices)]


__all__ = ["found", "item_of", "reference", "register", "world_shape"]
