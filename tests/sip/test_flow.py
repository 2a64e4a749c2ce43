"""Where messages go."""

import pytest

from sip.flow import contact_of, hop_of, is_near, is_sender, reply_port
from sip.headers import Via

from .conftest import Link


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:a@192.0.2.1", ("UDP", "192.0.2.1", 5060)),
        ("sip:192.0.2.1:5070;transport=tcp;lr", ("TCP", "192.0.2.1", 5070)),
        ("sips:a@example.com", ("TLS", "example.com", 5061)),
        ("sip:a@[2001:db8::1];transport=TLS;transport2=x", ("TLS", "2001:db8::1", 5061)),
        ("sip:a@host;transport=ws", None),
        ("tel:+15550100", None),
        ("nonsense", None),
    ],
)
def test_a_uri_leads_to_a_hop(uri: str, hop: tuple[str, str, int] | None) -> None:
    found = hop_of(uri)
    assert (None if found is None else (found.transport, found.host, found.port)) == hop


@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("SIP/2.0/UDP 198.51.100.20:5080;rport;branch=z", 40_000),
        ("SIP/2.0/UDP 198.51.100.20:5080;branch=z", 5080),
        ("SIP/2.0/UDP 198.51.100.20;branch=z", 5060),
        ("SIP/2.0/UDP 10.0.0.1:5080;branch=z", 40_000),
        ("SIP/2.0/UDP phone.example.com:5080;branch=z", 5080),
    ],
)
def test_a_response_goes_where_the_sender_listens(via: str, port: int) -> None:
    assert reply_port(Via.parse(via), ("198.51.100.20", 40_000)) == port


@pytest.mark.parametrize(
    ("route", "same"),
    [
        ("sip:198.51.100.20;lr", True),
        ("sip:198.51.100.20;transport=tcp;lr", True),
        ("sip:198.51.100.20;transport=tls;lr", False),  # the route asks for another transport
        ("sip:198.51.100.20:5070;lr", False),
        ("sip:198.51.100.21;lr", False),
    ],
)
def test_a_connection_leads_back_to_whom_it_came_from(route: str, same: bool) -> None:
    flow = Link("TCP", ("198.51.100.20", 40_000))
    hop = hop_of(route)
    assert hop is not None
    assert is_sender(hop, Via.parse("SIP/2.0/TCP 198.51.100.20:5060;branch=z"), flow) is same


def test_a_contact_names_the_transport_that_it_is_reached_by() -> None:
    assert contact_of(Link(), "203.0.113.7") == "<sip:203.0.113.7:5060>"
    assert contact_of(Link("TCP"), "2001:db8::1") == "<sip:[2001:db8::1]:5060;transport=tcp>"
    assert contact_of(Link("TLS"), "203.0.113.7", secure=True) == "<sips:203.0.113.7:5061>"


def test_near_is_what_no_public_address_leads_to() -> None:
    assert [is_near(host) for host in ("10.1.2.3", "127.0.0.1", "8.8.8.8", "fe80::1%eth0", "name")] == [
        True,
        True,
        False,
        True,
        False,
    ]
