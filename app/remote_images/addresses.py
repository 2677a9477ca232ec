"""Addresses of a host, and whether an address belongs to one machine of the public internet."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
# Every assigned unicast address. Most forms that embed an IPv4 address are outside.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # a gateway forwards to the IPv4 address in the last four bytes
# Entries of IANA's special-purpose registries that Python, in some or all versions, counts as global, and one more.
_NOT_PUBLIC = (
    IPv4Network("168.63.129.16/32"),  # the host that serves each virtual machine in Azure
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    IPv4Network("192.31.196.0/24"),  # AS112, answered by the nearest machine that wants to (RFC 7535)
    IPv4Network("192.52.193.0/24"),  # multicast relays (RFC 7450)
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    IPv4Network("192.175.48.0/24"),  # AS112 (RFC 7534)
)
_NOT_PUBLIC_6 = (
    IPv6Network("2001::/23"),  # protocol assignments, such as Teredo, benchmarks and ORCHID (RFC 2928)
    IPv6Network("2002::/16"),  # 6to4 (RFC 3056)
    IPv6Network("2620:4f:8000::/48"),  # AS112 (RFC 7534)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
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

    Private, local, reserved and multicast addresses do not. Neither does any entry of IANA's special-purpose
    registries, except NAT64: such an address counts as the IPv4 address that it embeds.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        is_special = any(address in network for network in _NOT_PUBLIC_6)
        return address in _GLOBAL_UNICAST and address.is_global and not is_special
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)
