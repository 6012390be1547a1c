"""The county's website: a payer looks a bill up by the number that is typed, and anybody verifies a receipt.

The website shows amounts and states, and no name: whoever finds a bill lying about learns nothing of its payer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


def look(path: str) -> Any:
    """What the engine answers, or None for what is not there."""
    headers = {"Authorization": f"Bearer {os.environ['REVENUE_TOKEN']}"}
    asked = urllib.request.Request(os.environ["REVENUE_URL"] + path, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (404, 422):
            return None
        sys.exit(f"refused, {json.load(error)['code']}")
    except urllib.error.URLError as error:
        sys.exit(f"the revenue engine does not answer: {error.reason}")


def bill(number: str) -> str:
    """What a payer is told of a bill."""
    found = look(f"/api/v1/invoices/{urllib.parse.quote(number, safe='')}")
    if found is None:
        return f"No bill has the number {number}. Look at the figures: one that is mistyped is never another bill's."
    if found["state"] == "paid":
        papers = [paper for paid in found["payments"] for paper in paid["receipts"]]
        return f"The bill of KES {found['total']} is paid. Receipt: {', '.join(papers)}"
    return f"KES {found['outstanding']} of {found['total']} is to be paid by {found['due_on']}: {found['state']}."


def receipt(number: str) -> str:
    """Whether a receipt proves anything."""
    found = look(f"/api/v1/receipts/{urllib.parse.quote(number, safe='')}")
    if found is None:
        return f"The county never issued a receipt {number}."
    if found["cancelled_at"]:
        return f"Receipt {number} was cancelled: {found['cancelled_why']}. It proves nothing any more."
    return f"Receipt {number} is the county's: KES {found['amount']}, paid {found['paid_at'][:10]}."


def main() -> None:
    """Answer one question."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("what", choices=("bill", "receipt"))
    wanted.add_argument("number")
    given = wanted.parse_args()
    print(bill(given.number) if given.what == "bill" else receipt(given.number))


if __name__ == "__main__":
    main()
