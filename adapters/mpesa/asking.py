"""What a channel account must say before M-PESA can be asked: the provider's host and the names of its secrets.

Settings stand in the database, so nothing secret may stand in them. Every secret is the name of a file in the folder of
secrets. The callback addresses are one of them, since each ends in the token that opens our endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from revenue_engine.errors import ConfigurationError, InvalidValue
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.strict_json import loads

HOSTS: Final[Mapping[str, str]] = {
    "sandbox": "https://sandbox.safaricom.co.ke",
    "production": "https://api.safaricom.co.ke",
}
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A file in the folder of secrets: a plain name, never a path."""

_FORBIDDEN: Final = re.compile("m-?pesa|safaricom|exe|cmd|sql|query", re.IGNORECASE)
"""Words for which the provider refuses to register an address."""


class MpesaAsking(BaseModel):
    """How one channel account asks its provider. What is left out cannot be asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Literal["sandbox", "production"] = "sandbox"
    base_url: str | None = None
    """Another host than the environment's own: https, or http on this machine (the simulator)."""
    consumer_key: SecretName
    consumer_secret: SecretName
    passkey: SecretName | None = None
    """Of pushes and their queries."""
    store: Annotated[str, Field(pattern=r"^[0-9]{5,7}$")] | None = None
    """For a till the head-office number that pushes go through; a pay bill is its own."""
    initiator: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """The operator's name, of status, balance and reversal."""
    initiator_password: SecretName | None = None
    certificate: SecretName | None = None
    """The provider's X.509 certificate (PEM or DER), under which the operator's password is sent."""
    addresses: SecretName | None = None
    """A JSON object from purpose to URL: ``confirmation``, ``validation``, ``push_result``, ``result``, ``timeout``."""
    nominated_number: Annotated[str, Field(pattern=r"^254[17][0-9]{8}$")] | None = None
    """The phone number that the registration for pulls names."""

    @field_validator("base_url")
    @classmethod
    def _safe(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or local):
            raise ValueError("must be https://, or http:// on this machine: credentials are sent to it")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be a host alone, without a user, a query or a fragment")
        return url.rstrip("/")

    @property
    def host(self) -> str:
        """Where requests go."""
        return self.base_url or HOSTS[self.environment]


def read_addresses(text: bytes, *, local: bool) -> dict[Purpose, str]:
    """Our callback addresses by purpose, from the bytes of their file.

    Plain http is taken only when ``local`` says that the provider is the simulator on this machine. Raises
    ConfigurationError, which names the purpose and never the address.
    """
    try:
        found = loads(text)
    except InvalidValue as error:
        raise ConfigurationError(f"the file of callback addresses: {error.message}") from None
    if not isinstance(found, dict):
        raise ConfigurationError('the file of callback addresses must be an object such as {"result": "https://..."}')
    addresses: dict[Purpose, str] = {}
    for name, url in found.items():
        if name not in {one.value for one in Purpose}:
            raise ConfigurationError(f"the file of callback addresses names no purpose with {name[:40]!r}")
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or not parts.hostname or parts.scheme not in ({"https", "http"} if local else {"https"}):
            raise ConfigurationError(f"the callback address of {name} must be an https:// URL")
        addresses[Purpose(name)] = url
    return addresses


def check_registrable(purpose: Purpose, url: str) -> None:
    """Refuse an address that the provider will not register: it forbids some words anywhere in it.

    A random token may hold one by chance. Raises ConfigurationError, which never repeats the address.
    """
    found = _FORBIDDEN.search(url)
    if found is not None:
        raise ConfigurationError(
            f"the callback address of {purpose} contains {found[0].lower()!r}, and M-PESA refuses such addresses: "
            "rotate the endpoint, or choose another host name"
        )
