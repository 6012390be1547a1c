"""What a live channel account hears is two persons' word: addresses, allow-list, end, and the account itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.channels import accounts, set_up
from revenue_engine.county import loading
from revenue_engine.county.files import CountyRefused
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound
from tests.access.test_attacks import tried
from tests.conftest import Database
from tests.support import people
from tests.support.books import COUNTIES, SHORTCODE, Books
from tests.support.commands import run
from tests.support.people import Someone

WHY = "the provider moved"
MINE = hashlib.sha256(b"a token of mine").hexdigest()

COPIED = (
    "INSERT INTO channel_account (public_id, name, adapter, identifier, mode, status, clearing_account, settings)"
    " SELECT 'cha_mine', name, adapter, '600999', mode, status, clearing_account, '{}' FROM channel_account"
)


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    made = Books(testland.url)
    yield made
    made.close()


@pytest.fixture
def ict(books: Books) -> Someone:
    return people.somebody(books.url, "ict", "ict")


def the_account(session: Session) -> accounts.ChannelAccount:
    return accounts.named(session, SHORTCODE, adapter="mpesa", mode="live")


def ask_address(books: Books, who: Someone, purpose: str = "confirmation", hours: int | None = None) -> set_up.Asked:
    grace = None if hours is None else timedelta(hours=hours)
    with who.acts(), db.transaction(books.as_role("api")) as session:
        return set_up.ask_address(session, the_account(session), purpose=purpose, grace=grace, reason=WHY)


def agreed(books: Books, public: str) -> tuple[str, str | None]:
    """Let the treasurer agree and a worker do it; how it ended, and why not."""
    people.agree(books.as_role("api"), public, who=books.treasurer)
    books.work()
    ((outcome, why),) = books.rows(
        "SELECT e.outcome, e.reason FROM access.execution e JOIN access.request r ON r.id = e.request_id"
        " WHERE r.public_id = %s",
        public,
    )
    return outcome, why


def listening(books: Books) -> dict[str, bytes]:
    return dict(
        books.rows(
            "SELECT purpose, token_sha256 FROM channel_endpoint"
            " WHERE revoked_at IS NULL OR revoked_at > now() ORDER BY id"
        )
    )


def hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def test_an_address_listens_when_another_person_has_agreed(books: Books, ict: Someone) -> None:
    before = listening(books)
    asked = ask_address(books, ict, "push_result")
    assert listening(books) == before
    shown = bytes(books.rows("SELECT shown FROM access.request WHERE public_id = %s", asked.public_id)[0][0])
    assert asked.tokens["push_result"].encode() not in shown  # only its hash travels
    assert hashed(asked.tokens["push_result"]).hex().encode() in shown
    assert b'"paybill"' in shown  # the settings as they are
    with pytest.raises(NotAllowed, match="another person answers"):
        people.agree(books.as_role("api"), asked.public_id, who=ict)
    with pytest.raises(NotAllowed, match="finance officer"):
        people.agree(books.as_role("api"), asked.public_id, who=books.clerk)
    assert listening(books) == before
    assert agreed(books, asked.public_id) == ("done", None)
    assert listening(books) == before | {"push_result": hashed(asked.tokens["push_result"])}


def test_an_address_is_replaced_with_its_grace(books: Books, ict: Someone) -> None:
    with pytest.raises(NotFound, match="listens"):
        ask_address(books, ict, "timeout", hours=1)
    first = ask_address(books, ict, "timeout")
    assert agreed(books, first.public_id) == ("done", None)
    second = ask_address(books, ict, "timeout", hours=24)
    meanwhile = ask_address(books, ict, "timeout", hours=1)
    other = ask_address(books, ict, "result")
    assert agreed(books, second.public_id) == ("done", None)
    assert agreed(books, other.public_id) == ("done", None)  # rests on the addresses of its own purpose
    rows = books.rows(
        "SELECT token_sha256, revoked_at - now() FROM channel_endpoint WHERE purpose = 'timeout' ORDER BY id"
    )
    assert [row[0] for row in rows] == [hashed(one.tokens["timeout"]) for one in (first, second)]
    assert timedelta(hours=23) < rows[0][1] < timedelta(hours=24)
    assert rows[1][1] is None
    with pytest.raises(Conflict, match="has changed since"):
        people.agree(books.as_role("api"), meanwhile.public_id, who=books.treasurer)


def test_settings_change_and_an_account_ends_by_two(books: Books, ict: Someone) -> None:
    address = ask_address(books, ict)
    assert agreed(books, address.public_id) == ("done", None)
    ((was,),) = books.rows("SELECT settings FROM channel_account WHERE id = 1")
    told = was | {"peers": ["196.201.214.0/24"]}
    with ict.acts(), db.transaction(books.as_role("api")) as session:
        public = set_up.ask_settings(session, the_account(session), told, reason=WHY)
        ends = set_up.ask_disable(session, the_account(session), close=True, reason=WHY)
    assert books.rows("SELECT settings FROM channel_account WHERE id = 1") == [(was,)]
    assert agreed(books, public) == ("done", None)
    assert books.rows("SELECT settings FROM channel_account WHERE id = 1") == [(told,)]
    with pytest.raises(Conflict, match="has changed since"):  # another account than who asked was shown
        people.agree(books.as_role("api"), ends, who=books.treasurer)
    with ict.acts(), db.transaction(books.as_role("api")) as session:
        ends = set_up.ask_disable(session, the_account(session), close=True, reason=WHY)
    assert agreed(books, ends) == ("done", None)
    assert books.rows("SELECT status FROM channel_account WHERE id = 1") == [("disabled",)]
    assert listening(books) == {}
    with pytest.raises(Conflict, match="disabled"):
        ask_address(books, ict)


def test_one_address_closes_by_two(books: Books, ict: Someone) -> None:
    assert agreed(books, ask_address(books, ict).public_id) == ("done", None)
    ((number,),) = books.rows("SELECT max(id) FROM channel_endpoint")
    with ict.acts(), db.transaction(books.as_role("api")) as session:
        public = set_up.ask_revoke(session, set_up.account_of(session, number), endpoint_id=number, reason=WHY)
    with ict.acts(), db.transaction(books.as_role("api")) as session, pytest.raises(NotFound):
        set_up.account_of(session, number + 1)
    with pytest.raises(NotFound, match="not listen"), ict.acts(), db.transaction(books.as_role("api")) as session:
        set_up.ask_revoke(session, the_account(session), endpoint_id=number + 1, reason=WHY)
    assert agreed(books, public) == ("done", None)
    assert books.rows("SELECT revoked_at IS NOT NULL FROM channel_endpoint WHERE id = %s", number) == [(True,)]


def test_a_live_account_comes_by_two_with_its_clearing_account(books: Books, ict: Someone) -> None:
    def ask(**other: Any) -> set_up.Asked:
        told: dict[str, Any] = {"adapter": "kcb", "identifier": "1100100", "name": "KCB", "settings": {"account": "1"}}
        with ict.acts(), db.transaction(books.as_role("api")) as session:
            return set_up.ask_account(session, purposes=["confirmation", "validation"], reason=WHY, **(told | other))

    for wrong in ({"adapter": "K"}, {"identifier": "../1"}, {"name": " "}, {"settings": {"peers": "any"}}):
        with pytest.raises(InvalidValue):
            ask(**wrong)
    for peer in ("127.0.0.1", "0.0.0.0/0", "::1", "nowhere"):
        with pytest.raises(InvalidValue):
            ask(settings={"peers": [peer]})
    with pytest.raises(Conflict, match="registered already"):
        ask(adapter="mpesa", identifier=SHORTCODE)
    with pytest.raises(InvalidValue, match="purpose"), ict.acts(), db.transaction(books.as_role("api")) as session:
        set_up.ask_account(
            session, adapter="kcb", identifier="1", name="K", settings={}, purposes=["gossip"], reason=WHY
        )
    asked, again = ask(), ask()
    assert books.rows("SELECT count(*) FROM channel_account WHERE adapter = 'kcb'") == [(0,)]
    assert agreed(books, asked.public_id) == ("done", None)
    assert books.rows("SELECT mode, status, clearing_account, settings FROM channel_account WHERE adapter = 'kcb'") == [
        ("live", "active", "1200.kcb-1100100", {"account": "1"})
    ]
    found = listening(books)
    assert {one: found[one] for one in asked.tokens} == {one: hashed(token) for one, token in asked.tokens.items()}
    with pytest.raises(Conflict, match="registered already"):
        people.agree(books.as_role("api"), again.public_id, who=books.treasurer)


# --- attacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["api", "worker", "intake", "report"])
def test_nobody_opens_an_address_or_moves_an_allow_list_by_sql(
    books: Books, ict: Someone, database: Database, role: str
) -> None:
    assert agreed(books, ask_address(books, ict).public_id) == ("done", None)
    reason = "42501" if role != "api" else "RV403"
    with psycopg.connect(database.role_url(role)) as connection:
        if role == "api":
            connection.execute("SELECT set_config('revenue.session', %s, false)", (ict.secret,))
            connection.commit()
        for statement in (
            f"INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256) SELECT 1, 'result', '\\x{MINE}'",
            "UPDATE channel_endpoint SET revoked_at = now() WHERE channel_account_id = 1",
            "UPDATE channel_endpoint SET revoked_at = NULL WHERE channel_account_id = 1",
            'UPDATE channel_account SET settings = settings || \'{"peers": ["10.0.0.1"]}\' WHERE id = 1',
            "UPDATE channel_account SET status = 'disabled' WHERE id = 1",
            "UPDATE channel_account SET name = 'Mine' WHERE id = 1",
            COPIED,
        ):
            found = tried(connection, statement)
            assert found.startswith(reason), (statement, found)
            if role == "api":
                assert "another person agreed; finance officer" in found, found


def test_an_allow_list_is_not_changed_and_put_back_in_one_transaction(
    books: Books, ict: Someone, database: Database
) -> None:
    again = (
        "WITH was AS (SELECT id, settings FROM channel_account WHERE mode = 'live')"
        " UPDATE channel_account c SET settings = was.settings FROM was WHERE was.id = c.id"
    )
    with psycopg.connect(database.role_url("api")) as connection:
        assert tried(connection, again).startswith("RV401")
        connection.execute("SELECT set_config('revenue.session', %s, false)", (ict.secret,))
        assert tried(connection, again).startswith("RV403 the live channel account")


def test_another_agreement_of_the_same_transaction_opens_no_other_address(
    books: Books, ict: Someone, database: Database
) -> None:
    """Had the worker the right to write addresses, the guard would still let it write what was agreed to only."""
    asked = ask_address(books, ict)
    people.agree(books.as_role("api"), asked.public_id, who=books.treasurer)
    ((number,),) = books.rows("SELECT id FROM access.request WHERE public_id = %s", asked.public_id)
    with psycopg.connect(books.url, autocommit=True) as connection:
        connection.execute(
            "GRANT INSERT (channel_account_id, purpose, token_sha256) ON channel_endpoint TO revenue_worker"
        )
    with psycopg.connect(database.role_url("worker")) as connection:
        connection.execute("SELECT access.execute(%s)", (number,))
        found = tried(
            connection,
            "INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256) VALUES (1, 'confirmation', %s)",
            bytes.fromhex(MINE),
        )
    assert found.startswith("RV403")


@pytest.mark.parametrize(
    "payload",
    [
        {"tokens": {}},
        {"tokens": {"gossip": MINE}},
        {"tokens": {"confirmation": "short"}},
        {"tokens": [MINE]},
        {"tokens": {"confirmation": MINE}, "grace_seconds": -1},
    ],
)
def test_a_request_made_by_hand_says_what_it_opens(books: Books, ict: Someone, payload: dict[str, Any]) -> None:
    kind = "channel_rotate" if "grace_seconds" in payload else "channel_open"
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_api")
        connection.execute("SELECT set_config('revenue.session', %s, false)", (ict.secret,))
        row = connection.execute("SELECT public_id FROM channel_account WHERE id = 1").fetchone()
        assert row is not None
        found = tried(
            connection,
            "SELECT access.ask(%s, 'mpesa', %s, 'because')",
            kind,
            Jsonb(payload | {"account": row[0]}),
        )
    assert found.startswith(("RV400", "RV404")), found


def test_a_county_file_brings_no_live_account_once_the_books_are_open(books: Books, tmp_path: Path) -> None:
    for file in (COUNTIES / "testland").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    listed = tmp_path / "channel_accounts.toml"
    listed.write_text(listed.read_text() + listed.read_text().replace(SHORTCODE, "600777"))
    with pytest.raises(CountyRefused, match="another person agrees"), db.transaction(books.as_role("api")) as session:
        loading.load(session, "testland", mode="live", directory=tmp_path)


# --- as their users have it ------------------------------------------------------------------------------------------


def test_channel_commands_ask_and_approval_agree_does(
    books: Books, ict: Someone, database: Database, tmp_path: Path
) -> None:
    here = {
        "REVENUE_DATABASE_URL": database.url,
        "REVENUE_REDIS_URL": database.servers.redis_url,
        "REVENUE_STATE_DIR": str(tmp_path / "var"),
        "REVENUE_TOKEN_FILE": str(tmp_path / "nobody"),
    }
    mine, other = here | ict.signed_in(tmp_path), here | books.treasurer.signed_in(tmp_path)

    def do(*words: str, env: dict[str, str], status: int = 0) -> Any:
        return json.loads(run(*words, "--json", env=env, status=status))

    opening = ("channel", "open", SHORTCODE, "--purpose", "confirmation", "--reason", WHY)
    assert do(*opening, env=here, status=1)["code"] == "not_signed_in"
    assert do(*opening[:-2], env=mine, status=1)["code"] == "invalid_value"  # says no reason
    asked = do(*opening, env=mine)
    assert listening(books) == {}
    token = asked["addresses"]["confirmation"].rpartition("/")[2]
    assert do("approval", "agree", asked["request"], env=other)["requests"][0]["stands"] == "done"
    assert listening(books) == {"confirmation": hashed(token)}

    known = {"shortcode": SHORTCODE, "kind": "paybill"}
    (tmp_path / "own.json").write_text(json.dumps(known | {"peers": ["127.0.0.1"]}))
    setting = ("channel", "set", SHORTCODE, "--settings", str(tmp_path / "own.json"), "--reason", WHY)
    assert "does not listen to 127.0.0.1" in do(*setting, env=mine, status=1)["message"]
    (tmp_path / "own.json").write_text(json.dumps(known | {"peers": ["196.201.214.0/24"]}))
    for words in (
        setting,
        ("channel", "rotate", SHORTCODE, "--reason", WHY),
        ("channel", "disable", SHORTCODE, "--reason", WHY),
    ):
        request = do(*words, env=mine)["request"]
        assert do("approval", "agree", request, env=other)["requests"][0]["stands"] == "done", words
    assert books.rows("SELECT status, settings FROM channel_account WHERE id = 1") == [
        ("disabled", known | {"peers": ["196.201.214.0/24"]})
    ]


def test_a_live_account_is_added_from_the_command_line(
    books: Books, ict: Someone, database: Database, tmp_path: Path
) -> None:
    secrets_dir = tmp_path / "secrets"
    secrets_dir.mkdir()
    (secrets_dir / "coop-password").write_text("a password of the bank\n")
    here = {
        "REVENUE_DATABASE_URL": database.url,
        "REVENUE_REDIS_URL": database.servers.redis_url,
        "REVENUE_STATE_DIR": str(tmp_path / "var"),
        "REVENUE_SECRETS_DIR": str(secrets_dir),
    }
    mine, other = here | ict.signed_in(tmp_path), here | books.treasurer.signed_in(tmp_path)
    file = tmp_path / "coop.toml"
    add = ("channel", "add", "coop", "01120000000100", "--live", "--name", "Co-op", "--settings", str(file))
    add += ("--reason", WHY, "--json")
    text = 'account = "01120000000100"\nusername = "coop"\npassword = "{}"\n'
    file.write_text(text.format("typed in"))
    refused = json.loads(run(*add, env=mine, status=1))
    assert "names its secret by file" in refused["message"]
    assert "typed in" not in json.dumps(refused)
    file.write_text(text.format("file:coop-password"))
    asked = json.loads(run(*add, env=mine))
    assert books.rows("SELECT count(*) FROM channel_account WHERE adapter = 'coop'") == [(0,)]
    done = json.loads(run("approval", "agree", asked["request"], "--json", env=other))
    assert done["requests"][0]["stands"] == "done"
    assert books.rows("SELECT mode, settings ->> 'password' FROM channel_account WHERE adapter = 'coop'") == [
        ("live", "file:coop-password")
    ]
    assert listening(books)["confirmation"] == hashed(asked["addresses"]["confirmation"].rpartition("/")[2])
