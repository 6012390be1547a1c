"""A Dask scheduler, two workers and the driver as separate programs, each in a network of its own: the same answer.

One worker is lost midway, with answers that it alone holds: killed, or cut off by pulling its cable, of which nobody is
told. Everything is waited for by what happens, never by how long it takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import install
from reconciliation.engine import files, matching
from tests.matching import county
from tests.matching.programs import ROOT, Places, namespaces, program, wait_for

PINNED = ("distributed==2026.1.2",)
LONG_SECONDS = 600
"""Only to end what never comes. On busy processors it takes minutes until four programs have loaded Dask."""
SCHEDULER, FIRST, SECOND, DRIVER = 1, 2, 3, 4
SETTINGS = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "300s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "20s",
    # A worker that is cut off is found by its silence. One that only waits for a processor must not be.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "40s",
}

pytestmark = [
    pytest.mark.timeout(2 * LONG_SECONDS),
    pytest.mark.skipif(
        not os.environ.get("REVENUE_TEST_DASK"),
        reason="five more programs are slow on two processors: REVENUE_TEST_DASK=1 runs them",
    ),
]

PROGRAM = """
import json, subprocess, sys, time
from pathlib import Path
from distributed import Client
from reconciliation.engine import executors, files, matching

executors.SLICE = 20
bills, paid, address, victim, patience, *harm = sys.argv[1:]
tables = files.read_invoices(Path(bills)), files.read_payments(Path(paid))
lost = []

def until(ready):
    end = time.monotonic() + int(patience)
    while not (found := ready()):
        if time.monotonic() > end:
            sys.exit(f"never: {ready.__name__}")
        time.sleep(0.01)
    return found

class Harming(Client):
    def gather(self, futures, *args, **more):
        if not lost:  # its answers are with it alone: it is lost when it has some, and before they are fetched
            workers = self.scheduler_info(n_workers=-1)["workers"]
            at = next(place for place, info in workers.items() if info["name"] == victim)

            def the_first_worker_holds_answers():
                return [key for key, holders in self.who_has(futures).items() if tuple(holders) == (at,)]

            lost.extend(until(the_first_worker_holds_answers))
            subprocess.run(harm, check=True)
        return super().gather(futures, *args, **more)

with Harming(address, timeout=int(patience)) as client:
    client.wait_for_workers(2, timeout=int(patience))
    digest = matching.match(*tables, spread=executors.Dask(client)).digest()

    def one_worker_is_left():
        return len(client.scheduler_info(n_workers=-1)["workers"]) == 1

    until(one_worker_is_left)  # the scheduler may be the last to know
print(json.dumps({"digest": digest, "answers_lost": len(lost)}))
"""


@pytest.fixture(scope="module")
def dask_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the pinned Dask, and ours after it."""
    folder = tmp_path_factory.mktemp("dask")
    try:
        python = install(folder, PINNED)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no package registry to install {PINNED[0]} from: {type(error).__name__}")
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    theirs = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    (theirs / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    return python


@pytest.fixture
def places() -> Iterator[Places]:
    """Four hosts: in namespaces where they can be made, else all on the loopback."""
    with ExitStack() as held:
        try:
            made: Places = held.enter_context(namespaces(4))
        except OSError as error:
            made = Places(why=str(error))
        yield made


@contextmanager
def cluster(places: Places, python: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and two workers; answers the scheduler's address and the first worker."""
    place = folder / "scheduler.json"
    known = ["--scheduler-file", str(place), "--no-dashboard"]
    worker = ["-m", "distributed.cli.dask_worker", *known, "--nthreads", "1", "--no-nanny"]

    def start(host: int, *words: str) -> Any:
        return program(*words, "--host", places.address(host), python=python, before=places.into(host))

    with start(SCHEDULER, "-m", "distributed.cli.dask_scheduler", *known, "--port", "0") as scheduler:
        written = lambda: place.exists() and place.read_text().strip().endswith("}")  # noqa: E731
        wait_for("the scheduler says where it is", written, of=scheduler, patience=LONG_SECONDS, every=50)
        with (
            start(FIRST, *worker, "--name", "first") as first,
            start(SECOND, *worker, "--name", "second"),
        ):
            yield json.loads(place.read_text())["address"], first


def run(places: Places, python: str, folder: Path, address: str, harm: list[str]) -> dict[str, Any]:
    """The run of the driver, which does ``harm`` to the first worker midway."""
    bills, paid = county.make(31, 6000).write(folder)
    words = [python, "-c", PROGRAM, str(bills), str(paid), address, "first", str(LONG_SECONDS), *harm]
    done = subprocess.run(
        [*places.into(DRIVER), *words], capture_output=True, text=True, cwd=ROOT, timeout=2 * LONG_SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    answer["alone"] = matching.match(files.read_invoices(bills), files.read_payments(paid)).digest()
    return answer


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def test_a_worker_is_killed_midway(places: Places, dask_python: str, tmp_path: Path) -> None:
    with cluster(places, dask_python, tmp_path) as (address, first):
        assert places.address(SCHEDULER) in address
        answer = run(places, dask_python, tmp_path, address, ["kill", "-KILL", str(first.pid)])
        assert first.wait(LONG_SECONDS) == -9
    assert answer["digest"] == answer["alone"]
    assert answer["answers_lost"], "the worker was killed with answers that nobody else had"


def test_a_worker_is_cut_off_midway(places: Places, dask_python: str, tmp_path: Path) -> None:
    if not places.apart:
        pytest.skip(f"the loopback has no cable to pull, and {places.why}")
    with cluster(places, dask_python, tmp_path) as (address, first):
        answer = run(places, dask_python, tmp_path, address, places.cut(FIRST))
        assert first.poll() in (None, 0), "nobody killed it: it lives, or has given up by itself"
    assert answer["digest"] == answer["alone"]
    assert answer["answers_lost"], "the worker was cut off with answers that nobody else had"
