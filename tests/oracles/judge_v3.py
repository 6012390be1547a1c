"""daraja-v3 as a second client of our simulator. Runs in its environment."""

import json
import sys

from mpesa import MpesaClient
from mpesa.exceptions import MpesaError


def main() -> None:
    given = json.load(sys.stdin)
    client = MpesaClient(
        given["consumer_key"],
        given["consumer_secret"],
        given["shortcode"],
        passkey=given["passkey"],
        base_url=given["url"],
    )
    registered = client.c2b_register_urls(given["validation"], given["confirmation"])
    pushed = client.stk_push("0700000101", 500, "REF-1", "Rates", given["push_result"])
    try:
        pending = client.stk_query(pushed.checkout_request_id).result_code
    except MpesaError as error:
        pending = error.code
    balance = client.account_balance(
        given["result"],
        given["timeout"],
        initiator_name=given["initiator"],
        security_credential=given["credential"],
    )
    read = [client.parse_stk_callback(body) for body in given["pushes"]]
    print(
        json.dumps(
            {
                "registered": registered["ResponseCode"],
                "request_id": pushed.checkout_request_id,
                "pending": pending,
                "balance": balance["ResponseCode"],
                "read": [[one["paid"], one["mpesa_receipt"], str(one["amount"])] for one in read],
            }
        )
    )


if __name__ == "__main__":
    main()
