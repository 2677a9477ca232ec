"""The addresses behind a host's name, and which of them are machines of the public internet."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is handed out; what embeds an IPv4 address otherwise is outside
_NAT64 = IPv6Network("64:ff9b::/96")  # the last four bytes are an IPv4 address, and a gateway goes there
_NEVER = (
    IPv4Network("168.63.129.16/32"),  # Azure's host, which answers each of its virtual machines
    IPv4Network("192.0.0.0/24"),  # protocols' own; Python's versions differ about parts of it
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
)


async def resolved(host: str, port: int) -> list[Address]:
    """The addresses of a host, in the order in which to try them.

    Raises:
        OSError, UnicodeError: it has none, or is no name of a host.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))


def is_public(address: Address) -> bool:
    """Whether this is one machine of the public internet: no neighbour, no group, and no tunnel to them."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _GLOBAL_UNICAST and address.is_global and not (address.sixtofour or address.teredo)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER)
