import pytest

from sip.errors import SipSyntaxError
from sip.headers import CSeq, NameAddr, Valued, Via, header_key


@pytest.mark.parametrize(
    ("text", "sent_by", "params"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport", "192.0.2.1:5060", {"branch": "z9hG4bKx", "rport": None}),
        ("SIP/2.0/TLS Host.Example.COM", "host.example.com", {}),
        ("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=b", "[2001:db8::9:1]", None),
        ("SIP/2.0/UDP [2001:db8::9:1]:5070;received=2001:db8::9:255;branch=b", "[2001:db8::9:1]:5070", None),
        ("SIP/2.0/UDP under_score.lan:5060 ; branch = b", "under_score.lan:5060", {"branch": "b"}),
    ],
)
def test_via(text: str, sent_by: str, params: dict[str, str | None] | None) -> None:
    via = Via.parse(text)
    assert via.sent_by == sent_by
    if params is not None:
        assert via.params == params
    assert Via.parse(str(via)) == via


@pytest.mark.parametrize(
    "text", ["", "SIP/2.0/UDP", "SIP/2.0 UDP host", "HTTP/1.1/TCP host", "SIP/2.0/UDP host:x", "SIP/2.0/UDP a b"]
)
def test_a_malformed_via(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        Via.parse(text)


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ('"A, B" <sip:a@b;lr>;tag=1', "A, B", "sip:a@b;lr", {"tag": "1"}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ("<tel:+1234>", "", "tel:+1234", {}),
        ("Bob Smith <sip:b@c>", "Bob Smith", "sip:b@c", {}),
        (r'"a\"b\\" <sip:b@c>', 'a"b\\', "sip:b@c", {}),
        ("*", "", "*", {}),
    ],
)
def test_name_addr(text: str, name: str, uri: str, params: dict[str, str | None]) -> None:
    address = NameAddr.parse(text)
    assert (address.display_name, address.uri_text, address.params) == (name, uri, params)
    if uri != "*":
        assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "alice", '"a <sip:b@c>', "<sip:b@c", "<sip:b@c> x", "<alice>", "sip:a,b@c"])
def test_a_malformed_address(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        NameAddr.parse(text)


def test_a_display_name_is_quoted_only_where_it_must_be() -> None:
    assert str(NameAddr("sip:a@b", "Bob Smith")) == "Bob Smith <sip:a@b>"
    assert str(NameAddr("sip:a@b", "Müller, X")) == '"Müller, X" <sip:a@b>'


@pytest.mark.parametrize("text", ["", "1", "INVITE 1", "1 IN VITE", "2147483648 INVITE", "1 (x)"])
def test_a_malformed_cseq(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        CSeq.parse(text)


def test_valued_headers() -> None:
    value = Valued.parse("1800 ; refresher=uac")
    assert (value.value, value.params, str(value)) == ("1800", {"refresher": "uac"}, "1800;refresher=uac")


@pytest.mark.parametrize("name", ["Call-ID", "CALL-ID", "call-id", "i", "I", "cAlL-iD", " Call-ID "])
def test_names_in_any_case_and_compact(name: str) -> None:
    assert header_key(name) == "call-id"
