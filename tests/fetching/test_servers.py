"""Who answers, two processes at once, and who may set up and keep what: with a real server and real logins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import psycopg
import pytest
import tenacity

from adapters.sandbox import bank_drop
from adapters.sandbox.bank_drop import Address
from revenue_engine import db
from revenue_engine.access import approvals
from revenue_engine.channels import deliveries
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.statements import drops, fetching
from revenue_engine.statements.fetching import Look
from tests.support import people
from tests.support.bank_drop import ACCOUNT, KEY_FILE, SECOND, County, day, whats

# --- who answers ------------------------------------------------------------------------------------------------------


def test_a_server_with_another_host_key_is_asked_nothing(county: County, served: Address, tmp_path: Path) -> None:
    county.set_up(served)
    county.put("st15.sta", day())
    stranger = tmp_path / "stranger"
    bank_drop.make_keys(stranger, county.secrets, key_file=KEY_FILE)
    with bank_drop.serving(stranger, county.folder) as other:
        county.set_up(replace(served, port=other.port))
        look = county.fetch()
        assert (look.outcome, look.files, look.tries) == ("host_key", [], 1)
        county.work()
        ((reason, owner, words),) = county.breaks()
        assert (reason, owner) == ("statement_not_fetched", "ict")
        assert "a host key that was not agreed to" in words
        county.fetch()
        county.work()
        assert len(county.breaks()) == 1  # one break, however often
        # Two persons agree to the new key: the next look closes the break
        county.set_up(other)
        assert county.fetch().outcome == "seen"
        county.work()
        assert county.breaks() == []


def test_a_server_without_a_key_of_the_agreed_kind_is_another_server(county: County, served: Address) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_public_key().decode()
    county.set_up(served, host_keys=[rsa])
    look = county.fetch()
    assert (look.outcome, county.kept()) == ("host_key", [])


def test_of_two_agreed_keys_either_will_do_while_the_bank_changes_its_key(county: County, served: Address) -> None:
    coming = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    county.set_up(served, host_keys=[coming, served.host_key])
    assert county.fetch().outcome == "seen"


def test_a_server_that_is_away_is_tried_again_and_told_after_two_hours(county: County) -> None:
    with bank_drop.serving(county.home, county.folder) as address:
        county.set_up(address)
    look = county.fetch()
    assert (look.outcome, look.tries) == ("away", fetching.TRIES)
    county.work()
    assert county.breaks() == []
    county.books.execute("ALTER TABLE fetch_look DISABLE TRIGGER refuse_change")
    county.books.execute("UPDATE fetch_look SET looked_at = looked_at - interval '3 hours'")
    county.fetch()
    county.work()
    ((reason, owner, words),) = county.breaks()
    assert (reason, owner) == ("statement_not_fetched", "ict")
    assert "cannot be reached" in words
    with bank_drop.serving(county.home, county.folder, port=address.port):
        assert county.fetch().outcome == "seen"
    county.work()
    assert county.breaks() == []


def test_a_server_that_comes_back_within_the_look_is_looked_into(county: County) -> None:
    with bank_drop.serving(county.home, county.folder) as address:
        county.set_up(address)
    county.put("st15.sta", day())
    fetcher = county.fetcher()
    running: list[Any] = []

    def come_back(state: tenacity.RetryCallState) -> int:
        if state.attempt_number == 2:
            running.append(bank_drop.serving(county.home, county.folder, port=address.port))
            running[0].__enter__()
        return 0

    class Back(tenacity.wait.wait_base):
        def __call__(self, retry_state: tenacity.RetryCallState) -> float:
            return come_back(retry_state)

    fetcher.back_off = Back()
    try:
        (look,) = fetcher.once()
    finally:
        running[0].__exit__(None, None, None)
    assert (look.outcome, look.tries, whats(look)) == ("seen", 3, [("st15.sta", "taken")])


@pytest.mark.parametrize(
    ("spoil", "outcome", "words"),
    [
        (lambda key: key.unlink(), "settings", "cannot be read"),
        (lambda key: key.write_text("this is no key"), "settings", "no private key"),
        (
            lambda key: key.write_bytes(
                asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase="secret words")
            ),
            "settings",
            "without a passphrase",
        ),
        (
            lambda key: key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key()),
            "login",
            "did not let county in",
        ),
    ],
)
def test_a_key_file_that_is_gone_is_no_key_or_opens_nothing_is_told_and_never_shown(
    county: County, served: Address, spoil: Callable[[Path], object], outcome: str, words: str
) -> None:
    county.set_up(served)
    key = county.secrets / KEY_FILE
    spoil(key)
    look = county.fetch()
    assert (look.outcome, look.tries) == (outcome, 1)
    assert words in look.reason
    county.work()
    ((reason, owner, told),) = county.breaks()
    assert (reason, owner) == ("statement_not_fetched", "ict")
    assert "this is no key" not in told


def test_a_folder_that_is_not_there_is_told(county: County, served: Address) -> None:
    county.set_up(served, folder="/statements")
    look = county.fetch()
    assert (look.outcome, look.reason) == ("folder", "the folder that was agreed to is not there")


# --- two at once, and who may -----------------------------------------------------------------------------------------


def test_two_fetchers_at_once_take_each_file_once(county: County, served: Address) -> None:
    county.set_up(served)
    for number in range(6):
        county.put(f"d{number}.sta", day(number))
    barrier = threading.Barrier(2, timeout=60)
    looks: list[Look] = []

    def one() -> None:
        looks.append(county.fetch(lambda _: barrier.wait()))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(looks) == 2
    assert sum(look.count("taken") for look in looks) == 6
    assert sorted(row[1] for row in county.kept()) == [f"d{number}.sta" for number in range(6)]
    county.work()
    assert (county.lines(), county.breaks()) == (18, [])


def test_only_the_fetching_role_keeps_fetched_files_and_only_for_the_drops_accounts(
    county: County, served: Address
) -> None:
    county.set_up(served)
    keep = (
        "INSERT INTO delivery (channel_account_id, purpose, headers, body, body_length, verdict, verdict_reason)"
        " VALUES (%s, %s, %s, 'x', 1, 'accepted', '')"
    )
    own, other = county.accounts[ACCOUNT], county.accounts[SECOND]
    named = '{"drop": "kcb-daily"}'
    for role in ("api", "worker", "intake", "report"):
        with psycopg.connect(county.database.role_url(role)) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(keep, (own, "fetched", named))
        assert refused.value.sqlstate == "42501", role
    for purpose in ("statement", "pull", "confirmation"):
        with psycopg.connect(county.database.role_url("fetch")) as connection, pytest.raises(psycopg.Error):
            connection.execute(keep, (own, purpose, named))
    for account, headers in ((other, named), (own, '{"drop": "another"}'), (own, "{}")):
        with psycopg.connect(county.database.role_url("fetch")) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(keep, (account, "fetched", headers))
        assert refused.value.sqlstate == "RV403"
    with psycopg.connect(county.database.role_url("fetch")) as connection:
        connection.execute(keep, (own, "fetched", named))
    with psycopg.connect(county.database.role_url("fetch")) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT settings FROM channel_account")
    assert refused.value.sqlstate == "42501"


def test_a_drop_needs_two_persons_and_the_host_key_they_saw(county: County, served: Address) -> None:
    api = county.books.as_role("api")
    given: dict[str, Any] = {
        "name": "kcb-daily",
        "host": served.host,
        "port": served.port,
        "username": served.username,
        "key_file": KEY_FILE,
        "host_keys": [f"[{served.host}]:{served.port} {served.host_key} a comment"],
        "account_ids": [county.accounts[ACCOUNT]],
        "reason": "the bank delivers from today",
    }
    with county.clerk.acts(), db.transaction(api) as session:
        public = drops.ask(session, **given)
    with pytest.raises(NotAllowed):
        people.agree(api, public, who=county.clerk)
    assert county.fetcher().once() == []  # asked for is not agreed to
    with county.treasurer.acts(), db.transaction(api) as session:
        shown = approvals.one(session, public).facts()
    assert shown["state"]["fingerprints"] == [drops.fingerprint(served.host_key)]
    assert [one["identifier"] for one in shown["state"]["accounts"]] == [ACCOUNT]
    people.agree(api, public, who=county.treasurer)
    county.work()
    assert county.drop().host_keys == [served.host_key]
    # Nobody writes a drop beside the approval, and no other drop may speak for its account
    for role in ("api", "worker", "fetch"):
        with psycopg.connect(county.database.role_url(role)) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute("INSERT INTO statement_drop SELECT * FROM statement_drop")
        assert refused.value.sqlstate == "42501"
    with county.clerk.acts(), pytest.raises(Conflict, match="another drop"), db.transaction(api) as session:
        drops.ask(session, **given | {"name": "second"})
    # And an ended one is not looked into
    with county.clerk.acts(), db.transaction(api) as session:
        public = drops.ask_end(session, "kcb-daily", reason="the bank changed")
    people.agree(api, public, who=county.treasurer)
    county.work()
    assert county.fetcher().once() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "KCB daily"),
        ("host", "bank.example; rm"),
        ("port", 0),
        ("username", ""),
        ("key_file", "../key"),
        ("folder", "out/../../etc"),
        ("temporary", "part"),
        ("settle_seconds", 0),
        ("every_minutes", 2_000),
        ("largest_bytes", 1),
        ("host_keys", []),
        ("host_keys", ["ssh-ed25519 notbase64"]),
        ("account_ids", []),
    ],
)
def test_a_drop_that_is_set_up_wrong_is_refused_when_it_is_asked_for(
    county: County, served: Address, field: str, value: object
) -> None:
    with pytest.raises(InvalidValue):
        county.set_up(served, **{field: value})


def test_an_uploaded_file_of_the_same_account_is_no_fetched_one(county: County, served: Address) -> None:
    county.set_up(served)
    with db.transaction(county.books.as_role("api")) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        deliveries.keep(
            session,
            channel_account_id=county.accounts[ACCOUNT],
            purpose=Purpose.FETCHED,
            body=b"x",
            headers={"drop": "kcb-daily"},
        )
