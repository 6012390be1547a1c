"""Payers, objects and bills: what is written, what is posted, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from revenue_engine import identifiers, ledger, periods
from revenue_engine.billing import invoices, payers
from revenue_engine.billing.invoices import InvoiceRequest, cancel_invoice, issue_invoice, issue_invoices
from revenue_engine.billing.payers import add_object, add_payer, find_invoice, search
from revenue_engine.billing.tariffs import AssessedLine, Charge
from revenue_engine.db import make_engine, raw, transaction
from revenue_engine.errors import Conflict, IntegrityFault, InvalidValue, NotFound
from revenue_engine.identifiers import key
from revenue_engine.ledger import chart
from tests.support import books, people

DUE = date(2027, 3, 31)
AT = datetime(2026, 11, 20, 9, 30, tzinfo=periods.NAIROBI)

Api = Callable[[], AbstractContextManager[Session]]


@pytest.fixture
def engine(database: Any) -> Iterator[Engine]:
    books.county(database.url, "shopland", mode="test")
    made = people.signed(make_engine(database.url, role="api", pool_size=2), people.clerk(database.url))
    yield made
    made.dispose()


@pytest.fixture
def owner(engine: Engine, database: Any) -> Iterator[Engine]:
    """The superuser, for what two persons must agree to and is tried here by itself."""
    made = make_engine(database.url, pool_size=0)
    yield made
    made.dispose()


def drcr(session: Session, key: str) -> list[tuple[str, str, int]]:
    """A journal as (debit, credit, cents) lines."""
    return [(p.debit, p.credit, p.amount_minor) for p in ledger.load(session, key=key).postings]


def line(component: str = "principal", unit: int = 1_000, quantity: int = 1, stream: str = "SBP") -> AssessedLine:
    return AssessedLine(None, stream, f"by hand: {component}", component, quantity, unit)


def permit(**changes: Any) -> InvoiceRequest:
    values: dict[str, Any] = {"stream_code": "SBP", "lines": [Charge("SBP.SHOP")], "due_on": DUE, **changes}
    return InvoiceRequest(**values)


# --- worked examples -------------------------------------------------------------------------------------------------


def test_a_bill_is_posted_by_component_in_the_order_money_pays_it(engine: Engine) -> None:
    with transaction(engine) as session:
        request = permit(lines=[Charge("SBP.SHOP", 2), line("arrears", 120_000), line("costs", 5_000)])
        bill = issue_invoice(session, request, issued_by="clerk", at=AT)
        assert drcr(session, f"invoice:{bill.id}:issued") == [
            ("1300.SBP", "4000.SBP.costs", 5_000),
            ("1300.SBP", "4000.SBP.arrears", 120_000),
            ("1300.SBP", "4000.SBP.principal", 700_000),
        ]
        assert bill.number == f"INV-2627-{bill.id:06d}"
        assert bill.total_minor == 825_000
        stored = session.get_one(payers.OpenBill, bill.id)
        assert [getattr(stored, f"{c}_minor") for c in chart.COMPONENTS] == [5_000, 0, 0, 120_000, 700_000]
        rows = raw(session).execute("SELECT seq, tariff_line_id, quantity, amount_minor FROM invoice_line ORDER BY seq")
        assert rows.fetchall() == [(0, 2, 2, 700_000), (1, None, 1, 120_000), (2, None, 1, 5_000)]


def test_the_tariff_of_the_day_of_issue_prices_the_bill(engine: Engine) -> None:
    before = datetime(2025, 6, 30, 20, 59, tzinfo=UTC)  # 23:59 in Nairobi
    with transaction(engine) as session:
        old, new = issue_invoices(
            session, [permit(at=before), permit(at=before + timedelta(minutes=2))], issued_by="clerk"
        )
        assert (old.total_minor, new.total_minor) == (300_000, 350_000)
        assert (old.number[:9], new.number[:9]) == ("INV-2425-", "INV-2526-")
        journal = ledger.load(session, key=f"invoice:{old.id}:issued")
        assert journal.book_date == date(2026, 7, 1)  # the books open then
        assert journal.occurred_at == before


def test_a_cancelled_bill_leaves_nothing_behind(engine: Engine, owner: Engine) -> None:
    with transaction(engine) as session:
        bill = issue_invoice(session, permit(lines=[Charge("SBP.SHOP"), line("penalty", 35_000)]), issued_by="clerk")
    with transaction(owner) as session:
        cancel_invoice(session, number=bill.number.lower(), reason="raised twice", by="supervisor")
    with transaction(engine) as session:
        assert drcr(session, f"invoice:{bill.id}:cancelled") == [
            ("4000.SBP.penalty", "1300.SBP", 35_000),
            ("4000.SBP.principal", "1300.SBP", 350_000),
        ]
        assert ledger.balance(session, "1300.SBP").net_minor == 0
        left = session.get_one(payers.OpenBill, bill.id)
        assert (left.cancelled, left.outstanding_minor) == (True, 0)
        acts = (
            raw(session)
            .execute("SELECT action, object FROM audit_event WHERE action LIKE 'invoice.%' ORDER BY id")
            .fetchall()
        )
        assert acts == [
            ("invoice.issued", bill.number),
            ("invoice.cancelled", bill.number),
        ]


def test_a_bill_is_cancelled_once_and_only_unpaid_and_only_in_its_year(
    engine: Engine, owner: Engine, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(owner) as session:
        twice, paid, old = (issue_invoice(session, permit(), issued_by="clerk") for _ in range(3))
        cancel_invoice(session, number=twice.number, reason="wrong person", by="supervisor")
    with transaction(engine) as session, pytest.raises(Conflict, match="cancelled already"):
        cancel_invoice(session, number=twice.number, reason="again", by="supervisor")
    with database.connect() as connection:  # a part payment, as the projection sees it
        connection.execute("UPDATE open_bill SET principal_minor = 1 WHERE invoice_id = %s", (paid.id,))
    with transaction(engine) as session, pytest.raises(Conflict, match="credit note"):
        cancel_invoice(session, number=paid.number, reason="too late", by="supervisor")
    next_year = datetime(periods.financial_year_start(periods.today()).year + 1, 7, 1, tzinfo=periods.NAIROBI)
    monkeypatch.setattr(periods, "now", lambda: next_year)
    with transaction(engine) as session, pytest.raises(Conflict, match=r"financial year \d{4}, which is over"):
        cancel_invoice(session, number=old.number, reason="too late", by="supervisor")


def test_cancelling_needs_a_reason_a_name_and_an_invoice(engine: Engine) -> None:
    with transaction(engine) as session:
        with pytest.raises(InvalidValue, match="why"):
            cancel_invoice(session, number="INV-2627-000001", reason=" ", by="supervisor")
        with pytest.raises(InvalidValue, match="who"):
            cancel_invoice(session, number="INV-2627-000001", reason="r", by="")
        with pytest.raises(NotFound, match="INV-2627-000001"):
            cancel_invoice(session, number="INV-2627-000001", reason="r", by="supervisor")


# --- money holds -----------------------------------------------------------------------------------------------------

lines = st.builds(
    line,
    st.sampled_from(chart.COMPONENTS),
    st.integers(1, 10**9),
    st.integers(1, 50),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(lines, min_size=1, max_size=6), st.booleans()), min_size=1, max_size=5))
def test_lines_total_open_bill_and_receivable_agree(
    engine: Engine, owner: Engine, wanted: list[tuple[list[AssessedLine], bool]]
) -> None:
    with Session(owner) as session:  # rolled back, so that every example begins alike
        issued = issue_invoices(session, [permit(lines=some) for some, _ in wanted], issued_by="clerk", at=AT)
        for bill, (some, _) in zip(issued, wanted, strict=True):
            total = sum(one.quantity * one.unit_amount_minor for one in some)
            assert bill.total_minor == total == sum(bill.components.values())
            assert session.get_one(payers.Invoice, bill.id).total_minor == total
            assert session.get_one(payers.OpenBill, bill.id).outstanding_minor == total
            assert sum(amount for _, _, amount in drcr(session, f"invoice:{bill.id}:issued")) == total
        session.expire_all()
        kept = 0
        for bill, (_, cancelled) in zip(issued, wanted, strict=True):
            if cancelled:
                cancel_invoice(session, number=bill.number, reason="wrong", by="supervisor")
                undone = [
                    (credit, debit, amount) for debit, credit, amount in drcr(session, f"invoice:{bill.id}:cancelled")
                ]
                assert undone == drcr(session, f"invoice:{bill.id}:issued")
            else:
                kept += bill.total_minor
        open_sum = raw(session).execute("SELECT sum(outstanding_minor)::bigint FROM open_bill").fetchone()
        assert ledger.balance(session, "1300.SBP").net_minor == kept
        assert open_sum == (kept,)


class Counted(psycopg.Cursor[Any]):
    """Counts what is sent to the server."""

    sent = 0

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        Counted.sent += 1
        return super().execute(*args, **kwargs)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        Counted.sent += 1
        return super().copy(*args, **kwargs)


def statements(engine: Engine, requests: list[InvoiceRequest]) -> tuple[int, list[invoices.Issued]]:
    with transaction(engine) as session:
        raw(session).cursor_factory = Counted
        Counted.sent = 0
        issued = issue_invoices(session, requests, issued_by="batch", at=AT)
        sent = Counted.sent
        raw(session).cursor_factory = psycopg.Cursor
    return sent, issued


def test_two_thousand_bills_take_as_many_statements_as_two(engine: Engine) -> None:
    with transaction(engine) as session:
        payer = add_payer(session, name="Mama Wote").id
        stall = add_object(session, stream_code="SBP", reference="K 1", kind="permit", payer_id=payer).id
    few, _ = statements(engine, [permit(payer_id=payer), permit(object_id=stall)])
    many, issued = statements(engine, [permit(payer_id=payer), permit(object_id=stall)] * 1_000)
    assert many == few <= 16
    assert len({bill.number for bill in issued}) == len({bill.public_id for bill in issued}) == 2_000
    assert len({bill.pay_account_number for bill in issued}) == 2_000
    assert all(identifiers.is_pay_account_number(bill.pay_account_number) for bill in issued)
    with transaction(engine) as session:
        known = raw(session).execute(
            "SELECT count(*) FROM invoice i"
            " JOIN pay_account a ON a.invoice_id = i.id AND a.number = i.pay_account_number"
            " JOIN open_bill o ON o.invoice_id = i.id AND o.outstanding_minor = i.total_minor"
        )
        assert known.fetchone() == (2_002,)
        assert ledger.balance(session, "1300.SBP").net_minor == 2_002 * 350_000


# --- numbers taken ---------------------------------------------------------------------------------------------------


def test_a_number_already_taken_is_drawn_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(engine) as session:
        taken = issue_invoice(session, permit(), issued_by="clerk").pay_account_number
        true_draw = identifiers.draw_pay_account_number
        draws = iter([taken] * 40)
        monkeypatch.setattr(identifiers, "draw_pay_account_number", lambda: next(draws, None) or true_draw())
        assert issue_invoice(session, permit(), issued_by="clerk").pay_account_number != taken
        draws = iter([taken] * 3)
        added = add_object(session, stream_code="SBP", reference="K2", kind="permit")
        assert added.pay_account_number not in (None, taken)


def test_a_full_space_of_numbers_is_said_and_not_waited_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(engine) as session:
        taken = issue_invoice(session, permit(), issued_by="clerk").pay_account_number
    monkeypatch.setattr(identifiers, "draw_pay_account_number", lambda: taken)
    with Session(engine) as session, pytest.raises(IntegrityFault, match="full"):
        issue_invoice(session, permit(), issued_by="clerk")
    with Session(engine) as session, pytest.raises(IntegrityFault, match="full"):
        add_object(session, stream_code="SBP", reference="K2", kind="permit")


def test_two_clerks_who_draw_the_same_number_get_two(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first to commit, sees the number gone, and takes another."""
    same = identifiers.draw_pay_account_number()
    true_draw = identifiers.draw_pay_account_number
    numbers: list[str] = []
    first_has_it = threading.Event()

    def issue(wait: threading.Event | None) -> None:
        draws = iter([same] * 17)
        local.draw = lambda: next(draws, None) or true_draw()
        if wait:
            wait.wait(10)
        with transaction(engine) as session:
            numbers.append(issue_invoice(session, permit(), issued_by="clerk").pay_account_number)
            if wait is None:
                first_has_it.set()
                raw(session).execute("SELECT pg_sleep(0.3)")

    local = threading.local()
    monkeypatch.setattr(identifiers, "draw_pay_account_number", lambda: local.draw())
    clerks = [threading.Thread(target=issue, args=(wait,)) for wait in (None, first_has_it)]
    for clerk in clerks:
        clerk.start()
    for clerk in clerks:
        clerk.join()
    assert len(numbers) == 2
    assert numbers[0] == same != numbers[1]


# --- roles and work --------------------------------------------------------------------------------------------------


def test_no_role_cancels_a_bill_by_itself(engine: Engine, database: Any) -> None:
    with transaction(engine) as session:
        bill = issue_invoice(session, permit(), issued_by="clerk")
    cancel = "INSERT INTO invoice_cancellation (invoice_id, reason, cancelled_by) VALUES (%s, 'r', 'x')"
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.connect("api") as connection:
        connection.execute(cancel, (bill.id,))
    with pytest.raises(psycopg.Error, match="another person agreed"), database.connect("worker") as connection:
        connection.execute(cancel, (bill.id,))


def test_the_worker_issues_spot_bills_and_cannot_cancel(engine: Engine, database: Any) -> None:
    worker = make_engine(database.url, role="worker", pool_size=0)
    request = InvoiceRequest("BUSPARK", [Charge("BPK.TRIP")], DUE, station_code="TANAKA", billing="spot", at=AT)
    with transaction(worker) as session:
        bill = issue_invoice(session, request, issued_by="spot")
        assert (bill.total_minor, bill.station_code, bill.payer_id) == (5_000, "TANAKA", None)
        assert session.get_one(payers.Invoice, bill.id).billing == "spot"
        posting = ledger.load(session, key=f"invoice:{bill.id}:issued").postings[0]
        assert (posting.station_code, posting.invoice_id) == ("TANAKA", bill.id)
    with Session(worker) as session, pytest.raises(psycopg.Error, match="another person agreed"):
        cancel_invoice(session, number=bill.number, reason="no right", by="worker")


def test_a_known_payers_credit_is_asked_for(engine: Engine) -> None:
    with transaction(engine) as session:
        payer = add_payer(session, name="Mama Wote").id
        stall = add_object(session, stream_code="SBP", reference="K 1", kind="permit", payer_id=payer)
        issued = issue_invoices(
            session, [permit(object_id=stall.id), permit(payer_id=payer), permit()], issued_by="clerk"
        )
        assert [bill.payer_id for bill in issued] == [payer, payer, None]
        rows = raw(session).execute("SELECT kind, ref_id FROM job ORDER BY id").fetchall()
        assert rows == [("apply_credit", issued[0].id), ("apply_credit", issued[1].id)]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"lines": []}, InvalidValue, "at least one line"),
        ({"lines": [Charge("SBP.SHOP", 0)]}, InvalidValue, "quantity"),
        ({"lines": [Charge("SBP.SHOP", 1, "tax")]}, InvalidValue, "component"),
        ({"lines": [Charge("SBP.NONE")]}, NotFound, "SBP.NONE"),
        ({"lines": [Charge("BPK.TRIP")]}, InvalidValue, "BUSPARK"),
        ({"lines": [line(), line(stream="BUSPARK")]}, InvalidValue, "BUSPARK"),
        ({"lines": [line(unit=0)]}, InvalidValue, "one cent"),
        ({"lines": [line(unit=-5)]}, InvalidValue, "one cent"),
        ({"lines": [line(unit=10**11, quantity=10)]}, InvalidValue, "ten billion"),
        ({"lines": [line("tax")]}, InvalidValue, "component"),
        ({"at": datetime(2026, 11, 20)}, InvalidValue, "zone"),  # noqa: DTZ001
        ({"payer_id": 99}, NotFound, "payer 99"),
        ({"object_id": 99}, NotFound, "object 99"),
        ({"stream_code": "NONE"}, NotFound, "NONE"),
        ({"station_code": "TANAKA"}, NotFound, "TANAKA"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_written(
    engine: Engine, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with transaction(engine) as session:
        with pytest.raises(error, match=says):
            issue_invoices(session, [permit(), permit(**changes)], issued_by="clerk")
        assert raw(session).execute("SELECT count(*) FROM invoice").fetchone() == (0,)


def test_an_object_is_billed_by_its_own_stream_only(engine: Engine) -> None:
    with transaction(engine) as session:
        bus = add_object(session, stream_code="BUSPARK", reference="KDA 123A", kind="plate", station_code="TANAKA")
        with pytest.raises(InvalidValue, match="belongs to stream BUSPARK"):
            issue_invoice(session, permit(object_id=bus.id), issued_by="clerk")
        request = InvoiceRequest("BUSPARK", [Charge("BPK.TRIP", 3)], DUE, object_id=bus.id)
        assert issue_invoice(session, request, issued_by="clerk").station_code == "TANAKA"


def test_no_request_is_no_statement(engine: Engine) -> None:
    assert statements(engine, []) == (0, [])
    with transaction(engine) as session, pytest.raises(InvalidValue, match="who"):
        issue_invoice(session, permit(), issued_by="")


# --- payers and objects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["0700 000 101", "+254700000101", "254700000101", "0700-000-101", "(0)700000101"])
def test_phones_are_kept_in_one_form(engine: Engine, typed: str) -> None:
    with transaction(engine) as session:
        payer = add_payer(session, name="  Mama   Wote ", phone=typed)
        assert (payer.name, payer.phone) == ("Mama Wote", "+254700000101")
        assert payer.public_id.startswith("pyr_")


@pytest.mark.parametrize(
    ("name", "phone", "field"), [("A", "0712", "phone"), ("A", "what", "phone"), (" ", None, "name")]
)
def test_a_wrong_payer_is_refused_by_field_and_the_phone_is_not_repeated(
    engine: Engine, name: str, phone: str | None, field: str
) -> None:
    with transaction(engine) as session, pytest.raises(InvalidValue) as refused:
        add_payer(session, name=name, phone=phone)
    assert refused.value.facts == {"field": field}
    assert phone is None or phone not in refused.value.message


@given(st.text(max_size=40))
def test_an_alias_is_letters_and_digits_and_stays_so(text: str) -> None:
    normal = key(text)
    assert normal == key(normal) == key(f" {text.lower()}-")
    assert not normal or (normal.isascii() and normal.isalnum() and normal == normal.upper())


def test_an_object_answers_to_every_way_it_is_written(engine: Engine) -> None:
    with transaction(engine) as session:
        added = add_object(
            session,
            stream_code="BUSPARK",
            reference="kda 123 a",
            kind="plate",
            aliases=["KDA-123A", "SACCO 7"],
            tariff_item="BPK.TRIP",
        )
        assert added.pay_account_number
        assert identifiers.is_pay_account_number(added.pay_account_number)
        by_alias = search(session, " Kda123a ")
        assert [(found.kind, found.by, found.public_id) for found in by_alias] == [("object", "alias", added.public_id)]
        assert search(session, "sacco7") == by_alias
        assert [found.by for found in search(session, added.pay_account_number)] == ["pay_account_number"]
        rows = raw(session).execute("SELECT kind, normal, typed FROM alias ORDER BY id").fetchall()
        assert rows == [("plate", "KDA123A", "kda 123 a"), ("plate", "SACCO7", "SACCO 7")]
        plain = add_object(session, stream_code="SBP", reference="KDA123A", kind="permit", standing_number=False)
        assert plain.pay_account_number is None
        assert len(search(session, "KDA123A")) == 2  # another stream may know the same plate


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"reference": "KDA-123-A"}, Conflict, "reference"),
        ({"reference": " - "}, InvalidValue, "reference"),
        ({"aliases": ["ok", "!"]}, InvalidValue, "aliases"),
        ({"kind": "Number Plate"}, InvalidValue, "kind"),
        ({"stream_code": "NONE"}, NotFound, "stream_code"),
        ({"station_code": "NONE"}, NotFound, "station_code"),
        ({"stream_code": "SBP", "station_code": "TANAKA"}, InvalidValue, "station_code"),
        ({"payer_id": 5}, NotFound, "payer_id"),
        ({"tariff_item": "SBP.SHOP"}, NotFound, "tariff_item"),
    ],
)
def test_a_wrong_object_is_refused_by_field(
    engine: Engine, changes: dict[str, Any], error: type[Exception], field: str
) -> None:
    with transaction(engine) as session:
        add_object(session, stream_code="BUSPARK", reference="KDA 123A", kind="plate")
        with pytest.raises(error) as refused:
            add_object(session, **{"stream_code": "BUSPARK", "reference": "KDB 1", "kind": "plate", **changes})
        assert refused.value.facts["field"] == field  # type: ignore[attr-defined]


def test_an_invoice_is_found_by_either_number(engine: Engine) -> None:
    with transaction(engine) as session:
        bill = issue_invoice(session, permit(), issued_by="clerk")
        spaced = f"{bill.pay_account_number[:3]} {bill.pay_account_number[3:6]} {bill.pay_account_number[6:]}"
        assert find_invoice(session, number=f" {bill.number.lower()} ").id == bill.id
        assert find_invoice(session, pay_account_number=spaced).id == bill.id
        assert [found.public_id for found in search(session, spaced)] == [bill.public_id]
        assert [found.by for found in search(session, bill.number.lower())] == ["invoice_number"]
        assert search(session, "  ") == search(session, "nothing") == search(session, bill.number, limit=0) == []
        with pytest.raises(InvalidValue):
            find_invoice(session)
        with pytest.raises(NotFound):
            find_invoice(session, pay_account_number="123456789")


def test_searching_reads_indexes_only(engine: Engine) -> None:
    with transaction(engine) as session:
        raw(session).execute("SET LOCAL enable_seqscan = off")
        plan = raw(session).execute("EXPLAIN " + payers._SEARCH, {"text": "X", "normal": "X", "limit": 5})
        assert "Seq Scan" not in "\n".join(row[0] for row in plan)
