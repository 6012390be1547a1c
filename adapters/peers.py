"""Where a delivery came from: the allow-list of a channel account."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

from revenue_engine.ports.callbacks import Verdict

ACCEPTED: Final = Verdict(accepted=True)


def checked(peers: tuple[str, ...]) -> tuple[str, ...]:
    """The same peers. Raises ValueError for one that is no address or network, or that allows everybody."""
    for peer in peers:
        if ipaddress.ip_network(peer).prefixlen == 0:
            raise ValueError(f"{peer} allows everybody: name the provider's addresses")
    return peers


Peers: TypeAlias = Annotated[tuple[str, ...], AfterValidator(checked)]
"""Addresses or networks (CIDR) a delivery may come from, as a setting of a channel account."""


@lru_cache(maxsize=4096)
def judge(address: str, allowed: tuple[str, ...]) -> Verdict:
    """Judge the address a delivery came from; IPv4 also where it came mapped into IPv6."""
    try:
        here = ipaddress.ip_address(address)
    except ValueError:
        return Verdict(accepted=False, reason="the peer address cannot be read")
    if isinstance(here, ipaddress.IPv6Address) and here.ipv4_mapped is not None:
        here = here.ipv4_mapped
    if any(here in network for network in _networks(allowed)):
        return ACCEPTED
    return Verdict(accepted=False, reason="the peer address is not on the allow-list of the channel account")


@lru_cache(maxsize=64)
def _networks(allowed: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in allowed)
