"""Which single message posts money, and which waits."""

from __future__ import annotations

import pytest

from revenue_engine.collection import recording
from revenue_engine.payments import Identity, Push, Stored, typed_digest
from revenue_engine.ports.callbacks import Strength
from tests.support.books import NOON

LIMIT = 250_000_00


@pytest.mark.parametrize(
    ("strength", "request_id", "amount", "posts"),
    [
        (Strength.PROVES, "", LIMIT, True),
        (Strength.CONFIRMS, "", LIMIT - 1, True),
        (Strength.CONFIRMS, "", LIMIT, False),
        (Strength.CONFIRMS, "ws_CO_1", LIMIT, True),
        (Strength.CONFIRMS, "ws_CO_2", 1, False),
        (Strength.SUPPORTS, "", 1, False),
        (Strength.SUPPORTS, "ws_CO_1", LIMIT, False),
    ],
)
def test_a_message_that_only_supports_posts_nothing_whatever_request_it_names(
    strength: Strength, request_id: str, amount: int, posts: bool
) -> None:
    asked = {"ws_CO_1": Push("ws_CO_1", 1, 1, LIMIT)}
    one = Stored(
        id=1,
        delivery_id=1,
        identity=Identity(1, "payment", "UI0000S001"),
        message="a message",
        amount_minor=amount,
        currency="KES",
        occurred_at=NOON,
        request_id=request_id,
        reverses="",
        strength=strength,
        typed_digest=typed_digest(""),
    )
    assert recording._confirms(one, asked, LIMIT) is posts
