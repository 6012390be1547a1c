"""One request to M-PESA and what its answer proves: the token, the error codes, the trying again.

Error codes fall in four kinds (:class:`Proof`), and only two of them may be tried again. A request that may have been
done is repeated only when repeating it changes nothing (a question). Codes are the reference's: MD and PAYLOD tables.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from adapters import readings
from adapters.mpesa import fields
from revenue_engine.errors import ConfigurationError, InvalidValue, Retryable
from revenue_engine.ports.strict_json import loads

TRIES: Final = 4
LONGEST_PAUSE: Final = 8
"""Seconds between two tries, at most; drawn at random, growing."""
TOKEN_MARGIN: Final = 60
"""Seconds before its end at which a token is no longer used."""

_TOKEN_REFUSED: Final = frozenset({"400.003.01", "401.002.01", "404.001.03"})
_BUSY: Final = frozenset({"500.003.02", "500.003.03"})
"""Spike arrest and quota: turned away at the gateway, so certainly nothing was done."""
PENDING: Final = "500.001.1001"
"""Overloaded: to a query it says that the prompt is still open, to a push it says nothing for certain."""
_REFUSED: Final = ("400.", "401.", "404.", "405.")
_GATEWAY_TOKEN: Final = ("oauth.v2.", "keymanagement.")
_GATEWAY_BUSY: Final = "policies.ratelimit."
"""Fault codes of the gateway (Apigee) that stands before the provider, where it answers in its own words."""

_NEVER_REACHED: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class Proof(enum.Enum):
    """What an answer proves about the request."""

    TAKEN = "taken"
    """A readable answer of success."""
    REFUSED = "refused"
    """Nothing was done, and the same request will be refused again."""
    BUSY = "busy"
    """Nothing was done, and the same request may be taken later."""
    OPEN = "open"
    """It may have been done: a time-out after sending, a failing server, a code with several meanings."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, or that none came."""

    proof: Proof
    reason: str = ""
    code: str = ""
    body: bytes = b""
    doc: Mapping[str, object] = field(default_factory=dict)
    token_refused: bool = False
    tried: bool = False
    """Whether trying again was done already, so that it is not done on top of that."""


def judge(status: int, body: bytes) -> Heard:
    """What an HTTP answer proves."""
    try:
        found = loads(body)
    except InvalidValue:
        found = None
    doc: Mapping[str, object] = found if isinstance(found, dict) else {}
    code = fields.code(doc.get("errorCode")) or _gateway_code(doc)
    if 200 <= status < 300 and not code:
        if doc:
            return Heard(Proof.TAKEN, body=body, doc=doc)
        return Heard(Proof.OPEN, f"the answer of status {status} is no JSON object", body=body)
    reason = f"M-PESA answered {status}" + (f", error {readings.code_shown(code)}" if code else "")
    token_refused = code in _TOKEN_REFUSED or code.startswith(_GATEWAY_TOKEN) or (status == 401 and not code)
    if status == 429 or code in _BUSY or code.startswith(_GATEWAY_BUSY):
        proof = Proof.BUSY
    elif token_refused or code.startswith(_REFUSED) or (not code and status in (400, 401, 403, 404, 405, 415)):
        proof = Proof.REFUSED
    else:
        proof = Proof.OPEN
    return Heard(proof, reason, code, body, doc, token_refused)


def _gateway_code(doc: Mapping[str, object]) -> str:
    fault = doc.get("fault")
    detail = fault.get("detail") if isinstance(fault, dict) else None
    return fields.code(detail.get("errorcode")) if isinstance(detail, dict) else ""


class Token:
    """The access token of one consumer key: kept until a minute before its end, renewed by one thread at a time."""

    def __init__(self, fetch: Callable[[], tuple[str, int]]) -> None:
        """``fetch`` answers a new token and the seconds it lives."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token = ""
        self._until: int = 0
        self.renewals = 0

    def __repr__(self) -> str:
        return f"Token(renewals={self.renewals})"

    def current(self, *, refused: str = "") -> str:
        """A token that is still good. ``refused`` is one the provider would not take: it is renewed once, by
        whoever comes first, however many threads it was refused to."""
        with self._lock:
            if self._token and self._token != refused and time.monotonic_ns() < self._until:
                return self._token
            began = time.monotonic_ns()
            self._token, lives = self._fetch()
            self._until = began + max(0, lives - TOKEN_MARGIN) * 1_000_000_000
            self.renewals += 1
            return self._token


class Exchange:
    """Sends requests to one host with one consumer key. Secrets are read when they are needed and not kept."""

    def __init__(
        self,
        http: httpx2.Client,
        *,
        host: str,
        key: Callable[[], str],
        secret: Callable[[], str],
        sleep: Callable[..., None] = time.sleep,
    ) -> None:
        self._http = http
        self._host = host
        self._key = key
        self._secret = secret
        self._sleep = sleep
        self.token = Token(self._fetch_token)

    def __repr__(self) -> str:
        return f"Exchange({self._host!r})"

    def send(self, path: str, body: Mapping[str, str], *, question: bool) -> Heard:
        """Post a body and judge the answer. Tries again what certainly was not done, and a ``question`` also when it
        may have been. Never raises for the network; raises ConfigurationError for credentials that are refused."""

        def again(heard: Heard) -> bool:
            if heard.proof is Proof.BUSY:
                return not heard.tried
            return question and heard.proof is Proof.OPEN and heard.code != PENDING

        return self._trying(again)(self._once, path, body)

    def _trying(self, again: Callable[[Heard], bool]) -> Retrying:
        return Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(max=LONGEST_PAUSE),
            retry=retry_if_result(again),
            retry_error_callback=_last,
            sleep=self._sleep,
        )

    def _once(self, path: str, body: Mapping[str, str]) -> Heard:
        try:
            token = self.token.current()
            heard = self._post(path, body, token)
            if heard.token_refused:
                heard = self._post(path, body, self.token.current(refused=token))
        except Retryable as error:
            return Heard(Proof.BUSY, error.message, tried=True)
        return heard

    def _post(self, path: str, body: Mapping[str, str], token: str) -> Heard:
        try:
            answer = self._http.post(self._host + path, json=body, auth=_bearer(token))
        except _NEVER_REACHED as error:
            return Heard(Proof.BUSY, f"M-PESA could not be reached ({type(error).__name__})")
        except httpx2.HTTPError as error:
            return Heard(Proof.OPEN, f"the request was sent and no answer came ({type(error).__name__})")
        return judge(answer.status_code, answer.content)

    def _fetch_token(self) -> tuple[str, int]:
        """Ask for a token. Raises Retryable when none can be had now, ConfigurationError when the key is refused."""
        heard = self._trying(lambda one: one.proof in (Proof.BUSY, Proof.OPEN))(self._ask_token)
        if heard.proof is Proof.REFUSED:
            raise ConfigurationError(
                f"M-PESA refuses the consumer key or secret: {heard.reason}", provider_code=heard.code
            )
        if heard.proof is not Proof.TAKEN:
            raise Retryable(f"no access token: {heard.reason}")
        token, lives = heard.doc.get("access_token"), heard.doc.get("expires_in")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise Retryable("no access token: the answer holds none")
        # The seconds come as text. Where they cannot be read the token serves once and is not kept.
        seconds = int(lives) if isinstance(lives, int | str) and str(lives).isdecimal() else 0
        return token, seconds

    def _ask_token(self) -> Heard:
        try:
            answer = self._http.get(
                self._host + "/oauth/v1/generate",
                params={"grant_type": "client_credentials"},
                auth=httpx2.BasicAuth(self._key(), self._secret()),
            )
        except httpx2.HTTPError as error:
            return Heard(Proof.BUSY, f"M-PESA could not be reached ({type(error).__name__})")
        return judge(answer.status_code, answer.content)


def _bearer(token: str) -> Callable[[httpx2.Request], httpx2.Request]:
    """The token as authentication of one request, so that nothing from the environment takes its place."""

    def sign(request: httpx2.Request) -> httpx2.Request:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def _last(state: RetryCallState) -> Heard:
    """The last answer, when no more tries are left."""
    heard: Heard = state.outcome.result() if state.outcome else Heard(Proof.OPEN, "nothing was tried")
    return heard
