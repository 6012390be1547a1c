"""mpesa-daraja-mcp judges: request bodies by its validator, posted bodies by its receiver. Runs in its environment."""

import json
import sys
import tempfile
import urllib.request
from pathlib import Path

from mpesa_mcp.helpers import parse_callback, security_credential, stk_password
from mpesa_mcp.receiver import CallbackReceiver
from mpesa_mcp.store import Store
from mpesa_mcp.validation import validate


def main() -> None:
    given = json.load(sys.stdin)
    found: dict[str, object] = {name: validate(api, body) for name, api, body in given["requests"]}
    made = stk_password(given["shortcode"], given["passkey"], given["timestamp"])
    found["password"] = [] if made == given["password"] else ["the password differs"]
    found["credential"] = security_credential(given["initiator_password"], given["certificate"].encode())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "kept.db")
        receiver = CallbackReceiver(store, "token", port=0).start()
        for name, kind, path, text in given["posts"]:
            wrong = []
            request = urllib.request.Request(
                f"http://127.0.0.1:{receiver.port}/cb/token/{path}",
                data=text.encode(),
                headers={"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                if answer.status != 200:
                    wrong.append(f"its receiver answers {answer.status}")
            parsed = parse_callback(json.loads(text))
            ids = [
                str(parsed[key])
                for key in ("checkout_request_id", "conversation_id", "transaction_id")
                if parsed.get(key)
            ]
            if store.latest_result(ids) is None:
                wrong.append("its receiver keeps nothing under our ids")
            if parsed["kind"] != kind:
                wrong.append(f"it reads {parsed['kind']}, not {kind}")
            found[name] = wrong
        receiver.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
