"""The baseline of ``bench_post``: django-hordak in its own environment, run there as a program of its own.

Imports nothing of ours. Its migrations are applied with all their triggers and constraints, which stay on. ``bulk`` is
the strongest way it supports: ``bulk_create`` of 1,000 transactions and their 2,000 legs in one commit. ``single`` is
one transaction with its two legs in one commit, by ``Account.transfer_to``.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from typing import Any

BATCH = 1_000


def configure(database: dict[str, Any]) -> None:
    """Django on the given database, without debugging."""
    import django
    from django.conf import settings

    settings.configure(
        DEBUG=False,
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None, **database}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djmoney", "mptt", "hordak"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        CURRENCIES=["KES"],
        DEFAULT_CURRENCY="KES",
        HORDAK_CURRENCIES=["KES"],
        HORDAK_INTERNAL_CURRENCY="EUR",  # its converter knows no other base; no amount is converted here
    )
    django.setup()


def set_up() -> None:
    """Migrate; a bank clearing account and one receivable per stream."""
    from django.core.management import call_command
    from hordak.models import Account, AccountType

    call_command("migrate", verbosity=0)
    Account.objects.create(name="Clearing", code="12", type=AccountType.asset, currencies=["KES"])
    for number in range(14):
        Account.objects.create(
            name=f"Receivable {number}", code=f"{13 + number}", type=AccountType.asset, currencies=["KES"]
        )


def bulk(count: int) -> None:
    """Debit clearing and credit a receivable, 1,000 at a commit."""
    from decimal import Decimal

    from django.db import transaction
    from hordak.models import Account, Leg, Transaction

    clearing, *receivables = Account.objects.order_by("code")
    day = datetime.date(2026, 9, 15)
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        with transaction.atomic():
            made = Transaction.objects.bulk_create(
                [Transaction(description=f"payment {number}", date=day) for number in numbers]
            )
            legs = []
            for number, one in zip(numbers, made, strict=True):
                amount = Decimal(5_000 + number) / 100
                legs.append(Leg(transaction=one, account=clearing, debit=amount, credit=None, currency="KES"))
                to = receivables[number % len(receivables)]
                legs.append(Leg(transaction=one, account=to, credit=amount, debit=None, currency="KES"))
            Leg.objects.bulk_create(legs)


def single(count: int) -> None:
    """One transfer a commit."""
    from hordak.models import Account
    from moneyed import Money

    clearing, *receivables = Account.objects.order_by("code")
    day = datetime.date(2026, 9, 15)
    for number in range(count):
        receivables[number % len(receivables)].transfer_to(
            clearing, Money(5_000 + number, "KES") / 100, description=f"payment {number}", date=day
        )


def state() -> dict[str, int]:
    """What stands: transactions, legs, and the sum of debits less credits, which is nothing."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM hordak_transaction), count(*),"
            " (sum(coalesce(debit, 0) - coalesce(credit, 0)) * 100)::bigint,"
            " (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'hordak_leg'::regclass AND NOT tgisinternal"
            "     AND tgenabled <> 'D') FROM hordak_leg"
        )
        transactions, legs, difference, triggers = cursor.fetchone()
    return {"transactions": transactions, "legs": legs, "difference": difference or 0, "triggers": triggers}


def main() -> None:
    """Read one line of JSON, say ``ready``, wait for a line, do it, answer one line of JSON."""
    given = json.loads(sys.stdin.readline())
    configure(given["database"])
    work = {"bulk": bulk, "single": single}.get(given["what"])
    if work is None:
        set_up()
        print(json.dumps(state()), flush=True)
        return
    state()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    work(given["count"])
    took = time.perf_counter() - began
    print(json.dumps({"seconds": took, **state()}), flush=True)


if __name__ == "__main__":
    main()
