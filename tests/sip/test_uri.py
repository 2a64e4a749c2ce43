import pytest

from sip.errors import SipSyntaxError
from sip.uri import OtherUri, SipUri, TelUri, parse_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[2001:db8::10]:5070;lr",
        "sip:user@[2001:db8::1]",
        "tel:+358-555-1234567;postd=pp22",
        "tel:7042;phone-context=example.com",
        "urn:service:sos",
    ],
)
def test_what_is_written_is_what_was_read(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_the_parts_of_a_sip_uri() -> None:
    uri = parse_uri("SIPS:bob:pw@Biloxi.com:5062;transport=TCP;lr?x=y")
    assert uri == SipUri("sips", "bob", "Biloxi.com", 5062, {"transport": "TCP", "lr": None}, "x=y", "pw")
    assert isinstance(uri, SipUri)
    assert (uri.transport, uri.effective_port, uri.is_loose_router) == ("tcp", 5062, True)


def test_ports_follow_scheme_and_transport() -> None:
    ports = [parse_uri(text).effective_port for text in ("sip:a", "sips:a", "sip:a;transport=tls")]  # type: ignore[union-attr]
    assert ports == [5060, 5061, 5061]


def test_a_telephone_number_without_its_separators() -> None:
    uri = parse_uri("tel:+1-(212)-555.1212;isub=1")
    assert isinstance(uri, TelUri)
    assert uri.digits == "+12125551212"


def test_an_unknown_scheme_is_opaque() -> None:
    assert parse_uri("http://a/b?c") == OtherUri("http", "//a/b?c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice@atlanta.com",
        "sip:",
        "sip:@host",
        "sip:a b@host",
        "sip:a@",
        "sip:a@b@c",
        "sip:a@host:99999",
        "sip:a@host:port",
        "sip:a@[::1",
        "sip:a@host;;x",
        "sip:a@host?",
        "<sip:a@host>",
        "tel:",
        "sip:[::1]x",
        'sip:"a"@b',
    ],
)
def test_malformed_uris_are_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_uri(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", True),
        ("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", True),
        ("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
         "sip:alice@atlanta.com?priority=urgent&subject=project%20x", True),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", False),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", False),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", False),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", False),
        ("sip:a@b", "sips:a@b", False),
    ],
)  # fmt: skip
def test_comparison_by_the_examples_of_rfc_3261_19_1_4(one: str, other: str, same: bool) -> None:
    left, right = parse_uri(one), parse_uri(other)
    assert isinstance(left, SipUri)
    assert left.matches(right) is same


def test_a_contact_of_freeswitch_with_a_doubled_parameter() -> None:
    """A `gw+name@` Contact with `;transport=tls;transport=tls` was answered 403 elsewhere."""
    uri = parse_uri("sip:gw+trunk@10.0.0.1:5081;transport=tls;transport=tls")
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.transport) == ("gw+trunk", "tls")
