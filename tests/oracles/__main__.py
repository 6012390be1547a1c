"""``python -m tests.oracles``: our M-PESA client and simulator beside four packages that nobody here wrote.

Every disagreement is either mended or written down in :data:`DECIDED` with what was decided. A new one ends the run
with 1, and so does a decision that no longer meets its disagreement. Without a package registry the run ends with 3.
"""

from __future__ import annotations

import base64
import json
import runpy
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import padding

from adapters.mpesa import MpesaSettings, adapter, requests
from adapters.mpesa.outbound import MpesaOutbound, client
from adapters.sandbox.mpesa_provider import Provider
from adapters.sandbox.mpesa_server import serving
from revenue_engine import periods
from revenue_engine.ports.callbacks import Ignored, Paid, Purpose
from revenue_engine.ports.outbound import Sent
from tests.oracles.environments import PINNED, Unreachable, install, judged, source

PAYBILL = "600100"
PURPOSES = (Purpose.CONFIRMATION, Purpose.VALIDATION, Purpose.PUSH_RESULT, Purpose.RESULT, Purpose.TIMEOUT)
PUBLIC, NOWHERE = "https://pay.example/cb/v1", "http://127.0.0.1:9/cb/v1"
PATHS = {
    "stk": "/mpesa/stkpush/v1/processrequest",
    "stk_query": "/mpesa/stkpushquery/v1/query",
    "c2b_register": "/mpesa/c2b/v2/registerurl",
    "status": "/mpesa/transactionstatus/v1/query",
    "balance": "/mpesa/accountbalance/v1/query",
    "reversal": "/mpesa/reversal/v1/request",
}
SCHEMAS = {
    "stk": ("mpesa_express", "StkPushSimulateRequest", "StkPushSimulateResponse"),
    "stk_query": ("mpesa_express", "StkPushQueryRequest", "StkPushQueryResponse"),
    "c2b_register": ("c2b", "C2BRegisterUrlRequest", "C2BRegisterUrlResponse"),
    "status": ("transaction_status", "TransactionStatusRequest", "TransactionStatusResponse"),
    "balance": ("account_balance", "AccountBalanceRequest", "AccountBalanceResponse"),
    "reversal": ("reversal", "ReversalRequest", "ReversalResponse"),
}
POST_SCHEMAS = {
    "validation": ("c2b", "C2BValidationRequest"),
    "confirmation": ("c2b", "C2BValidationRequest"),
    "push paid": ("mpesa_express", "StkPushSimulateCallback"),
    "push cancelled": ("mpesa_express", "StkPushSimulateCallback"),
    "status result": ("transaction_status", "TransactionStatusResultCallback"),
    "balance result": ("account_balance", "AccountBalanceResultCallback"),
    "reversal result": ("reversal", "ReversalResultCallback"),
}
KINDS = {"validation": "c2b", "confirmation": "c2b", "push paid": "stk", "push cancelled": "stk"}

DECIDED: dict[tuple[str, str], str] = {
    ("daraja-sdk-py", "credential"): (
        "Ours stays: the password alone is encrypted, as mpesa-daraja-mcp does and the provider's guide describes."
        " This one encodes it in Base64 first, mpesakit puts the time behind it; nobody does either beside them."
    ),
    ("mpesakit", "answer c2b_register"): (
        "Ours stays: the provider misspells OriginatorCoversationID, and the schema's own example does too."
        " Our client reads both spellings."
    ),
    ("mpesakit", "request status"): (
        "Ours stays: IdentifierType goes as text, as in the provider's samples and in the schema's own example."
    ),
    ("mpesakit", "request balance"): "Ours stays: as for the status.",
    ("mpesakit", "post status result"): (
        "Ours stays: the parameters stand in ResultParameters.ResultParameter, as in every sample of a result seen;"
        " the schema wants a flat list."
    ),
    ("mpesakit", "post reversal result"): (
        "Both: samples show numbers and texts. The simulator sends numbers, and texts with `numbers_as_text`;"
        " the adapter reads either."
    ),
}


@dataclass
class Ours:
    """What our client sent, what the simulator answered, and what it posted."""

    requests: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    posts: dict[str, str] = field(default_factory=dict)


@contextmanager
def asking(provider: Provider, url: str, folder: Path, callbacks: str, ours: Ours) -> Iterator[MpesaOutbound]:
    """Our client of the simulator, with addresses that begin with ``callbacks``."""
    provider.keys.write(folder, {purpose: f"{callbacks}/{purpose}" for purpose in PURPOSES})
    api = {path: name for name, path in PATHS.items()}

    def keep(response: httpx2.Response) -> None:
        response.read()
        name = api.get(response.request.url.path)
        if name is not None and response.status_code == 200:
            ours.answers[name] = response.json()

    settings = {"shortcode": PAYBILL, "asking": provider.keys.asking(url)}
    with httpx2.Client(trust_env=False, timeout=20, event_hooks={"response": [keep]}) as http:
        yield client(
            MpesaSettings.model_validate_json(json.dumps(settings)),
            secret=lambda name: (folder / name).read_bytes(),
            http=http,
        )


def collect(folder: Path) -> tuple[Ours, Provider]:
    """Make every call and every post once."""
    ours = Ours()
    provider = Provider({PAYBILL: "Sample County"}, seed=17)
    push: dict[str, Any] = {"phone": "+254700000101", "amount_minor": 50_000, "account_reference": "1"}
    with serving(provider) as url:
        with asking(provider, url, folder, PUBLIC, ours) as made:
            provider.faults.lose = 1000
            made.register()
            sent = made.push(**push, description="Rates")
            assert isinstance(sent, Sent)
            provider.sender.idle()
            made.query(sent.request_id)
            paid = provider.withheld[0]
            made.status(reference=paid.reference)
            made.balance()
            made.reverse(reference=paid.reference, amount_minor=paid.amount_minor, remarks="Paid twice")
            provider.sender.idle()
            ours.requests = {
                name: next(call.body for call in provider.calls if call.path == path) for name, path in PATHS.items()
            }
        provider.faults.lose = 0
        with asking(provider, url, folder, NOWHERE, ours) as made:
            _posts(provider, made, ours, push)
    return ours, provider


def _posts(provider: Provider, made: MpesaOutbound, ours: Ours, push: dict[str, Any]) -> None:
    """Let the simulator post one of everything. Nobody listens: what it would post is looked at."""

    def posted(name: str, purpose: Purpose) -> None:
        assert provider.sender.idle()
        ours.posts[name] = next(
            one.body.decode() for one in reversed(provider.sender.posted) if one.url.endswith(f"/{purpose}")
        )

    made.register()
    provider.validating.add(PAYBILL)
    moved = provider.pay(PAYBILL, amount_minor=80_000, account="123456789")
    posted("validation", Purpose.VALIDATION)
    posted("confirmation", Purpose.CONFIRMATION)
    made.push(**push, description="Rates")
    posted("push paid", Purpose.PUSH_RESULT)
    provider.faults.prompt_code = "1032"
    made.push(**push, description="Rates")
    posted("push cancelled", Purpose.PUSH_RESULT)
    made.status(reference=moved.reference)
    posted("status result", Purpose.RESULT)
    made.balance()
    posted("balance result", Purpose.RESULT)
    made.reverse(reference=moved.reference, amount_minor=moved.amount_minor, remarks="Paid twice")
    posted("reversal result", Purpose.RESULT)


# --- the four ---


def ask_mcp(folder: Path, ours: Ours, provider: Provider) -> dict[str, list[str]]:
    """Its validator on our requests, its receiver on the simulator's posts, its credential under our certificate."""
    stk = ours.requests["stk"]
    given = {
        "requests": [[f"request {name}", name, body] for name, body in ours.requests.items()],
        "posts": [[f"post {name}", KINDS.get(name, "result"), "here", text] for name, text in ours.posts.items()],
        "shortcode": PAYBILL,
        "passkey": provider.keys.passkey,
        "timestamp": stk["Timestamp"],
        "password": stk["Password"],
        "initiator_password": provider.keys.initiator_password,
        "certificate": provider.keys.certificate.decode(),
    }
    found: dict[str, Any] = judged(install(folder, "mpesa-daraja-mcp"), "judge_mcp.py", given)
    credential = found.pop("credential")
    return found | {"credential": [] if provider.keys.opens(credential) else ["the credential holds something else"]}


def ask_sdk(folder: Path, ours: Ours, provider: Provider) -> dict[str, list[str]]:
    """Its password and credential beside ours, its certificate under our client, its fixtures in our adapter."""
    stk = ours.requests["stk"]
    given = {
        "shortcode": PAYBILL,
        "passkey": provider.keys.passkey,
        "timestamp": stk["Timestamp"],
        "initiator_password": provider.keys.initiator_password,
        "certificate": provider.keys.certificate.decode(),
    }
    said = judged(install(folder, "daraja-sdk-py"), "judge_sdk.py", given)
    found: dict[str, list[str]] = {}
    found["password"] = [] if said["password"] == stk["Password"] else ["the password differs"]
    held = provider.keys.private_key.decrypt(base64.b64decode(said["credential"]), padding.PKCS1v15())
    found["credential"] = (
        [] if held == provider.keys.initiator_password.encode() else [f"holds {_form(held, provider)}"]
    )
    mine = requests.security_credential(given["initiator_password"], said["sandbox_certificate"].encode("latin-1"))
    found["sandbox certificate"] = [] if len(mine) == len(said["sandbox_credential"]) else ["another length"]
    fixtures = runpy.run_path(str(source(folder, "daraja-sdk-py") / "tests" / "fixtures" / "callback_payloads.py"))
    wanted: dict[str, Any] = {
        "STK_CALLBACK_SUCCESS": Paid,
        "STK_CALLBACK_FAILED": Ignored,
        "B2C_CALLBACK_SUCCESS": Paid,
        "ACCOUNT_BALANCE_RESULT": Ignored,
    }
    for name, kind in wanted.items():
        read = adapter.interpret(json.dumps(fixtures[name]).encode())
        found[f"fixture {name}"] = [] if isinstance(read, kind) else [f"read as {type(read).__name__}"]
    return found


def _form(held: bytes, provider: Provider) -> str:
    return "the password in Base64" if held == base64.b64encode(provider.keys.initiator_password.encode()) else "more"


def ask_mpesakit(folder: Path, ours: Ours, provider: Provider) -> dict[str, list[str]]:
    """Its schemas on our requests and on the simulator's answers and posts."""
    bodies: list[list[Any]] = []
    for name, (module, request, answer) in SCHEMAS.items():
        bodies.append([f"request {name}", module, request, ours.requests[name]])
        bodies.append([f"answer {name}", module, answer, ours.answers[name]])
    for name, (module, schema) in POST_SCHEMAS.items():
        bodies.append([f"post {name}", module, schema, json.loads(ours.posts[name])])
    found: dict[str, list[str]] = judged(install(folder, "mpesakit"), "judge_mpesakit.py", {"bodies": bodies})
    return found


def ask_v3(folder: Path, ours: Ours, provider: Provider) -> dict[str, list[str]]:
    """It as a second client of a fresh simulator, and as a reader of the simulator's push results."""
    second = Provider({PAYBILL: "Sample County"}, seed=18)
    second.faults.hold_prompts = True
    keys = second.keys
    pushes = [json.loads(ours.posts[name]) for name in ("push paid", "push cancelled")]
    with serving(second) as url:
        given = {
            "url": url,
            "shortcode": PAYBILL,
            "consumer_key": keys.consumer_key,
            "consumer_secret": keys.consumer_secret,
            "passkey": keys.passkey,
            "initiator": keys.initiator,
            "credential": requests.security_credential(keys.initiator_password, keys.certificate),
            "pushes": pushes,
            **{purpose.value: f"{NOWHERE}/{purpose}" for purpose in PURPOSES},
        }
        said = judged(install(folder, "daraja-v3"), "judge_v3.py", given)
        second.sender.idle()
    checks: Mapping[str, bool] = {
        "register": said["registered"] == "0" and PAYBILL in second.registered,
        "push": said["request_id"] in second.prompts,
        "pending query": said["pending"] == "500.001.1001",
        "balance": said["balance"] == "0" and b"AccountBalance" in second.sender.posted[-1].body,
        "reads a paid push": said["read"][0][:2] == [True, _receipt(pushes[0])],
        "reads a cancelled push": said["read"][1][0] is False,
    }
    return {name: [] if good else [f"said {json.dumps(said)}"] for name, good in checks.items()}


def _receipt(body: Mapping[str, Any]) -> str:
    items = {item["Name"]: item.get("Value") for item in body["Body"]["stkCallback"]["CallbackMetadata"]["Item"]}
    return str(items["MpesaReceiptNumber"])


ORACLES = {
    "mpesa-daraja-mcp": ask_mcp,
    "daraja-sdk-py": ask_sdk,
    "mpesakit": ask_mpesakit,
    "daraja-v3": ask_v3,
}


def main() -> int:
    """Ask all four and print what they say."""
    began = periods.now()
    new, met = 0, set()
    with tempfile.TemporaryDirectory(prefix="oracles-") as name:
        folder = Path(name)
        (folder / "secrets").mkdir()
        ours, provider = collect(folder / "secrets")
        for oracle, ask in ORACLES.items():
            try:
                found = ask(folder, ours, provider)
            except Unreachable as error:
                print(f"skipped: {error}. A package registry is needed.")
                return 3
            print(f"{oracle} {PINNED[oracle]}: {sum(not wrong for wrong in found.values())} of {len(found)} agree")
            for what, wrong in found.items():
                if not wrong:
                    continue
                decision = DECIDED.get((oracle, what))
                met.add((oracle, what))
                new += decision is None
                print(f"  {what}: {'; '.join(wrong)}\n    {decision or 'NEW: decide'}")
    stale = DECIDED.keys() - met
    for oracle, what in sorted(stale):
        print(f"  {oracle}, {what}: decided once, met no more")
    print(f"{new} new, {len(stale)} stale, {(periods.now() - began) // timedelta(seconds=1)} s")
    return 1 if new or stale else 0


if __name__ == "__main__":
    sys.exit(main())
