"""What the ladder may do and how it reads: the settings of a run, and the digest that names them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

RULES_VERSION = "2026-12-01.1"
"""Changes whenever the same files could be answered otherwise; stands in every manifest."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of a matching run. The defaults are the county's; a change is visible in the manifest."""

    currency: str = "KES"
    prefixes: tuple[str, ...] = ("BSA", "TRL", "MLB", "BUS", "PLOT", "PLATE", "REG", "NO")
    """Short words that payers put before plates, stalls and plots."""
    correct_slips: bool = True
    """Whether a number one slip away may match, with equal amount and an agreeing payer."""
    trust_payer: bool = True
    """Whether a payer's phone, name or paid bill may stand for the payer's one open bill of that amount."""
    name_chance_1_in: int = 50
    """A name with a masked phone tells people apart when fewer than one in this many pairs would agree by chance."""
    suggestions: int = 5
    """Candidates shown for a payment that is left, best first."""

    def digest(self) -> str:
        """SHA-256 over the settings and the version of the rules."""
        content = json.dumps({"rules": RULES_VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
