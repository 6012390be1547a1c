"""Makes django-hordak ready to be measured: an environment of its own, its database, its processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

PINNED = ("django-hordak==2.0.0", "Django==5.2.19", "psycopg[binary]==3.3.9")
PROGRAM = Path(__file__).with_name("post_hordak.py")
INSTALL_SECONDS = 300


@dataclass(slots=True)
class Baseline:
    """A migrated hordak database and the Python that has hordak."""

    python: str
    database: dict[str, Any]
    stands: dict[str, int]

    def measure(self, what: str, count: int) -> float:
        """Transactions a second of one process that posts ``count`` of them."""
        process = self._start(what, count)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError("the baseline did not become ready")
            process.stdin.write("go\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()
        before, self.stands = self.stands, {name: int(value) for name, value in answer.items() if name != "seconds"}
        made = self.stands["transactions"] - before["transactions"]
        if made != count or self.stands["legs"] != 2 * self.stands["transactions"] or self.stands["difference"]:
            raise RuntimeError(f"the baseline's books do not agree: {self.stands}")
        return count / float(answer["seconds"])

    def state(self) -> dict[str, Any]:
        """What stands in the end, for the result."""
        return {"hordak": " ".join(PINNED[:2]), "hordak_checks": json.dumps(self.stands)}

    def _start(self, what: str, count: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [self.python, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"database": self.database, "what": what, "count": count}) + "\n")
        process.stdin.flush()
        return process


def start(stack: contextlib.ExitStack, server: str) -> tuple[Baseline | None, str]:
    """The baseline on the same server, or None and the reason why there is none."""
    from benchmarks.bench_post import database

    try:
        python = os.environ.get("BENCH_HORDAK_PYTHON") or install(
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hordak-")))
        )
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"django-hordak could not be installed ({type(error).__name__}): is a package registry reachable?"
    url = stack.enter_context(database(server, "hordak", migrated=False))
    parts = conninfo_to_dict(url)
    known = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    baseline = Baseline(python, {known[key]: str(value) for key, value in parts.items() if key in known}, {})
    process = baseline._start("set up", 0)
    out, _ = process.communicate(timeout=120)
    if process.returncode:
        return None, "django-hordak's migrations failed"
    baseline.stands = json.loads(out.splitlines()[-1])
    return baseline, ""


def install(folder: Path, pinned: tuple[str, ...] = PINNED) -> str:
    """A fresh environment with the pinned releases; answers its Python."""
    python = str(folder / "bin" / "python")
    uv = shutil.which("uv")
    if uv is not None:
        steps = [[uv, "venv", "--quiet", "--python", sys.executable, "--clear", str(folder)]]
        steps.append([uv, "pip", "install", "--quiet", "--python", python, *pinned])
    else:
        steps = [[sys.executable, "-m", "venv", str(folder)], [python, "-m", "pip", "install", "--quiet", *pinned]]
    for step in steps:
        subprocess.run(step, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return python
