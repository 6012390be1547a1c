"""Asking back: what no message told is asked for, kept as it came, and posted once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from adapters.sandbox import mpesa_bodies as bodies
from adapters.sandbox.mpesa_provider import Provider
from adapters.sandbox.mpesa_server import serving
from revenue_engine import bootstrap, payments, periods
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import polling
from revenue_engine.collection.polling import Asker
from revenue_engine.db import transaction
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.outbound import OutboundClient
from tests.support.books import NOON, SHORTCODE, Books, confirmation, push_result


@dataclass
class World:
    """A county that can ask a simulated provider."""

    books: Books
    provider: Provider
    asker: Asker

    def schedule(self) -> int:
        """Write the work rows that are missing."""
        with transaction(self.books.as_role("worker")) as session:
            return polling.schedule(session, clients=self.asker.clients)

    def due(self) -> None:
        """Let everything that was put off be due."""
        self.books.execute("UPDATE job SET run_after = now()")

    def ask(self) -> None:
        """Ask once and let the worker read the answers."""
        self.schedule()
        self.asker.once()
        self.books.work()

    def asked(self) -> list[tuple[str, bool, int]]:
        """What was asked: kind, whether it was answered, in how many deliveries."""
        return [tuple(row) for row in self.books.rows("SELECT what, answered, answers FROM asked ORDER BY id")]


@pytest.fixture
def world(books: Books, tmp_path: Path) -> Iterator[World]:
    provider = Provider({SHORTCODE: "Testland"}, seed=5)
    provider.pulling.add(SHORTCODE)
    with serving(provider) as url:
        provider.keys.write(tmp_path, {Purpose.PUSH_RESULT: f"{url}/nobody-listens"})
        settings = {"shortcode": SHORTCODE, "kind": "paybill", "asking": provider.keys.asking(url)}
        books.execute("UPDATE channel_account SET settings = %s", Jsonb(settings))

        def client(channel: Channel) -> OutboundClient | None:
            return bootstrap.outbound_client(channel.adapter, channel.settings, secrets_dir=tmp_path)

        yield World(books, provider, Asker(books.as_role("worker"), client))


def test_a_payment_nobody_told_is_found_by_the_next_pull(world: World) -> None:
    bill = world.books.bill(400)
    moved = world.provider.pay(SHORTCODE, amount_minor=400_00, account=bill.pay_account_number, told=False)
    world.ask()
    assert world.books.left(bill) == 0
    assert world.books.papers(moved.reference) == ["receipt 2627-1"]
    assert world.asked() == [("pull", True, 2)], "a page with the payment, and one that says there are no more"


def test_what_a_callback_told_is_only_evidence_again(world: World) -> None:
    moved = world.provider.pay(SHORTCODE, amount_minor=400_00, account="", told=False)
    world.books.pay(400, "", reference=moved.reference, at=periods.now())
    world.ask()
    assert world.books.rows("SELECT count(*) FROM payment") == [(1,)]
    assert world.books.rows("SELECT count(*) FROM evidence") == [(2,)]
    assert world.books.open_breaks() == ["unknown_account"]


def test_pulls_overlap_and_post_nothing_twice(world: World) -> None:
    world.provider.pay(SHORTCODE, amount_minor=400_00, account="", told=False)
    world.ask()
    world.due()
    world.provider.pay(SHORTCODE, amount_minor=300_00, account="", told=False)
    world.ask()
    assert world.books.rows("SELECT amount_minor FROM payment ORDER BY id") == [(400_00,), (300_00,)]
    windows = world.books.rows("SELECT since, until FROM asked ORDER BY id")
    assert windows[1][0] < windows[0][1]


def test_a_pull_is_put_off_and_never_done(world: World) -> None:
    world.ask()
    world.ask()
    assert len(world.asked()) == 1
    ((wait,),) = world.books.rows("SELECT run_after - now() FROM job WHERE kind = 'pull'")
    assert timedelta(minutes=14) < wait <= polling.PULL_EVERY


def test_a_provider_that_is_away_is_asked_for_the_same_window_again(world: World) -> None:
    world.schedule()
    world.provider.faults.service_down = 99
    world.asker.once()
    assert world.asked() == [("pull", False, 0)]
    world.provider.faults.service_down = 0
    world.provider.pay(SHORTCODE, amount_minor=400_00, account="", told=False)
    world.due()
    world.ask()
    assert world.books.rows("SELECT count(*) FROM payment") == [(1,)]
    first, second = world.books.rows("SELECT since FROM asked ORDER BY id")
    assert second[0] - first[0] < timedelta(minutes=5)


def test_a_time_that_can_no_longer_be_asked_for_is_a_break(world: World) -> None:
    world.ask()
    world.due()
    world.asker.now = lambda: periods.now() + timedelta(days=3)
    world.asker.once()
    assert "not_asked_in_time" in world.books.open_breaks()


def test_a_large_notice_is_posted_when_the_provider_answers_for_it(world: World) -> None:
    bill = world.books.bill(300_000)
    moved = world.provider.pay(SHORTCODE, amount_minor=300_000_00, account=bill.pay_account_number, told=False)
    world.books.pay(300_000, bill.pay_account_number, reference=moved.reference, at=periods.now())
    assert world.books.open_breaks() == ["unconfirmed"]
    world.ask()
    assert world.books.left(bill) == 0
    assert world.books.open_breaks() == []


def test_a_push_without_an_end_is_queried_until_it_has_one(world: World) -> None:
    bill = world.books.bill(500)
    client = world.asker.clients(_channel(world))
    assert client is not None
    world.provider.faults.hold_prompts = True
    sent = client.push(
        phone="+254700000101", amount_minor=500_00, account_reference=bill.pay_account_number, description="Permit"
    )
    request = sent.request_id  # type: ignore[union-attr]
    _remember(world, request, bill.id)
    world.ask()
    assert ("query", True, 1) in world.asked()
    assert world.books.rows("SELECT count(*) FROM job WHERE kind = 'query'") == [(1,)]
    world.provider.answer(request, "1032", told=False)
    world.due()
    world.ask()
    assert world.books.rows("SELECT state FROM push_end WHERE request_id = %s", request) == [("cancelled",)]
    world.due()
    world.ask()
    assert world.books.rows("SELECT count(*) FROM job WHERE kind = 'query'") == [(0,)]


def test_what_is_not_known_after_the_end_is_known_opens_nothing(world: World) -> None:
    bill = world.books.bill(500)
    _remember(world, "ws_CO_1", bill.id)
    world.books.deliver(push_result(500, "ws_CO_1", reference="UI00000T01", at=NOON))
    world.books.work()
    late = bodies.stk_failure(merchant_request="29115-1", checkout_request="ws_CO_1", code=1037)
    world.books.deliver(("push_result", late))
    world.books.work()
    assert world.books.left(bill) == 0
    assert world.books.open_breaks() == []


def test_asking_again_while_a_pull_is_under_way_is_not_forgotten(world: World) -> None:
    world.schedule()
    reached, go = threading.Event(), threading.Event()
    plain = world.asker.clients

    def slow(channel: Channel) -> OutboundClient | None:
        reached.set()
        go.wait(20)
        return plain(channel)

    world.asker.clients = slow
    failures: list[Exception] = []

    def once() -> None:
        try:
            world.asker.once()
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)

    thread = threading.Thread(target=once)
    thread.start()
    assert reached.wait(20)
    world.provider.pay(SHORTCODE, amount_minor=100_00, account="", told=False)
    with transaction(world.books.as_role("api")) as session:
        polling.ask_now(session, 1)
    go.set()
    thread.join(30)
    world.asker.clients = plain
    world.ask()
    assert [type(error).__name__ for error in failures] == ["Retryable"]
    assert world.books.rows("SELECT count(*) FROM payment") == [(1,)]


def test_an_account_without_the_settings_is_left_alone(books: Books) -> None:
    asker = Asker(books.as_role("worker"), bootstrap.outbound_clients())
    with transaction(books.as_role("worker")) as session:
        assert polling.schedule(session, clients=asker.clients) == 0
    assert asker.once() == 0
    books.deliver(confirmation(100, ""))
    books.work()


def _channel(world: World) -> Channel:
    ((settings,),) = world.books.rows("SELECT settings FROM channel_account")
    return Channel(1, "mpesa", SHORTCODE, "live", "1200.mpesa-600100", settings)


def _remember(world: World, request: str, invoice: int) -> None:
    with transaction(world.books.as_role("api")) as session:
        payments.request_push(
            session, channel_account_id=1, request_id=request, invoice_id=invoice, amount_minor=500_00, by="clerk"
        )
    world.books.execute("ALTER TABLE push_request DISABLE TRIGGER refuse_change")
    world.books.execute("UPDATE push_request SET requested_at = now() - interval '5 minutes'")
    world.books.execute("ALTER TABLE push_request ENABLE ALWAYS TRIGGER refuse_change")
