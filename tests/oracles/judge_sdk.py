"""daraja-sdk-py judges: its password and credential, and its certificate. Runs in its environment."""

import json
import sys
import tempfile
from pathlib import Path

from daraja.utils import generate_password, generate_security_credential, get_cert_path


def main() -> None:
    given = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "simulated.pem"
        certificate.write_text(given["certificate"])
        credential = generate_security_credential(given["initiator_password"], str(certificate))
    sandbox = Path(get_cert_path("sandbox"))
    print(
        json.dumps(
            {
                "password": generate_password(given["shortcode"], given["passkey"], given["timestamp"]),
                "credential": credential,
                "sandbox_certificate": sandbox.read_bytes().decode("latin-1"),
                "sandbox_credential": generate_security_credential(given["initiator_password"], str(sandbox)),
            }
        )
    )


if __name__ == "__main__":
    main()
