"""What openbadgeslib says of badges: run by ``tests.oracles.badges`` in an environment of its own."""

import json
import sys

from openbadgeslib.ob3 import OB3VerificationError, OB3Verifier  # type: ignore[import-not-found,unused-ignore]

asked = json.loads(sys.stdin.read())
said = []
for token in asked["tokens"]:
    try:
        credential = OB3Verifier.for_issuer_did(asked["issuer"]).verify(token)
        said.append(credential.achievement.name)
    except OB3VerificationError as refused:
        said.append(f"refused: {refused}")
print(json.dumps(said))
