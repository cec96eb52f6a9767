"""Addresses behind proxies: the list is believed from the right, as far as proxies are trusted."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.addresses import client, household

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # nobody trusts the one who says so
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),  # the left was the client's word
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),  # two headers are one list
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["", " , "], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("fd00::1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("unknown", ["203.0.113.9"], "unknown"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_proxy(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client(peer, forwarded, PROXIES) == expected


@given(st.lists(st.text()))
def test_no_header_makes_a_client_someone_else(forwarded: list[str]) -> None:
    assert client("203.0.113.9", forwarded, PROXIES) == "203.0.113.9"


@given(st.lists(st.text()))
def test_no_header_breaks_it(forwarded: list[str]) -> None:
    assert client("10.0.0.1", forwarded, PROXIES)


def test_a_household_has_one_network_of_ipv6() -> None:
    assert (
        household("2001:db8:1:2:3::4") == household("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    )
    assert household("2001:db8:1:3::4") != household("2001:db8:1:2::4")
    assert household("203.0.113.9") == "203.0.113.9"
    assert household("unknown") == "unknown"
