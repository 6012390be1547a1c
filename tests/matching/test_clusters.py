"""Workers as separate programs, one of them killed midway: the answer is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from benchmarks.peers import install
from reconciliation import engine, executors, files
from reconciliation.group import Group
from revenue_engine import embedded
from revenue_engine.errors import Retryable
from tests.matching import county

ROOT = Path(__file__).parents[2]
PINNED = ("distributed==2026.1.2",)
PATIENCE_SECONDS = 60


@contextmanager
def program(*words: str, python: str = sys.executable) -> Iterator[subprocess.Popen[bytes]]:
    """A program of its own, ended with the test."""
    with subprocess.Popen([python, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(what: str, ready: object) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.002)


def test_a_dramatiq_worker_dies_midway(
    servers: embedded.Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "SLICE", 4)
    tables = [read(path) for read, path in zip((files.read_invoices, files.read_payments), made(tmp_path), strict=True)]
    alone = engine.match(*tables).digest()
    group, found, words = Group(servers.redis_url, heartbeat_milliseconds=1_000), [], ("--heartbeat", "1000")
    run = threading.Thread(
        target=lambda: found.append(engine.match(*tables, spread=executors.Dramatiq(group)).digest())
    )

    def held() -> int:
        return sum(bell.scard(key) for key in bell.scan_iter("matching:__acks__.*"))

    with redis.Redis.from_url(servers.redis_url) as bell:
        with program("-m", "reconciliation.group", servers.redis_url, *words) as first:
            run.start()
            wait_for("the first worker takes messages", held)
            first.kill()
            first.wait()
        assert run.is_alive(), "the first worker had done everything before it was killed"
        assert held(), "messages that nobody answers"
        with (
            program("-m", "reconciliation.group", servers.redis_url, *words),
            program("-m", "reconciliation.group", servers.redis_url, *words),
        ):
            run.join(PATIENCE_SECONDS)
        assert not any(bell.scan_iter("matching-results:*")), "texts of payers stay in Redis"
    group.close()
    assert found == [alone]


def test_no_worker_is_said(servers: embedded.Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciliation.group.LIVES_MILLISECONDS", 300)
    monkeypatch.setattr("reconciliation.group.QUEUE", "matching-nobody")
    group = Group(servers.redis_url)
    with pytest.raises(Retryable, match="reconciliation"):
        group.ask("hear_all", [[["a", "b"]]], [[]])
    group.close()


def made(folder: Path) -> tuple[Path, Path]:
    return county.make(31, 6000).write(folder)


DRIVER = """
import json, os, signal, sys, time
from pathlib import Path
from distributed import Client
from reconciliation import engine, executors, files

executors.SLICE = 20
bills, paid, address, victim, pid = sys.argv[1:]
tables = files.read_invoices(Path(bills)), files.read_payments(Path(paid))
lost = []

class Killing(Client):
    def gather(self, futures, *args, **more):
        if not lost:  # its answers are with it alone: kill it when it has some, and before they are fetched
            workers = self.scheduler_info(n_workers=-1)["workers"]
            at = next(place for place, info in workers.items() if info["name"] == victim)
            until = time.monotonic() + 60
            while not lost and time.monotonic() < until:
                time.sleep(0.01)
                lost.extend(key for key, holders in self.who_has(futures).items() if at in holders)
            os.kill(int(pid), signal.SIGKILL)
        return super().gather(futures, *args, **more)

with Killing(address) as client:
    client.wait_for_workers(2, timeout=60)
    digest = engine.match(*tables, spread=executors.Dask(client)).digest()
    until = time.monotonic() + 60  # the scheduler may be the last to know
    while (left := len(client.scheduler_info(n_workers=-1)["workers"])) > 1 and time.monotonic() < until:
        time.sleep(0.05)
print(json.dumps({"digest": digest, "answers_lost": len(lost), "workers_left": left}))
"""


@pytest.fixture(scope="module")
def dask_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the pinned Dask, and ours after it."""
    if not os.environ.get("REVENUE_TEST_DASK"):
        pytest.skip("a cluster of programs is slow on two processors: REVENUE_TEST_DASK=1 runs it")
    folder = tmp_path_factory.mktemp("dask")
    try:
        python = install(folder, PINNED)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no package registry to install {PINNED[0]} from: {type(error).__name__}")
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    theirs = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    (theirs / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    return python


def test_a_dask_worker_dies_midway(dask_python: str, tmp_path: Path) -> None:
    bills, paid = made(tmp_path)
    alone = engine.match(files.read_invoices(bills), files.read_payments(paid)).digest()
    place = tmp_path / "scheduler.json"
    common = ["--no-dashboard", "--host", "127.0.0.1"]
    worker = ["-m", "distributed.cli.dask_worker", "--scheduler-file", str(place), "--nthreads", "1", "--no-nanny"]
    schedule = ["-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(place), "--port", "0", *common]
    with program(*schedule, python=dask_python):
        wait_for("the scheduler says where it is", lambda: place.exists() and place.read_text().strip().endswith("}"))
        address = json.loads(place.read_text())["address"]
        with (
            program(*worker, "--name", "first", *common, python=dask_python) as first,
            program(*worker, "--name", "second", *common, python=dask_python),
        ):
            driver = [dask_python, "-c", DRIVER, str(bills), str(paid), address, "first", str(first.pid)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                driver, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=4 * PATIENCE_SECONDS
            )
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout.splitlines()[-1])
            assert first.wait(PATIENCE_SECONDS) == -9
    assert answer["digest"] == alone
    assert answer["workers_left"] == 1
    assert answer["answers_lost"], "the worker was killed with answers that nobody else had"
