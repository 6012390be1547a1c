"""Real processes on throw-away servers, a provider that logs every 2xx, and a killer; all seeded, all bounded.

A provider's message that got no 2xx is sent again until it gets one, so at the end everything in the plan is known to
be acknowledged, and what must be in the books is the plan's truth and nothing else.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import http.client
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

import migrations
from revenue_engine import embedded
from revenue_engine.config import PREFIX, Settings
from revenue_engine.embedded import processes
from tests.faults.plan import Message, Plan
from tests.support.books import SHORTCODE, Books

ROOT = Path(__file__).resolve().parents[2]
DRAIN_SECONDS = 120.0
READY_SECONDS = 60.0
LEASE_SECONDS = 5
_PURPOSES = ("confirmation", "push_result", "result")
_ENGINE = ("-m", "revenue_engine.cli")
_COMPILED = tempfile.mkdtemp(prefix="rev-f-pyc-")
"""Compiled modules of the processes: one that is started forty times compiles them once, whatever the environment."""
atexit.register(shutil.rmtree, _COMPILED, ignore_errors=True)


class Fault(AssertionError):
    """Something did not hold; the words name the seed and the last events."""


@dataclass
class World:
    """Servers of its own in a folder of its own, a small county, and the processes that run on them."""

    seed: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rev-f-")))
    workers: int = 2
    intake_command: Sequence[str] = (*_ENGINE, "intake")
    more_settings: Mapping[str, str] = field(default_factory=dict)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    books: Books = field(init=False)
    servers: embedded.Servers = field(init=False)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.settings = Settings.model_validate({"state_dir": self.folder / "state"})
        self.port = _free_port()
        self.tokens = {purpose: secrets.token_urlsafe(24) for purpose in _PURPOSES}
        self.killed: Counter[str] = Counter()
        self.ended: list[str] = []
        """Processes that ended though nobody killed them."""

    def open(self) -> None:
        """Start the servers and set the county up; no process runs yet."""
        self.servers = embedded.ensure(self.settings)
        migrations.upgrade(self.servers.database_url)
        self.servers = embedded.create_logins(self.servers)
        self.books = Books(self.servers.database_url)
        with self.connect() as connection:
            connection.execute(
                "UPDATE channel_account SET settings = %s",
                (Jsonb({"shortcode": SHORTCODE, "kind": "paybill", "peers": ["127.0.0.1"]}),),
            )
            for purpose, token in self.tokens.items():
                connection.execute(
                    "INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256) VALUES (1, %s, %s)",
                    (purpose, hashlib.sha256(token.encode()).digest()),
                )

    def connect(self) -> psycopg.Connection[Any]:
        """A superuser's connection."""
        return psycopg.connect(self.servers.database_url)

    def close(self) -> None:
        """End every process started here, by its number, and remove the folder."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(timeout=10)
        if hasattr(self, "books"):
            self.books.close()
        try:
            embedded.stop(self.settings)
        finally:
            for pid in self._server_pids("pg") + self._server_pids("valkey"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, event: str) -> None:
        """Note an event; the last two hundred are told when something fails. A refused connection says nothing."""
        if event.endswith("ConnectionRefusedError"):
            return
        self.events.append(f"{time.monotonic() - self.began:8.3f} {event}")

    def fault(self, problems: Iterable[str]) -> Fault:
        """The failure to raise."""
        return Fault("\n".join([f"seed {self.seed}:", *problems, "last events:", *self.events, self.logs()]))

    def logs(self) -> str:
        """The end of what the processes said."""
        said = []
        for path in sorted(self.folder.glob("*.log")):
            said.append(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}")
        return "\n".join(said)

    # Processes.

    def start(self, *names: str) -> None:
        """Start processes: ``intake``, ``worker-1`` and so on. Returns at once."""
        for name in names:
            command = self.intake_command if name == "intake" else (*_ENGINE, "worker", "--threads", "1")
            clean = {key: value for key, value in os.environ.items() if not key.startswith((PREFIX, "PYTHON"))}
            with (self.folder / f"{name}.log").open("ab") as said:
                self.running[name] = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=ROOT,
                    env={
                        **clean,
                        "PYTHONPYCACHEPREFIX": _COMPILED,
                        "REVENUE_STATE_DIR": str(self.settings.state_dir),
                        "REVENUE_INTAKE_PORT": str(self.port),
                        "REVENUE_JOB_LEASE_SECONDS": str(LEASE_SECONDS),
                        "REVENUE_WORKER_BATCH": "40",
                        "REVENUE_LOG_LEVEL": "warning",
                        **self.more_settings,
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                )
            self.say(f"start {name} ({self.running[name].pid})")

    def start_all(self) -> None:
        """Start the intake and the workers and wait until the intake answers."""
        self.start("intake")
        self.wait_ready()  # alone, so that the others find its modules compiled
        self.start(*(f"worker-{number}" for number in range(1, self.workers + 1)))

    def wait_ready(self) -> None:
        """Wait, bounded, until the intake can keep a delivery."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.intake_ready():
            self.revive()
            if time.monotonic() > deadline:
                raise self.fault([f"the intake was not ready within {READY_SECONDS} seconds"])
            time.sleep(0.05)

    def intake_ready(self) -> bool:
        """Whether the intake says that it can keep deliveries."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def revive(self) -> None:
        """Start again what ended by itself, as a supervisor does."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.say(f"{name} ended by itself with {process.returncode}")
                self.ended.append(name)
                self.start(name)

    def kill_process(self, name: str, *, restart: bool = True) -> None:
        """``kill -9`` one process and start it again."""
        process = self.running.pop(name)
        process.kill()
        process.wait(timeout=10)
        self.killed[name.partition("-")[0]] += 1
        self.say(f"kill -9 {name}")
        if restart:
            self.start(name)

    def kill_server(self, folder: str, *, restart: bool = True) -> None:
        """``kill -9`` every process of PostgreSQL (``pg``) or Valkey (``valkey``) and start the server again."""
        killed = 0
        deadline = time.monotonic() + 10
        while pids := self._server_pids(folder):  # the postmaster first, or it would start new children
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            if time.monotonic() > deadline:
                raise self.fault([f"{folder} does not die"])
            time.sleep(0.01)
        self.killed["postgres" if folder == "pg" else folder] += 1
        self.say(f"kill -9 of all {killed} processes of {folder}")
        if restart:
            embedded.ensure(self.settings)
            self.say("servers are back")

    def _server_pids(self, folder: str) -> list[int]:
        """The processes of a server, its main one first, known by the folder they work in."""
        data = self.settings.state_dir / folder
        main = processes.pid_in(data / ("postmaster.pid" if folder == "pg" else "valkey.pid"))
        numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return sorted((pid for pid in numbers if processes.is_ours(pid, data)), key=lambda pid: (pid != main, pid))

    # Ends.

    def drain(self, *, seconds: float = DRAIN_SECONDS) -> float:
        """Wait, bounded, until no work is left; answers how long it took."""
        began = time.monotonic()
        while True:
            self.revive()
            left: list[tuple[Any, ...]] = [("the database is away",)]
            with contextlib.suppress(psycopg.OperationalError), self.connect() as connection:
                left = connection.execute(
                    "SELECT kind, state, count(*), max(attempts), max(last_error) FROM job GROUP BY 1, 2"
                ).fetchall()
            if not left:
                return time.monotonic() - began
            if time.monotonic() - began > seconds:
                raise self.fault([f"the backlog did not drain within {seconds:.0f} seconds: {left}"])
            time.sleep(0.1)


@contextlib.contextmanager
def world(seed: int, **more: Any) -> Iterator[World]:
    """A world whose every process ends with the block, whatever happens in it."""
    made = World(seed, **more)
    try:
        made.open()
        yield made
    finally:
        made.close()


class Provider:
    """Posts a plan from a few threads at a bounded rate, again until each message got its 2xx, and logs every 2xx."""

    def __init__(self, world: World, messages: Sequence[Message], *, per_second: float, threads: int = 6) -> None:
        self.world = world
        self.acked: Counter[bytes] = Counter()
        self.tried = 0
        self.gap = threads / per_second
        self._queue = deque(messages)
        self._lock = threading.Lock()
        self._halt = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    @property
    def left(self) -> int:
        """Messages not taken up yet."""
        return len(self._queue)

    def wait_acked(self, more: int) -> None:
        """Wait, bounded, until so many more are acknowledged, or nothing is left to send."""
        goal, deadline = self.acked.total() + more, time.monotonic() + READY_SECONDS
        while self.acked.total() < goal and self.left:
            self.world.revive()
            if time.monotonic() > deadline:
                raise self.world.fault([f"nothing was acknowledged for {READY_SECONDS:.0f} seconds"])
            time.sleep(0.002)

    def hurry(self) -> None:
        """Send what is left as fast as it is answered."""
        self.gap = 0.0

    def halt(self) -> None:
        """Stop sending; what was not acknowledged stays so."""
        self._halt.set()
        self.wait(seconds=20)

    def wait(self, *, seconds: float) -> None:
        """Wait, bounded, until everything is sent and acknowledged."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self._halt.set()
            raise self.world.fault([f"{self.left} messages were not acknowledged within {seconds:.0f} seconds"])

    def _send(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._halt.is_set():
            with self._lock:
                if not self._queue:
                    break
                message = self._queue.popleft()
            while not self._halt.is_set():
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=12)
                if self._post(connection, message):
                    break
                connection.close()
                connection = None
                self._halt.wait(0.1)
            self._halt.wait(self.gap)
        if connection is not None:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection, message: Message) -> bool:
        path = f"/cb/v1/{self.world.tokens[message.purpose]}"
        try:
            connection.request("POST", path, message.body, {"content-type": "application/json"})
            answer = connection.getresponse()
            status = answer.status
        except (OSError, http.client.HTTPException) as error:
            status = 0
            self.world.say(f"{message.reference}: {type(error).__name__}")
        else:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer.read()
        with self._lock:
            self.tried += 1
            if 200 <= status < 300:  # the status line is the promise, whether or not the body arrived
                self.acked[message.digest] += 1
        if status and not 200 <= status < 300:
            self.world.say(f"{message.reference}: answered {status}")
        return 200 <= status < 300


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run did, for the log."""

    seed: int
    messages: int
    acked: int
    stored: int
    payments: int
    reversals: int
    kills: Mapping[str, int]
    fire_seconds: float
    drain_seconds: float
    wall_seconds: float

    def __str__(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return (
            f"seed {self.seed}: {self.messages} messages, {self.acked} acknowledged, {self.stored} deliveries stored,"
            f" {self.payments} payments, {self.reversals} reversals; {sum(self.kills.values())} kills ({kills}) in"
            f" {self.fire_seconds:.1f} s, drained {self.drain_seconds:.1f} s later, {self.wall_seconds:.1f} s in all"
        )


def under_fire(
    world: World,
    plan: Plan,
    *,
    kills: int,
    per_second: float,
    targets: Sequence[str] = ("intake", "worker", "pg", "worker"),
) -> tuple[Provider, Figures]:
    """Send the plan while ``kills`` random ``kill -9`` fall, then heal and let everything drain."""
    rng = random.Random(world.seed)
    world.start_all()
    provider = Provider(world, plan.messages, per_second=per_second)
    provider.start()
    began = time.monotonic()
    for number in range(kills):
        # Each kind at least once. Most kills fall under load, some while the last one is still being recovered from.
        target = targets[number] if number < len(targets) else rng.choice(targets)
        if target == "intake" or rng.random() < 0.7:
            provider.wait_acked(5)
        time.sleep(rng.uniform(0.2, 0.9))
        if target == "intake":
            world.kill_process("intake")
        elif target == "worker":
            world.kill_process(f"worker-{rng.randint(1, world.workers)}")
        else:
            world.kill_server(target)
        world.revive()
    fire_seconds = time.monotonic() - began
    world.say(f"the last kill has fallen, {provider.left} messages are left")
    provider.hurry()
    _while_reviving(world, lambda: provider.wait(seconds=DRAIN_SECONDS))
    drain_seconds = world.drain()
    with world.connect() as connection:
        ((stored, payments, reversals),) = connection.execute(
            "SELECT (SELECT count(*) FROM delivery), count(*) FILTER (WHERE kind = 'payment'),"
            " count(*) FILTER (WHERE kind = 'reversal') FROM payment"
        ).fetchall()
    return provider, Figures(
        world.seed,
        len(plan.messages),
        sum(provider.acked.values()),
        stored,
        payments,
        reversals,
        dict(world.killed),
        fire_seconds,
        drain_seconds,
        time.monotonic() - world.began,
    )


def _while_reviving(world: World, work: Callable[[], None]) -> None:
    """Do something that waits, and go on supervising meanwhile."""
    done = threading.Event()

    def supervise() -> None:
        while not done.wait(0.2):
            world.revive()

    thread = threading.Thread(target=supervise, daemon=True)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
