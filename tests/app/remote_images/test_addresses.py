"""Addresses that belong to one machine of the public internet."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from app.remote_images.addresses import is_public

# IANA's special-purpose address registries, without 64:ff9b::/96, which depends on the address that it embeds.
SPECIAL_IPV4 = """0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
192.0.0.0/29 192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/31 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
255.255.255.255/32 224.0.0.0/4"""
SPECIAL_IPV6 = """::1/128 ::/128 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128
2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32
2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 ff00::/8"""
BESIDE = """1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 172.15.255.255 172.32.0.0
191.255.255.255 192.0.1.0 192.31.195.255 192.31.197.0 192.52.194.0 192.88.98.255 192.88.100.0 192.167.255.255
192.175.49.0 198.17.255.255 198.20.0.0 223.255.255.255 2001:200:: 2001:dff:: 2003:: 2620:4f:8001::
2620:4f:7fff:ffff:: 3ffe:ffff:: 3fff:1000::"""


@pytest.mark.parametrize("network", [*SPECIAL_IPV4.split(), *SPECIAL_IPV6.split()])
def test_no_special_purpose_network_is_public(network: str) -> None:
    first, last = ip_network(network)[0], ip_network(network)[-1]
    middle = type(first)((int(first) + int(last)) // 2)
    assert [is_public(address) for address in (first, middle, last)] == [False] * 3


@pytest.mark.parametrize("network", SPECIAL_IPV4.split())
def test_no_form_that_embeds_a_special_ipv4_address_is_public(network: str) -> None:
    address = int(ip_network(network)[0])
    assert isinstance(ip_network(network)[0], IPv4Address)
    for prefix in ("64:ff9b::", "64:ff9b:1::", "::", "::ffff:0:0", "::ffff:0:0:0"):
        assert not is_public(IPv6Address(int(IPv6Address(prefix)) | address)), prefix


@pytest.mark.parametrize("address", BESIDE.split())
def test_the_addresses_beside_them_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "193.0.6.139", "2001:4860:4860::8888", "64:ff9b::8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",  # shared address space of carriers
        "100.100.100.200",  # metadata service of a cloud; others use 169.254.169.254
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.0.9",
        "192.88.99.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "224.0.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",  # Teredo
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4
        "2002:808:808::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
