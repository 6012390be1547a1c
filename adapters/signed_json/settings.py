"""Settings of a channel account of a described bank: one model for each way of proof."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from adapters import proofs
from adapters.peers import Peers

SHORTEST_SECRET: Final = 8


class BankSettings(BaseModel):
    """What every account has. A value ``file:NAME`` is read from ``REVENUE_SECRETS_DIR``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{1,33}$")]
    """The account credited, as notices name it."""
    peers: Peers = ()
    """Addresses or networks (CIDR) a delivery may come from besides its proof; empty asks for the proof alone."""
    shown_name: Annotated[str, Field(max_length=60)] = ""
    """What the bank shows its customer as the owner of every bill: the county, never a person."""
    confirm_limit_minor: Annotated[int, Field(gt=0)] | None = None
    """Whole cents. A notice of this much or more waits for a second evidence; None sets no limit here."""
    refuse_unknown_accounts: bool | None = None
    """Whether a question about an unknown reference is refused; None follows the county."""


class RsaSettings(BankSettings):
    """A bank that signs with its private key."""

    public_keys: proofs.PublicKeys


class SecretSettings(BankSettings):
    """A bank that signs with a shared secret."""

    secret: Annotated[SecretStr, Field(min_length=SHORTEST_SECRET)]
    previous_secret: SecretStr = SecretStr("")
    """The secret it replaces, while the bank may still sign with it; empty at all other times."""

    @field_validator("previous_secret")
    @classmethod
    def _long(cls, previous: SecretStr) -> SecretStr:
        if 0 < len(previous.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"has fewer than {SHORTEST_SECRET} characters")
        return previous


class SaltedSettings(SecretSettings):
    """A bank that hashes a shared secret with its fields."""

    hash_inside: Literal["hex", "raw"] = "hex"
    """What stands inside the base64: banks differ, and say so only in their test calls."""


class CredentialSettings(BankSettings):
    """A bank that brings a user name and a password."""

    username: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[SecretStr, Field(min_length=8)]


class PeerSettings(BankSettings):
    """A bank known by its addresses alone."""

    peers: Annotated[tuple[str, ...], Field(min_length=1)]


MODELS: Final[dict[str, type[BankSettings]]] = {
    "rsa_sha256": RsaSettings,
    "hmac_sha256": SecretSettings,
    "salted_sha256": SaltedSettings,
    "basic": CredentialSettings,
    "body_credentials": CredentialSettings,
    "peers": PeerSettings,
}
"""The model for each way of proof."""
