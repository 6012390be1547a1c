"""Files from a bank's SFTP, with a real server on loopback: taken once, when they are whole, from the right server, for
the drop's own accounts. Everything else is refused with words and is somebody's."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import psycopg
import pytest
import tenacity

from adapters.kcb import adapter as kcb
from adapters.kcb import rehearsals
from adapters.sandbox import bank, bank_drop
from adapters.sandbox.bank import BankDay
from adapters.sandbox.bank_drop import Address
from revenue_engine import bootstrap, db
from revenue_engine.access import approvals
from revenue_engine.channels import deliveries
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.statements import drops, fetching
from revenue_engine.statements.drops import Drop
from revenue_engine.statements.fetching import Fetcher, Look
from revenue_engine.worker import Worker
from tests.conftest import Database
from tests.flows.test_banks import add
from tests.support import people
from tests.support.books import Books

ACCOUNT, SECOND, FOREIGN = "1100100", "1100200", "2200999"
KEY_FILE = "bank-drop.key"
DAY = date(2026, 9, 15)


def day(number: int = 0, *, account: str = ACCOUNT, payments: int = 3, opening: int = 50_000) -> BankDay:
    """A day of an account; days that follow each other open with what the one before closed with."""
    made = bank.make_day("kcb", account, DAY + timedelta(days=number), payments=payments, seed=number, faults=())
    before = (
        opening if number == 0 else day(number - 1, account=account, payments=payments, opening=opening).closing_minor
    )
    return replace(made, opening_minor=before)


class County:
    """A county with two accounts at a bank, the bank's folder, and a fetching process on the fetching login."""

    def __init__(self, database: Database, books: Books, folder: Path, home: Path, secrets: Path) -> None:
        self.database, self.books, self.folder, self.home, self.secrets = database, books, folder, home, secrets
        self.accounts = {
            number: add(books, kcb, number, rehearsals.rehearse(number).settings) for number in (ACCOUNT, SECOND)
        }
        self.clerk, self.treasurer = people.somebody(database.url, "ict.officer", "ict"), people.treasurer(database.url)
        self.pauses: list[int] = []
        self.seconds = 1_789_000_000

    def put(self, name: str, content: bytes | BankDay) -> Path:
        """Put a file into the bank's folder."""
        path = self.folder / name
        path.write_bytes(bank.mt940(content) if isinstance(content, BankDay) else content)
        self.seconds += 1  # a server tells whole seconds, and a test puts two files into one
        os.utime(path, (self.seconds, self.seconds))
        return path

    def set_up(self, address: Address, *accounts: str, **other: Any) -> str:
        """Have a drop asked for, agreed to and set up; the request."""
        given: dict[str, Any] = {
            "name": "kcb-daily",
            "host": address.host,
            "port": address.port,
            "username": address.username,
            "key_file": KEY_FILE,
            "host_keys": [address.host_key],
            "account_ids": [self.accounts[one] for one in accounts or (ACCOUNT,)],
            "settle_seconds": 1,
            "reason": "the bank delivers from today",
        }
        api = self.books.as_role("api")
        with self.clerk.acts(), db.transaction(api) as session:
            public = drops.ask(session, **given | other)
        people.agree(api, public, who=self.treasurer)
        self.work()
        return public

    def fetcher(self, pause: Callable[[int], object] | None = None) -> Fetcher:
        """A fetching process of its own, that waits as the test says."""
        engine = db.make_engine(self.database.role_url("fetch"), pool_size=2)
        self.books.engines.append(engine)
        return Fetcher(
            engine,
            lambda drop: bootstrap.drop_client(drop, secrets_dir=self.secrets),
            bootstrap.statement_readers(),
            pause=pause or self.pauses.append,
            back_off=tenacity.wait_none(),
        )

    def fetch(self, pause: Callable[[int], object] | None = None) -> Look:
        """One look into the one drop."""
        (look,) = self.fetcher(pause).once()
        return look

    def work(self) -> None:
        """Let a worker do what is due."""
        Worker(self.books.as_role("worker"), {"kcb": kcb}, bootstrap.statement_readers()).drain()

    def breaks(self) -> list[tuple[str, str, str]]:
        """The open breaks about files and drops: reason, owner, words."""
        return self.books.rows(
            "SELECT reason, owner, detail FROM break_case WHERE closed_at IS NULL AND reason IN ('unparseable',"
            " 'wrong_shortcode_or_stream', 'statement_not_fetched') ORDER BY opened_at, key"
        )

    def kept(self) -> list[tuple[Any, ...]]:
        """What was fetched: account, name, verdict, bytes told."""
        return self.books.rows(
            "SELECT channel_account_id, headers->>'filename', verdict, body_length FROM delivery"
            " WHERE purpose = 'fetched' ORDER BY id"
        )

    def lines(self) -> int:
        """How many lines of statements are in the books."""
        return int(self.books.rows("SELECT count(*) FROM statement_line")[0][0])

    def drop(self) -> Drop:
        """The drop in force."""
        with db.transaction(self.books.as_role("api")) as session:
            (found,) = drops.in_force(session)
        return found


@pytest.fixture
def county(database: Database, tmp_path: Path) -> Iterator[County]:
    """A county and an empty folder at its bank."""
    folder, home, secrets = tmp_path / "out", tmp_path / "bank", tmp_path / "secrets"
    folder.mkdir()
    bank_drop.make_keys(home, secrets, key_file=KEY_FILE)
    books = Books(database.url)
    yield County(database, books, folder, home, secrets)
    books.close()


@pytest.fixture
def served(county: County) -> Iterator[Address]:
    """The bank's SFTP, running."""
    with bank_drop.serving(county.home, county.folder) as address:
        yield address


def whats(look: Look) -> list[tuple[str, str]]:
    return [(file.name, file.what) for file in look.files]


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_a_file_at_the_bank_is_fetched_once_and_read_as_proof(county: County, served: Address) -> None:
    county.set_up(served)
    county.put("st15.sta", day())
    look = county.fetch()
    assert (look.outcome, whats(look), county.pauses) == ("seen", [("st15.sta", "taken")], [1])
    county.work()
    # Then the bank's file alone posted what it shows, and nothing waits for a second person
    assert county.lines() == 3
    assert county.books.rows("SELECT count(*) FROM payment WHERE kind = 'payment'") == [(3,)]
    assert county.books.states([look.files[0].deliveries[0]]) == ["posted"]
    assert county.breaks() == []
    # And a second look finds nothing new and does not wait
    assert (whats(county.fetch()), county.pauses, len(county.kept())) == ([], [1], 1)


def test_the_same_bytes_under_another_name_are_known(county: County, served: Address) -> None:
    county.set_up(served)
    county.put("a.sta", day())
    county.fetch()
    county.put("b.sta", day())
    look = county.fetch()
    assert whats(look) == [("b.sta", "known")]
    assert "a.sta" in look.files[0].reason
    assert (whats(county.fetch()), len(county.kept())) == ([], 1)


def test_the_same_name_with_new_bytes_is_a_new_file_and_is_named_so(county: County, served: Address) -> None:
    county.set_up(served)
    county.put("statement.sta", day())
    county.fetch()
    county.put("statement.sta", day(1))
    look = county.fetch()
    (file,) = look.files
    assert (file.what, file.again) == ("taken", True)
    assert "other bytes under a name that was met before" in file.reason
    county.work()
    assert county.lines() == 6
    with db.transaction(county.books.as_role("api")) as session:
        assert [(one.name, one.again) for one in drops.files(session)] == [
            ("statement.sta", True),
            ("statement.sta", False),
        ]


def test_new_bytes_of_the_same_name_size_and_time_are_found_by_the_days_whole_look(
    county: County, served: Address
) -> None:
    county.set_up(served)
    first = bank.mt940(day())
    path = county.put("statement.sta", first)
    stamp = path.stat().st_mtime_ns
    assert county.fetch().whole
    other = first.replace(b":20:ST260915", b":20:SU260915")
    assert len(other) == len(first)
    county.put("statement.sta", other)
    os.utime(path, ns=(stamp, stamp))
    assert whats(county.fetch()) == []  # name, size and time say that nothing is new
    county.books.execute("ALTER TABLE fetch_look DISABLE TRIGGER refuse_change")
    county.books.execute("UPDATE fetch_look SET looked_at = looked_at - interval '1 day'")
    look = county.fetch()
    assert (look.whole, whats(look), look.files[0].again) == (True, [("statement.sta", "taken")], True)


# --- half a file ------------------------------------------------------------------------------------------------------


def test_a_half_written_file_waits_until_it_is_whole(county: County, served: Address) -> None:
    county.set_up(served)
    content = bank.mt940(day())
    path = county.put("st15.sta", content[:200])
    look = county.fetch(lambda _: path.write_bytes(content[:300]))
    assert whats(look) == [("st15.sta", "waiting")]
    assert county.kept() == []
    path.write_bytes(content)
    assert whats(county.fetch()) == [("st15.sta", "taken")]
    county.work()
    assert (county.lines(), county.breaks()) == (3, [])


def test_a_file_that_stood_still_half_written_proves_nothing_and_its_whole_is_a_new_file(
    county: County, served: Address
) -> None:
    county.set_up(served)
    content = bank.mt940(day())
    county.put("st15.sta", content[: len(content) // 2])
    county.fetch()
    county.work()
    assert county.lines() == 0
    ((reason, owner, _),) = county.breaks()
    assert (reason, owner) == ("unparseable", "ict")
    county.put("st15.sta", content)
    county.fetch()
    county.work()
    assert county.lines() == 3


def test_where_the_bank_renames_the_temporary_name_is_left_alone(county: County, served: Address) -> None:
    county.set_up(served, temporary=".part")
    county.put("st15.sta.part", bank.mt940(day())[:100])
    look = county.fetch()
    assert (whats(look), county.pauses, county.kept()) == ([("st15.sta.part", "waiting")], [], [])
    (county.folder / "st15.sta.part").write_bytes(bank.mt940(day()))
    (county.folder / "st15.sta.part").rename(county.folder / "st15.sta")
    assert whats(county.fetch()) == [("st15.sta", "taken")]
    assert county.pauses == []  # the bank's renaming says that the file is whole


def test_a_file_that_vanishes_is_told_and_left(county: County, served: Address) -> None:
    county.set_up(served)
    path = county.put("st15.sta", day())
    county.put("empty.sta", b"")
    look = county.fetch(lambda _: path.unlink())
    assert sorted(whats(look)) == [("empty.sta", "waiting"), ("st15.sta", "gone")]
    assert (look.outcome, county.kept()) == ("seen", [])


# --- whose it is ------------------------------------------------------------------------------------------------------


def test_another_banks_account_is_refused_with_an_owned_break_and_its_bytes_are_kept(
    county: County, served: Address
) -> None:
    county.set_up(served)
    county.put("other.sta", day(account=FOREIGN))
    look = county.fetch()
    assert whats(look) == [("other.sta", "refused")]
    county.work()
    ((reason, owner, words),) = county.breaks()
    assert (reason, owner) == ("wrong_shortcode_or_stream", "ict")
    assert FOREIGN in words
    assert "kcb-daily speaks for 1100100 only" in words
    assert county.lines() == 0
    assert county.kept()[0][2:] == ("refused", len(bank.mt940(day(account=FOREIGN))))
    # The same state of it is refused once; of an account that the county owns and another drop brings, as well
    assert whats(county.fetch()) == []
    county.put("second.sta", day(account=SECOND))
    assert whats(county.fetch()) == [("second.sta", "refused")]


def test_a_refused_file_is_looked_at_again_when_two_persons_changed_the_drop(county: County, served: Address) -> None:
    county.set_up(served)
    county.put("second.sta", day(account=SECOND))
    assert whats(county.fetch()) == [("second.sta", "refused")]
    county.set_up(served, ACCOUNT, SECOND)
    look = county.fetch()
    assert whats(look) == [("second.sta", "taken")]
    county.work()
    assert county.books.rows("SELECT DISTINCT channel_account_id FROM statement_line") == [(county.accounts[SECOND],)]


def test_of_a_file_of_several_accounts_only_the_drops_own_are_read_and_the_others_are_named(
    county: County, served: Address
) -> None:
    county.set_up(served, ACCOUNT, SECOND)
    county.put("all.sta", b"".join(bank.mt940(day(account=one)) for one in (ACCOUNT, SECOND, FOREIGN)))
    look = county.fetch()
    assert len(look.files[0].deliveries) == 2
    county.work()
    found = county.books.rows("SELECT channel_account_id, count(*) FROM statement_line GROUP BY 1 ORDER BY 1")
    assert found == [(county.accounts[ACCOUNT], 3), (county.accounts[SECOND], 3)]
    ((reason, owner, words),) = county.breaks()
    assert (reason, owner) == ("wrong_shortcode_or_stream", "ict")
    assert FOREIGN in words
    assert SECOND not in words


def test_a_statement_between_that_comes_late_lets_the_later_one_be_read(county: County, served: Address) -> None:
    county.set_up(served)
    for number in (0, 2):
        county.put(f"d{number}.sta", day(number))
    county.fetch()
    county.work()
    assert county.lines() == 3
    ((reason, _, words),) = county.breaks()
    assert reason == "unparseable"
    assert "bring the statement between them first" in words
    county.put("d1.sta", day(1))
    county.fetch()
    county.work()
    assert (county.lines(), county.breaks()) == (9, [])


# --- what is no statement ---------------------------------------------------------------------------------------------


def test_links_sizes_and_what_no_reader_knows_are_refused_by_name(county: County, served: Address) -> None:
    county.set_up(served, largest_bytes=4_096)
    outside = county.home / "host_key"
    (county.folder / "link.sta").symlink_to(outside)
    (county.folder / "up.sta").symlink_to("../bank/host_key")
    (county.folder / "folder.sta").mkdir()
    county.put("large.sta", b"x" * 5_000)
    county.put("text.sta", b"no statement at all")
    county.put(".hidden", b"x")
    os.mkfifo(county.folder / "pipe.sta")
    look = county.fetch()
    assert sorted(whats(look)) == [
        (name, "refused") for name in ("large.sta", "link.sta", "pipe.sta", "text.sta", "up.sta")
    ]
    words = {file.name: file.reason for file in look.files}
    assert "it is a link" in words["link.sta"]
    assert "5,000 bytes" in words["large.sta"]
    county.work()
    assert [(reason, owner) for reason, owner, _ in county.breaks()] == [("unparseable", "ict")] * 5
    ((bytes_kept,),) = county.books.rows(
        "SELECT count(*) FROM delivery WHERE purpose = 'fetched' AND position(%s IN body) > 0", outside.read_bytes()
    )
    assert bytes_kept == 0
    assert whats(county.fetch()) == []


@pytest.mark.parametrize("name", [b"../up.sta", b"/etc/passwd", b"..\\up.sta", b"a\x00b", b"\xff\xfe.sta", b"n" * 250])
def test_a_name_that_leads_elsewhere_is_refused_unread(
    county: County, served: Address, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    county.set_up(served)

    async def hostile(self: asyncssh.SFTPServer, path: bytes) -> Any:
        attrs = asyncssh.SFTPAttrs(type=1, size=10, permissions=0o100644, atime=1_700_000_000, mtime=1_700_000_000)
        yield asyncssh.SFTPName(name, attrs=attrs)

    monkeypatch.setattr(asyncssh.SFTPServer, "scandir", hostile)
    look = county.fetch()
    assert [file.what for file in look.files] == ["refused"]
    assert look.files[0].name.isprintable()
    county.work()
    ((reason, owner, _),) = county.breaks()
    assert (reason, owner) == ("unparseable", "ict")
    assert county.fetch().files == []


def test_a_server_that_sends_more_than_it_says_is_refused(
    county: County, served: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    county.set_up(served)
    county.put("st15.sta", day())
    told = asyncssh.SFTPAttrs.from_local

    def smaller(about: os.stat_result) -> asyncssh.SFTPAttrs:
        attrs = told(about)
        attrs.size = 100
        return attrs

    monkeypatch.setattr(asyncssh.SFTPAttrs, "from_local", smaller)
    look = county.fetch()
    assert whats(look) == [("st15.sta", "refused")]
    assert "the server says 100 bytes and sent" in look.files[0].reason


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
