"""What one caller may hold of the intake: heads, idle connections, shares; and what it truthfully answers."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from revenue_engine.errors import ConfigurationError, Retryable
from revenue_engine.intake import connections, server
from revenue_engine.intake.listening import listen
from revenue_engine.ports.callbacks import AckOutcome, Interpretation, Purpose, Unknown, Verdict
from tests.conftest import Database
from tests.support import intake_server
from tests.support.intake_server import HOME, KEPT, Rig, free_port

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def rig(database: Database) -> Iterator[Rig]:
    made = Rig(database)
    yield made
    made.close()


def answer(connection: socket.socket) -> bytes:
    """What comes until the other side closes or says nothing more."""
    said = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := connection.recv(65536):
            said += piece
            if b"\r\n\r\n" in said and b"connection: close" not in said:
                return said
    return said


def request(token: str, *, head: int = 0, body: bytes = b"{}") -> bytes:
    """A callback whose head, its blank line included, has so many bytes."""
    start = f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
    filled, left = b"", head - len(start) - 2
    while left > 0:
        size = left if left <= 1000 else 900
        filled += b"X-A: " + b"a" * (size - 7) + b"\r\n"
        left -= size
    return start + filled + b"\r\n" + body


# --- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [10, 4096, 10_000_000])
def test_a_head_of_16_kib_is_read_and_one_byte_more_is_refused(rig: Rig, piece: int) -> None:
    token, served = rig.endpoint(), rig.serve()
    for head, status in ((connections.HEAD_LIMIT, b"HTTP/1.1 200"), (connections.HEAD_LIMIT + 1, b"HTTP/1.1 431")):
        whole = request(token, head=head, body=b"x" * 50_000)
        assert whole.index(b"\r\n\r\n") + 4 == head
        with served.raw() as connection, contextlib.suppress(ConnectionError):
            for at in range(0, head + 100, piece):
                connection.sendall(whole[at : min(at + piece, head + 100)] if piece < 10_000_000 else whole)
            if piece < 10_000_000:
                connection.sendall(whole[min(len(range(0, head + 100, piece)) * piece, head + 100) :])
            assert answer(connection).startswith(status)
    assert len(rig.deliveries()) == 1
    assert served.app.counters.head_too_long == 1


@pytest.mark.parametrize("kind", ["one value", "small headers", "one name", "the path", "blank lines", "second head"])
def test_a_head_without_end_takes_no_memory(rig: Rig, kind: str) -> None:
    token, served = rig.endpoint(), rig.serve()
    start = f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\n".encode()
    endless = {
        "one value": (start + b"X-A: ", b"a" * 4096),
        "small headers": (start, b"X-A: b\r\n" * 512),
        "one name": (start, b"a" * 4096),
        "the path": (b"POST /cb/v1/", b"a" * 4096),
        "blank lines": (b"", b"\r\n" * 2048),
        "second head": (request(token) + start + b"X-A: ", b"a" * 4096),
    }
    begun, more = endless[kind]
    sent = 0
    with served.raw() as connection:
        connection.settimeout(10)
        with contextlib.suppress(ConnectionError):
            connection.sendall(begun)
            for _ in range(4096):  # 16 MiB, were it taken
                connection.sendall(more)
                sent += len(more)
    assert sent < 8_000_000  # what the system's own buffers took at the most
    assert served.app.counters.head_too_long == 1
    assert served.post(token).content == KEPT


def test_trailers_and_chunk_extensions_without_end_are_cut_off(rig: Rig) -> None:
    token, served = rig.endpoint(), rig.serve()
    head = f"POST /cb/v1/{token} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for begun, more in ((b"2\r\n{}\r\n0\r\nX-A: ", b"a" * 4096), (b"2;e=", b"a" * 4096)):
        with served.raw() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(head + begun)
            for _ in range(4096):
                connection.sendall(more)
            pytest.fail("it was all taken")
    with served.raw() as connection:  # a body in many small chunks is no attack
        connection.sendall(head + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")
    assert rig.deliveries()[-1][1] == 20_000


# --- connections -----------------------------------------------------------------------------------------------------


def test_a_stranger_s_idle_connection_is_closed_soon_and_a_provider_s_is_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STRANGER_IDLE", 1)
    token, served = rig.endpoint(), rig.serve()
    with served.raw() as stranger, served.raw() as provider:
        stranger.sendall(request("x" * 43))
        provider.sendall(request(token))
        assert answer(stranger).startswith(b"HTTP/1.1 404")
        assert answer(provider).startswith(b"HTTP/1.1 200")
        stranger.settimeout(5)
        assert stranger.recv(10) == b""
        provider.sendall(request(token))
        assert answer(provider).startswith(b"HTTP/1.1 200")
    with served.raw() as checking:  # health is asked by strangers too
        checking.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(checking).startswith(b"HTTP/1.1 200")
        checking.settimeout(5)
        assert checking.recv(10) == b""


@pytest.mark.parametrize("shows_token", [False, True])
def test_idle_connections_of_one_address_hinder_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, shows_token: bool
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_A_PEER", 20)
    token, served = rig.endpoint(), rig.serve()
    with contextlib.ExitStack() as open_ones:
        flood = []
        for _ in range(120):
            connection = open_ones.enter_context(served.raw())
            if shows_token:
                connection.sendall(request(token))
                assert answer(connection).startswith(b"HTTP/1.1 200")
            flood.append(connection)
        for _ in range(5):
            with served.raw() as provider:
                provider.sendall(request(token))
                assert answer(provider).startswith(b"HTTP/1.1 200")
        assert len(served.server.server_state.connections) <= 45
        assert served.app.counters.closed_idle >= 95
        assert served.app.counters.turned_away == 0


def test_one_address_that_is_busy_everywhere_is_turned_away_and_others_are_served(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_A_PEER", 10)
    token, served = rig.endpoint(), rig.serve()
    begun = b"POST /cb/v1/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
    with contextlib.ExitStack() as open_ones:
        for _ in range(10):  # bodies that do not come: the intake waits for each
            open_ones.enter_context(served.raw()).sendall(begun)
        time.sleep(0.3)
        with served.raw() as one_more:
            assert answer(one_more).startswith(b"HTTP/1.1 503")
        with socket.create_connection((HOME, served.port), timeout=15, source_address=("127.0.0.2", 0)) as provider:
            provider.sendall(request(token))
            assert answer(provider).startswith((b"HTTP/1.1 200", b"HTTP/1.1 403"))
    assert served.app.counters.turned_away == 1


def test_when_every_place_is_taken_the_biggest_idle_holder_makes_room(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, served = rig.endpoint(), rig.serve()
    served.app.gate.most = 30
    with contextlib.ExitStack() as open_ones:
        for number in range(60):
            source = ("127.0.0.2" if number % 3 else "127.0.0.3", 0)
            open_ones.enter_context(socket.create_connection((HOME, served.port), timeout=15, source_address=source))
        time.sleep(0.3)
        with served.raw() as provider:
            provider.sendall(request(token))
            assert answer(provider).startswith(b"HTTP/1.1 200")
        assert len(served.server.server_state.connections) <= 31


def test_a_proxy_of_ours_has_no_share(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_OF_A_PEER", 5)
    served = rig.serve(trusted_proxies=["127.0.0.0/8"])
    with contextlib.ExitStack() as open_ones:
        for _ in range(20):
            open_ones.enter_context(served.raw())
        time.sleep(0.3)
        assert len(served.server.server_state.connections) >= 20
    assert served.app.counters.closed_idle == 0


@pytest.mark.parametrize(
    ("host", "share"),
    [
        ("196.201.214.200", "196.201.214.200"),
        ("::ffff:196.201.214.200", "196.201.214.200"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_whose_share(host: str, share: str) -> None:
    assert connections.share_of(host) == share


def test_as_many_files_are_asked_for_as_connections_are_promised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert connections.open_files() == min(connections.MOST_CONNECTIONS, hard - 64)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(connections.MOST_CONNECTIONS, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["/", "//"])
def test_a_slash_after_the_address_is_the_address(rig: Rig, tail: str) -> None:
    token, served = rig.endpoint(), rig.serve()
    assert served.post(f"{token}{tail}", b'{"a":1}').content == KEPT
    assert rig.deliveries()[0][0] == b'{"a":1}'
    assert served.post(f"{token}/x").status_code == 404


def test_an_adapter_this_process_does_not_know_answers_send_it_again(rig: Rig) -> None:
    token, served = rig.endpoint(account=rig.account("nobody", {})), rig.serve()
    for _ in range(2):
        found = served.post(token, x_signature="abc")
        assert (found.status_code, found.json()) == (503, {"error": "not stored, send it again"})
    assert rig.deliveries() == []
    assert served.app.counters.not_kept == 2
    assert served.client.get("/countersz").json()["unserved"] == 1


class Spoken:
    """An adapter whose provider speaks XML."""

    name = "spoken"
    settings_model: type[BaseModel] = intake_server.FaultySettings
    kept_headers = ("X-Signature",)
    content_type = "application/xml; charset=utf-8"

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        return Verdict(accepted="x-signature" in headers, reason="the header X-Signature is missing")

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        return Unknown("never asked")

    def ack(self, outcome: AckOutcome) -> bytes:
        return f"<answer>{outcome.value}</answer>".encode()


@pytest.mark.parametrize("kind", ["application/xml; charset=utf-8", "text/html\r\nx-evil: 1", 7])
def test_the_answer_has_the_adapter_s_content_type(rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    adapter = Spoken()
    adapter.content_type = kind
    monkeypatch.setitem(intake_server.ADAPTERS, "spoken", adapter)
    token, served = rig.endpoint(account=rig.account("spoken", {"secret_file": "x"})), rig.serve()
    good = served.post(token, x_signature="1")
    bad = served.post(token)
    if kind == Spoken.content_type:
        assert [one.headers["content-type"] for one in (good, bad)] == [kind, kind]
        assert [one.status_code for one in (good, bad)] == [200, 403]
    else:
        assert "x-evil" not in good.headers
        assert good.status_code == 403
        assert "content_type that is none" in rig.deliveries()[0][3]
        assert rig.deliveries()[0][5]["x-signature"] == "1"  # it can be judged again once the adapter is mended


def test_readyz_says_when_the_disk_is_full_or_nothing_can_be_written(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served = rig.serve(data_dir=tmp_path)
    assert served.client.get("/readyz").status_code == 200
    monkeypatch.setattr(server, "DISK_NEEDED", 1 << 62)
    full = served.client.get("/readyz")
    assert (full.status_code, full.json()) == (503, {"ready": False, "why": "the disk of the database is full"})
    assert served.client.get("/readyz", headers={"x-forwarded-for": "1.2.3.4"}).json() == {"ready": False}
    monkeypatch.setattr(server, "DISK_NEEDED", 0)
    rig.sql("ALTER TABLE delivery RENAME TO away")  # what cannot be written is refused, and the process lives on
    assert served.post(rig.endpoint()).status_code in (404, 503)


# --- starting --------------------------------------------------------------------------------------------------------


class _Settings:
    intake_host = HOME
    intake_body_limit = 1024
    intake_trusted_proxies = ()
    secrets_dir = None

    def __init__(self, port: int) -> None:
        self.intake_port = port


def test_a_port_that_is_taken_is_said_before_anything_starts(rig: Rig) -> None:
    with socket.create_server((HOME, 0)) as taken:
        settings = _Settings(taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="is taken: is another 'revenue-engine serve' running"):
            server.run(settings, database_url=rig.database.url, adapters=intake_server.ADAPTERS)


def test_addresses_that_cannot_be_had_are_said() -> None:
    with pytest.raises(ConfigurationError, match="REVENUE_INTAKE_HOST"):
        listen("203.0.113.7", 0)
    with pytest.raises(ConfigurationError, match="REVENUE_INTAKE_HOST"):
        listen("no such host.invalid", 0)
    listen("::1", 0).close()


def test_a_database_that_says_no_is_said_with_the_setting(rig: Rig) -> None:
    report, empty = rig.database.role_url("report"), rig.database.url.replace(f"/{rig.database.name}?", "/postgres?")
    wrong = re.sub(r"://(\w+):[^@]*@", r"://\1:wrong@", rig.database.url)
    for url, role, words in (
        (report, None, "no member of revenue_intake"),
        (empty, "intake", "revenue-engine init"),
        (wrong, "intake", "password authentication failed.*REVENUE_INTAKE_DATABASE_URL"),
        (rig.database.url.replace(rig.database.name, "nowhere"), "intake", "does not exist"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            server.run(_Settings(free_port()), database_url=url, adapters=intake_server.ADAPTERS, role=role)


def test_a_database_that_is_away_is_a_dependency(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from revenue_engine.intake import store

    monkeypatch.setattr(store, "KEEP_WITHIN", 0.5)
    with pytest.raises(Retryable, match="does not answer"):
        server.run(_Settings(free_port()), database_url=f"postgresql://x@/x?host={tmp_path}", adapters={})
