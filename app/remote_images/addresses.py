"""Addresses of a host, and whether an address belongs to one machine of the public internet."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
_GLOBAL_UNICAST = IPv6Network(
    "2000::/3"
)  # every assigned unicast address; most forms that embed an IPv4 address are outside
_NAT64 = IPv6Network("64:ff9b::/96")  # a gateway forwards to the IPv4 address in the last four bytes
_NOT_PUBLIC = (
    IPv4Network("168.63.129.16/32"),  # the host that serves each virtual machine in Azure
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Python versions differ about parts of it
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
)


async def resolve_host(host: str, port: int) -> list[Address]:
    """The addresses of a host, without repetitions, in the order in which to try them.

    Raises:
        OSError: the host has no address.
        UnicodeError: the text is not a host name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))


def is_public(address: Address) -> bool:
    """Whether an address belongs to one machine of the public internet.

    Private, local, reserved and multicast addresses do not. Neither do 6to4 and Teredo addresses: they are tunnels to
    an IPv4 address. A NAT64 address counts as the IPv4 address that it embeds.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _GLOBAL_UNICAST and address.is_global and not (address.sixtofour or address.teredo)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)
