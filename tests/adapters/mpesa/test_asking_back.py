"""A whole plan asked back over HTTP: whatever no callback told of is found by pull, by query and by status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

import httpx2

from adapters.mpesa import adapter
from adapters.sandbox.mpesa_provider import Provider
from adapters.sandbox.mpesa_server import serving
from revenue_engine import bootstrap
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Ignored, Paid, Purpose, Unknown
from revenue_engine.ports.outbound import Sent
from tests.adapters.mpesa.conftest import Kept
from tests.test_simulator import FIRST, planned

HOLDERS = {"600100": "Sample County", "600101": "Sample Hospitals"}
NOW = datetime.combine(FIRST + timedelta(days=2), time(0, 30), NAIROBI)
"""Half an hour into the third day: the first two days can be pulled but for their first half hour."""


def test_what_was_withheld_is_asked_back(kept: Kept, tmp_path: Any) -> None:
    _, plan = planned(1200, withheld=25)
    provider = Provider(HOLDERS, seed=5, clock=lambda: NOW)
    provider.load(plan)
    provider.keys.write(tmp_path, kept.addresses)
    window = (NOW - timedelta(hours=48), NOW)
    missed = [one for one in provider.withheld if one.occurred_at <= NOW][:3]
    told = {reference: one.amount_minor for reference, one in plan.truth.delivered.items()}
    asked = [*plan.pushes[::10], *plan.pushes[-48:]]
    with serving(provider) as url, httpx2.Client(trust_env=False, timeout=20) as http:
        found: dict[str, Paid] = {}
        states: dict[str, str] = {}
        for shortcode in HOLDERS:
            settings: Mapping[str, Any] = {"shortcode": shortcode, "asking": provider.keys.asking(url)}
            client = bootstrap.outbound_client("mpesa", settings, http=http, secrets_dir=tmp_path, clock=lambda: NOW)
            assert isinstance(client.register_pull(), Sent)  # type: ignore[attr-defined]
            for page in client.pull(since=window[0], until=window[1]):
                rows = adapter.interpret_all(page.body, purpose=Purpose(page.purpose))
                found |= {one.reference: one for one in rows if isinstance(one, Paid)}
            for push in asked:
                meaning = adapter.interpret(client.query(push.request_id).body, purpose=Purpose.QUERY)
                assert isinstance(meaning, Ignored | Unknown)
                states[push.request_id] = meaning.request_state
            for missing in missed:
                if missing.shortcode == shortcode:
                    client.status(reference=missing.reference)
        assert provider.sender.idle()
    expected = {c.reference: c for c in plan.truth.credits if window[0] <= c.occurred_at <= window[1]}
    assert len(expected) > 400
    assert found.keys() == expected.keys()
    for reference, one in found.items():
        credit = expected[reference]
        assert (one.amount_minor, one.account_reference) == (credit.amount_minor, credit.typed)
        assert one.occurred_at == credit.occurred_at
    withheld = found.keys() - told.keys()
    assert len(withheld) > 5
    assert withheld == {c.reference for c in plan.truth.withheld} & expected.keys()
    paid = {one.request_id for one in provider.books.movements if one.request_id and one.occurred_at <= NOW}
    assert all((state == "paid") == (request in paid) for request, state in states.items())
    assert set(states.values()) >= {"paid", "pending", "failed", "cancelled"}
    by_status = [adapter.interpret(body, purpose=Purpose.RESULT) for body in kept.of(Purpose.RESULT)]
    assert {one.reference for one in by_status if isinstance(one, Paid)} == {one.reference for one in missed}
