"""The two worked clients, each a process of its own, against a server that listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.api.conftest import Desk
from tests.api.test_services import service

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def url(desk: Desk) -> Iterator[str]:
    """The application on a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(desk.app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


def started(name: str, *given: str, url: str, token: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "REVENUE_URL": url, "REVENUE_TOKEN": token}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *given], env=environment, stdout=subprocess.PIPE, text=True
    )


def told(name: str, *given: str, url: str, token: str) -> str:
    answered, _ = started(name, *given, url=url, token=token).communicate(timeout=60)
    return answered.strip()


def test_a_hospital_learns_that_its_bill_is_paid_and_the_website_verifies_the_receipt(desk: Desk, url: str) -> None:
    hospital = service(desk, "bill.issue", "read")["Authorization"].removeprefix("Bearer ")
    website = service(desk, "read", login="county.website")["Authorization"].removeprefix("Bearer ")
    asking = started("health_system.py", "TRL.NIGHT:2", "--station", "MALABA", "--wait", "120", url=url, token=hospital)
    try:
        assert asking.stdout is not None
        said = asking.stdout.readline()
        number = said.split()[-1]
        assert "pay KES 600.00" in said
        assert "600.00 of 600.00 is to be paid" in told("county_website.py", "bill", number, url=url, token=website)
        code = desk.books.pay(600, number)
        paid, _ = asking.communicate(timeout=120)
        assert asking.returncode == 0
    finally:
        asking.kill()
    assert f"600.00 by {code}, receipt RCT-" in paid
    receipt = paid.split()[-1]
    assert "is paid" in told("county_website.py", "bill", number, url=url, token=website)
    assert "is the county's" in told("county_website.py", "receipt", receipt, url=url, token=website)
    assert "never issued" in told("county_website.py", "receipt", "RCT-2627-999999", url=url, token=website)
    assert "No bill has" in told("county_website.py", "bill", "999999999", url=url, token=website)
