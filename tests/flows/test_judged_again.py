"""A delivery that was refused is judged by today's settings, and what is said of it is today's reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.kcb import adapter as kcb
from revenue_engine.db import make_engine, transaction
from revenue_engine.work import jobs
from revenue_engine.worker import Worker
from tests.conftest import Database
from tests.support import intake_server
from tests.support.intake_server import Rig

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rig(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setitem(intake_server.ADAPTERS, "kcb", kcb)
    made = Rig(database)
    yield made
    made.close()


def replay(rig: Rig, delivery: int, secrets: Path) -> dict[str, Any]:
    env = {
        **os.environ,
        "REVENUE_DATABASE_URL": rig.database.url,
        "REVENUE_REDIS_URL": rig.database.servers.redis_url,
        "REVENUE_SECRETS_DIR": str(secrets),
    }
    words = ["callback", "replay", str(delivery), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "revenue_engine.cli", *words],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_replay_tells_today_s_reason_and_posts_once_the_proof_holds(rig: Rig, tmp_path: Path) -> None:
    rehearsal = kcb.rehearse("1100100")
    given = {**rehearsal.settings, "public_keys": ["file:kcb.pem"]}
    account = rig.account("kcb", given)
    token, served = rig.endpoint(account=account), rig.serve(secrets_dir=tmp_path)
    sent = rehearsal.sign(rehearsal.example)
    assert served.client.post(f"/cb/v1/{token}", content=sent.body, headers=dict(sent.headers)).status_code == 403
    ((delivery,),) = rig.sql("SELECT id FROM delivery")
    worker = Worker(
        make_engine(rig.database.url, role="worker", pool_size=2), {**intake_server.ADAPTERS}, secrets_dir=tmp_path
    )

    def reason() -> str:
        worker.drain()
        return str(rig.sql("SELECT reason FROM delivery_outcome ORDER BY id DESC LIMIT 1")[0][0])

    assert "kcb.pem in REVENUE_SECRETS_DIR cannot be read" in reason()
    (tmp_path / "kcb.pem").write_text(kcb.rehearse("1100100").settings["public_keys"][0])  # another bank's key
    found = replay(rig, delivery, tmp_path)
    assert found["proof_today"].startswith("refused: the header Signature does not fit")
    said = reason()
    assert said.startswith("its proof failed: the header Signature does not fit")
    assert "(when it came: public_keys.0: the secret file kcb.pem" in said
    (tmp_path / "kcb.pem").write_text(rehearsal.settings["public_keys"][0])
    assert replay(rig, delivery, tmp_path)["proof_today"] == "accepted"
    worker.drain()
    assert rig.sql("SELECT state FROM delivery_state WHERE delivery_id = %s", delivery) != [("waiting",)]
    worker.engine.dispose()


def test_an_adapter_that_raises_holds_nobody_up(rig: Rig, tmp_path: Path) -> None:
    account = rig.account("faulty", {"secret_file": "hush"})
    token, served = rig.endpoint(account=account), rig.serve()
    served.post(token, x_signature="abc")
    worker = Worker(make_engine(rig.database.url, role="worker", pool_size=2), {**intake_server.ADAPTERS})
    worker.drain()
    assert rig.sql("SELECT outcome, reason FROM delivery_outcome") == [
        ("waiting", "its proof failed: verify raised ZeroDivisionError")
    ]
    with transaction(worker.engine) as session:
        assert jobs.backlog(session).dead == 0
    worker.engine.dispose()
