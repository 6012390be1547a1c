"""The intake on a real database under its real server: a delivery is a row before it is answered, whatever it is."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest

from adapters.mpesa import adapter as mpesa
from revenue_engine.config import Settings
from revenue_engine.errors import ConfigurationError
from revenue_engine.intake import connections, server
from revenue_engine.intake import store as intake_store
from revenue_engine.ports.callbacks import Answer, Verdict
from tests.conftest import Database
from tests.support.intake_server import HOME, KEPT, PROVIDER, REFUSED, Process, Rig, free_port

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def rig(database: Database) -> Iterator[Rig]:
    made = Rig(database)
    yield made
    made.close()


def wait_for(condition: Any, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())


# --- what is kept --------------------------------------------------------------------------------------------------


def test_a_delivery_is_stored_as_it_came_with_its_job(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve()
    body = b'{"TransID":"UIE4H7K2QX","TransAmount":"1250.00"}'
    answer = served.post(
        token, body, content_type="application/json", authorization="Bearer x", cookie="a=b", x_other="no"
    )
    assert (answer.status_code, answer.content) == (200, KEPT)
    assert answer.headers["content-type"] == "application/json"
    assert "server" not in answer.headers
    ((stored, length, verdict, reason, peer, headers, purpose, _),) = rig.deliveries()
    assert (stored, length, verdict, reason, peer, purpose) == (body, len(body), "accepted", "", HOME, "confirmation")
    assert set(headers) == {"content-type", "user-agent"}
    assert rig.sql("SELECT kind, state FROM job") == [("interpret", "ready")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe not text",
        b'{"TransAmount": NaN, "TransAmount": 1e400}',
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5_000 + b"}",
        "{'jina': 'Nyaŋo\u2028'}".encode(),
    ],
    ids=["empty", "binary", "nan", "deep", "digits", "unicode"],
)
def test_a_body_that_cannot_be_read_is_stored_and_acknowledged(rig: Rig, body: bytes) -> None:
    tokens, served = [rig.endpoint("confirmation"), rig.endpoint("validation")], rig.serve()
    rig.sql("UPDATE county SET refuse_unknown_accounts = true")
    answers = [served.post(token, body) for token in tokens]
    assert [answer.content for answer in answers] == [KEPT, mpesa.answer(Answer.ACCEPT)]
    assert [(row[0], row[2]) for row in rig.deliveries()] == [(body, "accepted")] * 2


def test_strange_headers_do_not_hinder_a_delivery(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve()
    with served.raw() as connection:
        connection.sendall(
            f"POST /cb/v1/{token}?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n".encode()
            + b"Content-Type: \xff\xfe'\"\\u0000\r\nUser-Agent: a\r\nUser-Agent: b\r\n\r\n{}"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert rig.deliveries()[0][5] == {"content-type": "ÿþ'\"\\u0000", "user-agent": "a, b"}


def test_an_unknown_token_leaves_no_row_and_nothing_else_is_served(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve()
    assert served.post("x" * 43).status_code == 404
    assert served.post("%00%ff").status_code == 404
    assert served.app.counters.unknown_token == 2
    assert served.client.get(f"/cb/v1/{token}").status_code == 404
    assert served.client.post("/", content=b"x").status_code == 404
    assert rig.deliveries() == []


def test_a_disabled_account_still_keeps_what_comes(rig: Rig) -> None:
    token = rig.endpoint()
    rig.sql("UPDATE channel_account SET status = 'disabled'")
    assert rig.serve().post(token).content == KEPT
    assert rig.deliveries()[0][2] == "accepted"


# --- proof of origin -----------------------------------------------------------------------------------------------


def test_a_stranger_is_stored_and_refused_whatever_he_says_of_himself(rig: Rig) -> None:
    rig.sql("UPDATE channel_account SET settings = jsonb_set(settings, '{peers}', %s)", json.dumps([PROVIDER]))
    token, served = rig.endpoint(), rig.serve()
    answers = [served.post(token), served.post(token, x_forwarded_for=PROVIDER)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(403, REFUSED)] * 2
    for row in rig.deliveries():
        assert (row[2], row[4]) == ("refused", HOME)
        assert "allow-list" in row[3]
    assert served.app.counters.refused == 2


def test_our_own_proxy_is_believed_for_its_nearest_stranger_only(rig: Rig) -> None:
    rig.sql("UPDATE channel_account SET settings = jsonb_set(settings, '{peers}', %s)", json.dumps([PROVIDER]))
    token, served = rig.endpoint(), rig.serve(trusted_proxies=["127.0.0.0/8"])
    said = [PROVIDER, f"{PROVIDER}, 10.9.9.9", f"10.9.9.9, {PROVIDER}:4711, 127.0.0.2", f"{PROVIDER}, rubbish"]
    assert [served.post(token, x_forwarded_for=hops).status_code for hops in said] == [200, 403, 200, 403]
    assert [row[4] for row in rig.deliveries()] == [PROVIDER, "10.9.9.9", PROVIDER, None]


@pytest.mark.parametrize(
    ("client", "forwarded", "peer"),
    [
        (("10.0.0.5", 1), "", "10.0.0.5"),
        (("10.0.0.5", 1), "1.2.3.4", "1.2.3.4"),
        (("10.0.0.5", 1), "1.2.3.4, 10.0.0.6", "1.2.3.4"),
        (("10.0.0.5", 1), "10.0.0.7, 10.0.0.6", "10.0.0.7"),
        (("10.0.0.5", 1), "[2001:db8::1]:443", "2001:db8::1"),
        (("10.0.0.5", 1), "1.2.3.4,", ""),
        (("::ffff:10.0.0.5", 1), "1.2.3.4", "1.2.3.4"),
        (("9.9.9.9", 1), "1.2.3.4", "9.9.9.9"),
        (("fe80::1%eth0", 1), "", "fe80::1"),
        (None, "1.2.3.4", ""),
    ],
)
def test_the_peer(client: tuple[str, int] | None, forwarded: str, peer: str) -> None:
    proxies = (server.ipaddress.ip_network("10.0.0.0/8"),)
    assert server._peer(client, forwarded, proxies) == peer


def test_our_own_mistakes_refuse_the_proof_and_keep_the_delivery(rig: Rig) -> None:
    tokens = [
        rig.endpoint(account=rig.account("mpesa", {"shortcode": "not a number"})),
        rig.endpoint(account=rig.account("faulty", {"secret_file": "hush"})),
    ]
    served = rig.serve()
    answers = [served.post(token, x_signature="abc") for token in tokens]
    assert [(answer.status_code, answer.content) for answer in answers] == [
        (403, REFUSED),
        (403, b"refused"),
    ]
    rows = rig.deliveries()
    assert [(row[2], row[3]) for row in rows] == [
        ("refused", "settings invalid: shortcode"),
        ("refused", "verify raised ZeroDivisionError"),
    ]
    assert ["x-signature" in row[5] for row in rows] == [False, True]


# --- size and time -------------------------------------------------------------------------------------------------


def test_an_overlong_body_is_kept_to_the_limit_and_acknowledged(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve(body_limit=1024)
    assert served.post(token, b"x" * 1024).content == KEPT
    assert served.post(token, b"x" * 5_000).content == KEPT
    assert served.post("unknown", b"x" * 5_000).status_code == 404
    rows = [(len(row[0]), *row[1:4]) for row in rig.deliveries()]
    assert rows == [(1024, 1024, "accepted", ""), (1024, 5_000, "refused", "body longer than 1024 bytes")]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_cut_off_and_answered(rig: Rig, chunked: bool) -> None:
    token, served = rig.endpoint(), rig.serve(body_limit=1024)
    with served.raw() as connection:
        size = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000000"
        connection.sendall(f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\n{size}\r\n\r\n".encode())
        piece = b"x" * 1000
        for _ in range(17):
            connection.sendall(b"3e8\r\n" + piece + b"\r\n" if chunked else piece)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
    ((body, length, verdict, *_),) = rig.deliveries()
    assert (len(body), length, verdict) == (1024, 17_000 if chunked else 1_000_000_000, "refused")


def test_a_body_that_trickles_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READ_WITHIN", 0.4)
    token, served = rig.endpoint(), rig.serve()
    with served.raw() as connection:
        connection.sendall(f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
        assert connection.recv(4096) == b""
    with served.raw() as connection:
        connection.sendall(f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
    assert wait_for(lambda: served.app.counters.broken_off == 1)
    assert served.app.counters.too_slow == 1
    assert rig.deliveries() == []


def test_headers_that_trickle_are_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WITHIN", 0.6)
    token, served = rig.endpoint(), rig.serve()
    with served.raw() as connection, served.raw() as silent:
        head = f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.settimeout(0.1)
        sent = 0
        for byte in head:
            try:
                connection.sendall(bytes([byte]))
                if connection.recv(4096) == b"":
                    break
            except TimeoutError:
                sent += 1
            except OSError:
                break
        assert 3 <= sent < len(head) - 20
        silent.settimeout(5)
        assert silent.recv(10) == b""


# --- durability ----------------------------------------------------------------------------------------------------


def test_fifty_at_once_are_all_kept_in_shared_commits(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve()
    bodies = [b'{"n": %d}' % number for number in range(400)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda body: served.post(token, body).status_code, bodies))
    assert answers == [200] * len(bodies)
    assert sorted(row[0] for row in rig.deliveries()) == sorted(bodies)
    assert rig.sql("SELECT count(*) FROM job WHERE kind = 'interpret'") == [(len(bodies),)]
    assert served.app.counters.kept == len(bodies)


def test_no_answer_before_the_commit_and_a_broken_connection_loses_nothing(rig: Rig) -> None:
    tokens, served = [rig.endpoint("confirmation"), rig.endpoint("validation")], rig.serve()
    with psycopg.connect(rig.database.url) as admin, ThreadPoolExecutor(2) as pool:
        admin.execute("LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE")
        waiting = pool.submit(served.post, tokens[0], b"first")
        question = pool.submit(served.post, tokens[1], b"second").result(timeout=10)
        assert question.status_code == 503
        assert not waiting.done()
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'revenue-intake'"
        ).fetchall()
        assert ended
        time.sleep(0.2)
        assert not waiting.done()
        admin.rollback()
        assert waiting.result(timeout=10).content == KEPT
    assert [row[0] for row in rig.deliveries()] == [b"first"]
    assert served.app.counters.not_kept == 1
    assert served.client.get("/readyz").status_code in {200, 503}
    assert wait_for(lambda: served.client.get("/readyz").status_code == 200)


def test_kill_minus_nine_keeps_every_acknowledged_delivery(rig: Rig) -> None:
    token = rig.endpoint()
    process = Process(rig.database.url)
    process.wait_until_ready()
    acknowledged: list[bytes] = []

    def send(worker: int) -> None:
        with httpx2.Client(timeout=10) as client:
            for number in range(2_000):
                body = b"%d-%d" % (worker, number)
                try:
                    answer = client.post(f"http://{HOME}:{process.port}/cb/v1/{token}", content=body)
                except httpx2.TransportError:
                    return
                if answer.status_code == 200:
                    acknowledged.append(body)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    assert wait_for(lambda: len(acknowledged) > 100, 20)
    said = process.kill()
    for thread in threads:
        thread.join(timeout=20)
    stored = {row[0] for row in rig.deliveries()}
    assert set(acknowledged) <= stored
    assert len(stored) - len(acknowledged) <= len(threads)
    assert token not in said
    assert all(json.loads(line)["event"] for line in said.splitlines())


def test_it_refuses_to_start_where_a_commit_is_not_durable(rig: Rig) -> None:
    rig.sql(f"ALTER DATABASE {rig.database.name} SET synchronous_commit = off")
    settings = Settings(intake_port=free_port())
    with pytest.raises(ConfigurationError, match="synchronous_commit = off"):
        server.run(settings, database_url=rig.database.url, adapters={"mpesa": mpesa})


def test_one_row_the_database_refuses_does_not_fail_the_others(rig: Rig) -> None:
    endpoint = intake_store.Endpoint(id=1, channel_account_id=1, purpose="confirmation", token_sha256=bytes(32))
    good = [
        intake_store.row_of(endpoint, peer="::1", headers={}, body=b"%d" % n, body_length=1, verdict=Verdict(True))
        for n in range(21)
    ]
    poison = (*good[0][:7], b"bogus", b"")

    async def keep() -> list[Any]:
        store = intake_store.Store(rig.database.url)
        await store.start()
        try:
            rows = [*good[:13], poison, *good[13:]]
            return await asyncio.gather(*(store.keep(row) for row in rows), return_exceptions=True)
        finally:
            await store.stop()

    results = asyncio.run(keep())
    assert [number for number, result in enumerate(results) if result is not None] == [13]
    assert isinstance(results[13], intake_store.NotKept)
    assert sorted(int(row[0]) for row in rig.deliveries()) == list(range(21))


def test_too_many_waiting_are_turned_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_store, "MOST_WAITING_BYTES", 10)
    token, served = rig.endpoint(), rig.serve()
    assert served.post(token, b"x" * 11).status_code == 503
    assert served.post(token, b"x" * 9).status_code == 200


# --- endpoints and questions ---------------------------------------------------------------------------------------


def test_tokens_rotate_without_a_restart(rig: Rig) -> None:
    old, served = rig.endpoint(), rig.serve()
    assert served.post(old).status_code == 200
    new = rig.endpoint()
    assert wait_for(lambda: served.post(new).status_code == 200)
    assert served.post(old).status_code == 200
    rig.sql("UPDATE channel_endpoint SET revoked_at = now() WHERE id = (SELECT min(id) FROM channel_endpoint)")
    assert wait_for(lambda: served.post(old).status_code == 404)
    assert served.post(new).status_code == 200


def question(account: str) -> bytes:
    return json.dumps({"BillRefNumber": account, "TransAmount": "100.00", "BusinessShortCode": "600100"}).encode()


def test_questions_are_answered_by_the_county_s_policy(rig: Rig) -> None:
    bill, token, served = rig.books.bill(100), rig.endpoint("validation"), rig.serve()
    accept, unknown = mpesa.answer(Answer.ACCEPT), mpesa.answer(Answer.UNKNOWN_ACCOUNT)
    asked = [bill.pay_account_number, f"bill {bill.pay_account_number}", "Malaba KDA 123A", "no such thing", "", "!?"]
    assert [served.post(token, question(account)).content for account in asked] == [accept] * len(asked)
    rig.sql("UPDATE county SET refuse_unknown_accounts = true")
    assert wait_for(lambda: served.post(token, question("no such thing")).content == unknown)
    answers = [served.post(token, question(account)) for account in asked]
    assert [answer.content for answer in answers] == [accept, accept, accept, unknown, unknown, unknown]
    assert {answer.status_code for answer in answers} == {200}
    assert {(row[2], row[6]) for row in rig.deliveries()} == {("accepted", "validation")}


def test_a_slow_answer_lets_the_payer_through_within_its_budget(rig: Rig) -> None:
    rig.sql("UPDATE county SET refuse_unknown_accounts = true")
    token, served = rig.endpoint("validation"), rig.serve()
    with psycopg.connect(rig.database.url) as admin:
        admin.execute("LOCK TABLE pay_account IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        answer = served.post(token, question("no such thing"))
        took = time.monotonic() - started
    assert answer.content == mpesa.answer(Answer.ACCEPT)
    assert took < 1.5
    assert served.app.counters.questions_unanswered == 1
    assert len(rig.deliveries()) == 1


def test_the_intake_may_add_deliveries_and_nothing_more(rig: Rig) -> None:
    for statement in (
        "SELECT body FROM delivery",
        "INSERT INTO payment (public_id) VALUES ('x')",
        "UPDATE channel_endpoint SET revoked_at = NULL",
        "SELECT * FROM payer",
    ):
        with rig.database.connect("intake") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_health_and_counters(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve()
    served.post(token)
    assert served.client.get("/livez").status_code == 200
    assert served.client.get("/readyz").json() == {"ready": True}
    counts = served.client.get("/countersz").json()
    assert (counts["kept"], counts["batches"], counts["unserved"]) == (1, 1, 0)
    assert counts["adapters"] == ["faulty", "mpesa"]
    assert served.client.get("/countersz", headers={"x-forwarded-for": "1.2.3.4"}).status_code == 404
