"""A hospital's system: issues a bill of the facility's fees, tells the number to be typed, and learns of the payment.

The Idempotency-Key is kept before the call: a call that was cut off is sent again with the same key, and there is one
bill. Paid is what the engine derives from evidence of money; nothing here can say so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

TRIES = 5
LOOK_EVERY = 1.0
TRY_AGAIN = (409, 429, 503)


def call(method: str, path: str, body: Any = None, *, key: str = "") -> Any:
    """One call; repeated with the same key where the engine says that the same call may succeed later."""
    headers = {"Authorization": f"Bearer {os.environ['REVENUE_TOKEN']}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    sent = None if body is None else json.dumps(body).encode()
    for tried in range(1, TRIES + 1):
        asked = urllib.request.Request(os.environ["REVENUE_URL"] + path, sent, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            refusal = json.load(error)
            if error.code not in TRY_AGAIN or "retry-after" not in error.headers or tried == TRIES:
                sys.exit(f"refused, {refusal['code']}: {refusal['detail']}")
            time.sleep(int(error.headers["retry-after"]))
        except (urllib.error.URLError, TimeoutError) as error:
            if tried == TRIES:
                sys.exit(f"the revenue engine does not answer: {error}")
            time.sleep(tried)
    raise AssertionError


def main() -> None:
    """Issue, and wait until the bill is paid."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("items", nargs="+", help="ITEM or ITEM:quantity")
    wanted.add_argument("--station", required=True)
    wanted.add_argument("--name")
    wanted.add_argument("--wait", type=int, default=600, help="seconds")
    given = wanted.parse_args()
    items = [
        {"item": code, "quantity": int(count or 1)} for code, _, count in (one.partition(":") for one in given.items)
    ]
    body: dict[str, Any] = {"items": items, "station": given.station}
    if given.name:
        body["name"] = given.name
    bill = call("POST", "/api/v1/invoices", body, key=str(uuid.uuid4()))
    print(f"bill {bill['number']}: pay KES {bill['total']} to account {bill['pay_account_number']}", flush=True)
    until = time.monotonic() + given.wait
    while time.monotonic() < until:
        bill = call("GET", f"/api/v1/invoices/{bill['number']}")
        if bill["state"] == "paid":
            (paid, *_) = bill["payments"]
            print(f"paid: {paid['applied']} by {paid['reference']}, receipt {', '.join(paid['receipts'])}", flush=True)
            return
        time.sleep(LOOK_EVERY)
    sys.exit(f"not paid yet: {bill['outstanding']} is left")


if __name__ == "__main__":
    main()
