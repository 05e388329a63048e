"""Which hosts are this machine by their very name.

NOT covered: a name that happens to resolve to loopback, short forms of addresses, and what listens there (a tunnel).
"""

from __future__ import annotations

import ipaddress

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether a host, without port, is `localhost` or an address of loopback (127.0.0.0/8, ::1, also in brackets)."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
