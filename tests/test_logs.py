"""What libraries say: one JSON line, and the same thing once a minute."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from revenue_engine import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, before = logging.getLogger(), structlog.get_config()
    level = root.level
    yield
    for handler in [one for one in root.handlers if isinstance(one, logs.Libraries)]:
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.configure(**before)


def fail(number: int) -> None:
    raise ConnectionError(f"Error {number} connecting")


def test_a_server_that_is_away_is_said_once_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    logs.configure("info")
    speaking = logging.getLogger("dramatiq.worker.ConsumerThread")
    for number in range(532):
        try:
            fail(number)
        except ConnectionError:
            speaking.critical("Consumer encountered a connection error: %s", number, exc_info=True)
    clock[0] += 61
    speaking.critical("Consumer encountered a connection error: %s", 600)
    speaking.critical("Something else")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == [
        "Consumer encountered a connection error: 0",
        "Consumer encountered a connection error: 600",
        "Something else",
    ]
    assert lines[0]["error"] == "ConnectionError"
    assert lines[0]["of"] == "dramatiq.worker.ConsumerThread"
    assert "test_logs.py" in lines[0]["at"][-1]


def test_what_came_since_is_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    logs.configure("info")
    speaking = logging.getLogger("some.library")
    for _ in range(5):
        speaking.warning("error connecting in %r: %s", "pool-1", "away")
    clock[0] += 61
    speaking.warning("error connecting in %r: %s", "pool-1", "away")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    heard = (speaking.disabled, speaking.getEffectiveLevel(), logging.root.manager.disable, logging.root.handlers)
    assert [line.get("times_since") for line in lines] == [None, 4], heard
    logging.getLogger("chatty").info("not heard")
    assert capsys.readouterr().err == ""


def test_a_log_whose_reader_is_gone_stops_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("info")
    log = structlog.get_logger()
    closed = io.StringIO()
    with monkeypatch.context() as gone:
        gone.setattr("sys.stderr", closed)
        log.error("said while somebody reads")
        closed.close()
        log.error("said to nobody")
    log.error("said to the next reader")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["said to the next reader"]
