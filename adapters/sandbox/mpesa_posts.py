"""What the simulated M-PESA posts to us, and everything that goes wrong on the way: the switches and the sender."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx2

from adapters.sandbox import mpesa_bodies as bodies

WORKERS: Final = 16
ANSWER_SECONDS: Final = 30


@dataclass
class Faults:
    """The switches. Shares are parts of a thousand; counts are used up one by one; times are milliseconds."""

    lose: int = 0
    """Posts that are never sent."""
    withhold: int = 0
    """Payments that no post tells of at all."""
    duplicate: int = 0
    """Posts that are sent ``copies`` times at once."""
    copies: int = 2
    late: int = 0
    """Posts that wait ``late_ms``."""
    late_ms: int = 1_000
    shuffle: bool = False
    """Whether the messages about one payment come in any order, a second apart or none."""
    msisdn: bodies.Msisdn = "masked"
    numbers_as_text: bool = False
    shortcode_as_number: bool = False
    extra_keys: bool = False
    result_code: str = ""
    """What results of initiator requests say instead of success."""
    time_out: bool = False
    """Whether results go to the time-out address, saying success, though the work was done."""
    token_seconds: int = 3_599
    refuse_tokens: int = 0
    """Calls whose token is refused, however good it is."""
    spike_arrest: int = 0
    service_down: int = 0
    """Calls answered with 500.002.1001."""
    hang_ms: int = 0
    """How long calls wait for their answer once the work is done."""
    hold_prompts: bool = False
    """Whether prompts stay open until somebody answers them."""
    prompt_code: str = "0"
    """How prompts are answered: 0 pays, everything else is a result code."""
    prompt_ms: int = 0
    validation_ms: int = 8_000
    """How long the provider waits for our answer to a validation."""
    lower_case_ids: bool = False
    """Whether pull answers write receipts in lower case, as the provider's sample does."""
    pull_utc: bool = False
    """Whether the Z of trxDate is true. When it is not, it stands behind Nairobi time."""
    pull_errors: int = 0
    """Pull queries answered with ResponseCode 500."""

    def take(self, name: Literal["refuse_tokens", "spike_arrest", "service_down", "pull_errors"]) -> bool:
        """Whether one of a counted fault is left; it is used up."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


@dataclass(frozen=True, slots=True)
class Post:
    """One message: where it goes and its bytes."""

    url: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """A post that was made, and the status that answered it; 0 where nobody did, -1 where it was lost on purpose."""

    url: str
    body: bytes = field(repr=False)
    status: int


class Sender:
    """Posts messages on threads of its own, as the provider does: nobody waits for it."""

    def __init__(self, rng: random.Random, faults: Callable[[], Faults]) -> None:
        self._rng = rng
        self._faults = faults
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="sandbox-mpesa")
        self._http = httpx2.Client(timeout=ANSWER_SECONDS, trust_env=False)
        self._open = 0
        self._changed = threading.Condition()
        self.posted: list[Posted] = []

    def run(self, work: Callable[..., object], *args: object) -> None:
        """Do something on a thread; :meth:`idle` waits for it."""
        with self._changed:
            self._open += 1
        self._pool.submit(self._work, work, args)

    def _work(self, work: Callable[..., object], args: Sequence[object]) -> None:
        try:
            work(*args)
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def idle(self, seconds: int = 30) -> bool:
        """Wait until nothing is under way; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, timeout=seconds)

    def close(self) -> None:
        """End the threads, after what is under way."""
        self._pool.shutdown(wait=True)
        self._http.close()

    def send(self, posts: Sequence[Post]) -> bool:
        """Send the messages about one thing, each with the faults it draws; whether any was sent at all."""
        sent = False
        faults, order = self._faults(), list(posts)
        if faults.shuffle:
            self._rng.shuffle(order)
        for post in order:
            body = _dressed(post.body, faults)
            if self._draw(faults.lose):
                self.posted.append(Posted(post.url, body, -1))
                continue
            sent = True
            wait = faults.late_ms if self._draw(faults.late) else 0
            for _ in range(faults.copies if self._draw(faults.duplicate) else 1):
                self.run(self._post, post.url, body, wait)
        return sent

    def ask(self, url: str, body: bytes, milliseconds: int) -> object:
        """Post a question and read its answer as JSON; None where none comes in time or it cannot be read."""
        try:
            answer = self._http.post(url, content=body, headers=_JSON, timeout=milliseconds / 1000)
            self.posted.append(Posted(url, body, answer.status_code))
            return answer.json() if answer.status_code == 200 else None
        except (httpx2.HTTPError, ValueError):
            self.posted.append(Posted(url, body, 0))
            return None

    def _draw(self, part: int) -> bool:
        return part > 0 and self._rng.randrange(1000) < part

    def draw(self, part: int) -> bool:
        """Whether something happens that happens ``part`` times in a thousand."""
        return self._draw(part)

    def _post(self, url: str, body: bytes, wait_ms: int) -> None:
        time.sleep(wait_ms / 1000)
        try:
            status = self._http.post(url, content=body, headers=_JSON).status_code
        except httpx2.HTTPError:
            status = 0
        self.posted.append(Posted(url, body, status))


_JSON: Final = {"content-type": "application/json"}


def _dressed(body: bytes, faults: Faults) -> bytes:
    """A body as a provider in another mood would write it. Numbers keep their digits."""
    if faults.numbers_as_text:
        doc = json.loads(body, parse_int=str, parse_float=str)
        body = json.dumps(doc, ensure_ascii=False, separators=(",", ":")).encode()
    if faults.shortcode_as_number:
        body = _SHORTCODE.sub(rb"\1\2", body)
    if faults.extra_keys:
        body = body.removesuffix(b"}") + b',"Extra":{"Channel":"USSD"}}'
    return body


_SHORTCODE: Final = re.compile(rb'("BusinessShortCode":)"(\d+)"')
