"""Which files are taken: each once, when it is whole, for the drop's own accounts. The rest is refused with words and
is somebody's."""

from __future__ import annotations

import os
from typing import Any

import asyncssh
import psycopg
import pytest

from adapters.kcb import adapter as kcb
from adapters.sandbox import bank
from adapters.sandbox.bank_drop import Address
from revenue_engine import bootstrap, db
from revenue_engine.statements import drops
from revenue_engine.verification.deliveries import Sources, checks
from tests.support.bank_drop import ACCOUNT, FOREIGN, SECOND, County, day, whats

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
    # What the books keep of the file is what the file says, read again as a file and not as a message
    (check,) = checks(Sources({"kcb": kcb}, bootstrap.statement_readers()))
    assert check.reader is not None
    with psycopg.connect(county.books.url) as connection:
        assert [one.detail for one in check.reader(connection) if one] == []
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
