"""The final state is a function of the set of deliveries, not of their order, their number or their grouping."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from revenue_engine import db
from revenue_engine.payments import request_push
from tests.support.books import Books, confirmation, push_result, reversal

Make = Callable[[], AbstractContextManager[Books]]


def _one_payment(books: Books, order: tuple[int, ...], *, apart: bool) -> tuple[object, ...]:
    payer = books.payer()
    bill = books.bill(500, payer=payer)
    with db.transaction(books.as_role("api")) as session:
        request_push(
            session, channel_account_id=1, request_id="ws_CO_1", invoice_id=bill.id, amount_minor=600_00, by="clerk"
        )
    paid = "UIA0000001"
    messages = [
        confirmation(600, bill.pay_account_number, reference=paid),
        push_result(600, "ws_CO_1", reference=paid),
        reversal(paid, 600, own="UIA0000002"),
        confirmation(600, bill.pay_account_number, reference=paid),
    ]
    chosen = [messages[index] for index in order]
    if apart:
        for one in chosen:
            books.deliver(one)
            books.work()
    else:
        books.deliver(*chosen)
        books.work()
    return books.final_state()


def test_all_orders_of_confirmation_push_reversal_and_duplicate_end_alike(new_books: Make) -> None:
    states = {}
    for apart in (True, False):
        for order in itertools.permutations(range(4)):
            with new_books() as books:
                states[order, apart] = _one_payment(books, order, apart=apart)
    assert len(states) == 48
    assert len(set(states.values())) == 1, states


def test_random_orders_of_many_messages_end_alike(new_books: Make) -> None:
    seen = set()
    for seed in range(6):
        rng = random.Random(seed)
        with new_books() as books:
            payer = books.payer()
            sent = []
            for index in range(12):
                bill = books.bill(100 + 10 * index, payer=payer if index % 2 else None)
                reference = f"UIB00000{index:02d}"
                typed = bill.pay_account_number if index % 4 else f"who knows {index}"
                sent.append(confirmation(100 + 20 * index, typed, reference=reference))
                if index % 3 == 0:
                    sent.append(reversal(reference, 100 + 20 * index, own=f"UIR00000{index:02d}"))
                if index % 5 == 0:
                    sent.append(sent[-1])
            books.work()
            rng.shuffle(sent)
            books.deliver(*sent)
            books.work(batch=rng.choice((1, 3, 500)) if seed else 500)
            seen.add(books.final_state())
    assert len(seen) == 1, seen


def test_fifty_clients_with_four_copies_of_ten_payments_on_one_bill(books: Books) -> None:
    # Given one bill of 1,000 and ten payments of 70, each delivered four times by five of fifty clients
    bill = books.bill(1000, payer=books.payer())
    payments = [confirmation(70, bill.pay_account_number) for _ in range(10)]
    gate = threading.Barrier(50)

    def client(number: int) -> None:
        gate.wait()
        books.deliver(*[payments[number % 10]] * 4)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # When four workers with small batches race for the two hundred deliveries
    workers = [threading.Thread(target=books.work, kwargs={"batch": 7}) for _ in range(4)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    books.work()
    # Then there are ten payments and the right balance
    assert books.rows("SELECT count(*), sum(amount_minor) FROM payment") == [(10, 700_00)]
    assert books.left(bill) == 300
    assert books.rows("SELECT count(*), count(DISTINCT number), max(number) FROM receipt") == [(10, 10, 10)]
    assert books.rows("SELECT state, count(*) FROM delivery_state GROUP BY 1 ORDER BY 1") == [
        ("evidence", 190),
        ("posted", 10),
    ]
