"""``serve`` as a person runs it: on embedded servers that are killed under it, and where it cannot start at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from revenue_engine import embedded
from revenue_engine.config import Settings
from tests.conftest import Database
from tests.support import people
from tests.support.intake_server import HOME, free_port

pytestmark = pytest.mark.timeout(240)


def until(condition: Callable[[], object], within: float = 60.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@dataclass
class Place:
    """A folder somebody calls the program in."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    desk_port: int = field(default_factory=free_port)
    serving: subprocess.Popen[str] | None = None
    token: str = ""

    @property
    def state(self) -> Path:
        return self.folder / "var"

    def environment(self) -> dict[str, str]:
        ports = {
            "REVENUE_INTAKE_PORT": str(self.port),
            "REVENUE_API_PORT": str(self.api_port),
            "REVENUE_DESK_PORT": str(self.desk_port),
        }
        return {**os.environ, **ports, **self.env}

    def run(self, *words: str, status: int = 0, seconds: int = 120) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "revenue_engine.cli", *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        said = re.sub(r"\s+", " ", done.stdout + done.stderr)
        assert done.returncode == status, said
        assert "Traceback" not in said
        return said

    def serve(self) -> None:
        log = (self.folder / "serve.log").open("w")
        with log:
            self.serving = subprocess.Popen(
                [sys.executable, "-m", "revenue_engine.cli", "serve"],
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
                text=True,
            )
        assert until(self.is_ready), self.said()
        # A child that is still starting brings dead servers back by itself, before anybody says that they died
        assert until(lambda: all(self.answers(port) for port in (self.api_port, self.desk_port))), self.said()

    def answers(self, port: int) -> bool:
        try:
            return httpx2.get(f"http://{HOME}:{port}/", timeout=5).status_code < 500
        except httpx2.HTTPError:
            return False

    def said(self) -> str:
        return (self.folder / "serve.log").read_text()

    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"http://{HOME}:{self.port}/readyz", timeout=10).status_code == 200
        except httpx2.HTTPError:
            return False

    def pid(self, server: str) -> int:
        file = {"PostgreSQL": "pg/postmaster.pid", "Valkey": "valkey/valkey.pid"}[server]
        return int((self.state / file).read_text().split()[0])

    def close(self) -> None:
        if self.serving is not None:
            self.serving.terminate()
            self.serving.wait(timeout=60)
        if self.state.exists():
            embedded.stop(Settings(state_dir=self.state))


@pytest.fixture
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="rev-"))
    made = Place(folder)
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def served() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="rev-"))
    made = Place(folder)
    try:
        made.run("init")
        url = embedded.ensure(Settings(state_dir=made.state)).database_url
        made.env |= people.somebody(url, "ict", "ict").signed_in(folder)
        added = made.run("channel", "add", "kcb", "1100100", "--name", "Test", "--test", "--json")
        found = re.search(r"/cb/v1/([\w-]+)", added)
        assert found is not None
        made.token = found[1]
        made.serve()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


# --- what dies is started again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["PostgreSQL", "Valkey"])
def test_a_killed_server_is_started_again_and_callbacks_are_kept_again(served: Place, server: str) -> None:
    old, before = served.pid(server), served.said().count("the servers are back")
    os.kill(old, signal.SIGKILL)
    assert until(lambda: (served.state / "pg").exists() and _living(served, server, old)), served.said()
    assert until(served.is_ready), served.said()
    assert until(lambda: f"{server} died; starting again" in served.said()), served.said()
    # And one revival is over before another server is killed, or the same revival would bring that one back too
    assert until(lambda: served.said().count("the servers are back") > before), served.said()
    settings = Settings(state_dir=served.state)
    assert embedded.dead(settings) == []
    if server == "PostgreSQL":
        assert httpx2.post(f"http://{HOME}:{served.port}/cb/v1/{served.token}", content=b"{}").status_code == 403


def _living(served: Place, server: str, old: int) -> bool:
    try:
        pid = served.pid(server)
    except (OSError, ValueError, IndexError):
        return False
    return pid != old and (Path("/proc") / str(pid)).exists()


def test_a_killed_intake_comes_back_and_no_caller_is_refused_meanwhile(served: Place) -> None:
    (intake,) = _children(served, "intake")
    os.kill(intake, signal.SIGKILL)
    # The socket is the supervisor's: a provider that calls now waits, and is answered by the next intake.
    assert httpx2.get(f"http://{HOME}:{served.port}/livez", timeout=60).status_code == 200
    assert _children(served, "intake") != [intake]


def test_the_api_answers_beside_the_intake_and_comes_back_when_killed(served: Place) -> None:
    def is_ready() -> bool:
        try:
            return httpx2.get(f"http://{HOME}:{served.api_port}/readyz", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    assert until(is_ready), served.said()
    nobody = httpx2.get(f"http://{HOME}:{served.api_port}/api/v1/invoices")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "not_signed_in")
    (old,) = _children(served, "api")
    os.kill(old, signal.SIGKILL)
    assert until(lambda: _children(served, "api") not in ([], [old]) and is_ready()), served.said()


def test_the_desk_is_served_beside_them_and_comes_back_when_killed(served: Place) -> None:
    def asks_who() -> bool:
        try:
            answer = httpx2.get(f"http://{HOME}:{served.desk_port}/", timeout=5)
        except httpx2.HTTPError:
            return False
        return answer.status_code == 401 and "Sign in" in answer.text

    assert until(asks_who), served.said()
    (old,) = _children(served, "desk")
    os.kill(old, signal.SIGKILL)
    assert until(lambda: _children(served, "desk") not in ([], [old]) and asks_who()), served.said()


def _children(served: Place, word: str) -> list[int]:
    assert served.serving is not None
    children = Path(f"/proc/{served.serving.pid}/task/{served.serving.pid}/children").read_text().split()
    return [int(pid) for pid in children if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]


def test_what_a_person_stopped_stays_stopped_until_a_command_wants_it(served: Place) -> None:
    served.run("stop")
    assert until(lambda: "stopped by a person" in served.said()), served.said()
    time.sleep(3)
    assert not (served.state / "pg/postmaster.pid").exists()
    served.run("callback", "list")
    assert until(served.is_ready), served.said()


# --- where it cannot start -------------------------------------------------------------------------------------------


def at(database: Database, place: Place, **urls: str) -> None:
    place.env = {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url, **urls}


def test_a_taken_port_ends_serve_before_anything_is_started(place: Place, database: Database) -> None:
    at(database, place)
    with socket.create_server((HOME, place.port)):
        said = place.run("serve", status=4)
    assert f"port {place.port} of {HOME} is taken: is another 'revenue-engine serve' running?" in said
    assert "REVENUE_INTAKE_PORT" in said
    assert "callbacks:" not in said
    assert "ready" not in said


def test_a_schema_that_is_not_there_ends_serve(place: Place, database: Database) -> None:
    at(database, place, REVENUE_DATABASE_URL=database.url.replace(f"/{database.name}?", "/postgres?"))
    said = place.run("serve", status=4)
    assert "revenue-engine init" in said
    assert "callbacks:" not in said


def test_a_wrong_login_ends_serve(place: Place, database: Database) -> None:
    wrong = re.sub(r"://(\w+):[^@]*@", r"://\1:wrong@", database.url)
    at(database, place, REVENUE_INTAKE_DATABASE_URL=wrong)
    assert "REVENUE_INTAKE_DATABASE_URL" in place.run("serve", status=4)
    at(database, place, REVENUE_INTAKE_DATABASE_URL=database.role_url("report"))
    assert "no member of revenue_intake" in place.run("serve", status=4)
    at(database, place, REVENUE_WORKER_DATABASE_URL=wrong)
    said = place.run("serve", status=4)
    assert "password authentication failed" in said
    assert "worker cannot start" in said


def test_a_database_that_is_down_ends_serve_with_5(place: Place, database: Database) -> None:
    at(database, place, REVENUE_DATABASE_URL=f"postgresql://x@/x?host={place.folder}")
    assert "does not answer" in place.run("serve", status=5)


# --- reading creates nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("callback", "list"),
        ("invoice", "show", "270586493"),
        ("ledger", "verify"),
        ("report", "daily"),
        ("reconcile", "left"),
        ("channel", "show", "600100"),
        ("worker", "--once"),
        ("intake",),
        ("serve",),
        ("stop",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_a_command_in_another_folder_makes_no_books_there(place: Place, words: tuple[str, ...]) -> None:
    said = place.run(*words, status=0 if words == ("stop",) else 4)
    assert words == ("stop",) or f"there are no books in {place.state}: run 'revenue-engine init'" in said
    assert list(place.folder.iterdir()) == []


def test_beside_somebody_s_database_a_reading_command_makes_no_bell(place: Place, database: Database) -> None:
    place.env = {"REVENUE_DATABASE_URL": database.url}
    place.run("callback", "list")
    found = json.loads(place.run("doctor", "--json", status=4))  # no county is loaded
    assert {one["name"]: one["state"] for one in found["checks"]}["bell"] == "warning"
    assert list(place.folder.iterdir()) == []


# --- a full disk -----------------------------------------------------------------------------------------------------


def test_a_valkey_that_cannot_write_is_an_answer(place: Place) -> None:
    settings = Settings(state_dir=place.state)
    servers = embedded.ensure(settings)
    import redis

    with redis.Redis.from_url(servers.redis_url) as client:
        client.config_set("min-replicas-to-write", 1)  # it answers every write, and PING as well, by an error or PONG
        started = time.monotonic()
        embedded.ensure(settings)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"+PONG\r\n", True),
        (b"-MISCONF Errors writing to the AOF file: No space left on device\r\n", True),
        (b"-NOAUTH Authentication required.\r\n", True),
        (b"-LOADING Valkey is loading the dataset in memory\r\n", False),
        (b"", False),
    ],
)
def test_what_of_a_valkey_is_an_answer(place: Place, answer: bytes, ready: bool) -> None:
    import threading

    from revenue_engine.embedded import valkey

    path = place.folder / "v.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def speak() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

        speaking = threading.Thread(target=speak)
        speaking.start()
        assert (valkey._not_ready(path) == "") is ready
        speaking.join()
