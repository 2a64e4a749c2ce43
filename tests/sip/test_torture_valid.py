"""RFC 4475 §3.1.1 (valid messages) and §3.4 (backward compatibility): each must parse, and mean what it says."""

import pytest

from sip.message import Request, Response
from sip.parser import parse_datagram
from sip.stream import StreamFramer
from sip.uri import SipUri

SDP = b"""v=0\r
o=mhandley 29739 7272939 IN IP4 192.0.2.1\r
s=-\r
c=IN IP4 192.0.2.1\r
t=0 0\r
m=audio 49217 RTP/AVP 0 12\r
m=video 3227 RTP/AVP 31\r
a=rtpmap:31 LPC\r
"""


def read(data: bytes) -> Request:
    message = parse_datagram(data)
    assert isinstance(message, Request), message
    return message


def test_3_1_1_1_a_short_tortuous_invite(wire) -> None:
    message = read(
        wire(
            r"""INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 150
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

""",
            SDP,
        )
    )
    assert message.to.tag == "1918181833n"
    assert (message.from_.display_name, message.from_.tag) == ('J Rosenberg \\"', "98asjd8")
    assert message.max_forwards == 68
    assert (message.cseq.number, message.cseq.method) == (9, "INVITE")
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.get("Subject") == ""
    assert message.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert message.routes[0].uri_text == "sip:services.example.com;lr;unknownwith=value;unknown-no-value"
    (contact,) = message.contacts
    assert contact.display_name == 'Quoted string ""'
    assert contact.params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert message.body == SDP


def test_3_1_1_2_wide_range_of_valid_characters() -> None:
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    message = read(
        (
            f"{method} sip:{user}@example.com SIP/2.0\r\n"
            "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n"
            'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:' + user + "@example.com>\r\n"
            "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\""
            ";tag=_token~1'+`*%!-.\r\n"
            "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n"
            f"CSeq: 139122385 {method}\r\n"
            "Max-Forwards: 255\r\n"
            "extensionHeader-!.%*+_`'~:\ufeff大停電\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
    )
    assert message.method == method
    assert isinstance(message.uri, SipUri)
    assert message.uri.user is not None
    assert message.uri.user.startswith("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    assert message.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.tag == "_token~1'+`*%!-."
    assert message.from_.params["fromparam''~+*_!.-%"] == '"работающий"'
    assert message.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"


def test_3_1_1_3_percent_escapes_are_decoded_only_when_looked_at(wire) -> None:
    message = read(
        wire(
            """INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0
To: sip:%75se%72@example.com
From: <sip:I%20have%20spaces@example.net>;tag=938
Max-Forwards: 87
i: esc01.239409asdfakjkn23onasd0-3234
CSeq: 234234 INVITE
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
C: application/sdp
Contact:
  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
Content-Length: 150

""",
            SDP,
        )
    )
    assert isinstance(message.uri, SipUri)
    assert isinstance(message.to.uri, SipUri)
    assert isinstance(message.from_.uri, SipUri)
    assert (message.uri.user_text, message.uri.host) == ("sips:user@example.com", "example.net")
    assert message.to.uri.user_text == "user"
    assert message.from_.uri.user_text == "I have spaces"
    assert message.contacts[0].uri_text == "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31"
    assert message.content_type is not None
    assert message.content_type.value == "application/sdp"


def test_3_1_1_4_escaped_nulls_in_uris(wire) -> None:
    message = read(
        wire(
            """REGISTER sip:example.com SIP/2.0
To: sip:null-%00-null@example.com
From: sip:null-%00-null@example.com;tag=839923423
Max-Forwards: 70
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
CSeq: 14398234 REGISTER
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
Contact: <sip:%00@host5.example.com>
Contact: <sip:%00%00@host5.example.com>
L:0

"""
        )
    )
    users = [contact.uri.user_text for contact in message.contacts if isinstance(contact.uri, SipUri)]
    assert users == ["\0", "\0\0"]
    assert not message.contacts[0].uri.matches(message.contacts[1].uri)  # type: ignore[union-attr]


def test_3_1_1_5_a_percent_that_is_no_escape(wire) -> None:
    message = read(
        wire(
            """RE%47IST%45R sip:registrar.example.com SIP/2.0
To: "%Z%45" <sip:resource@example.com>
From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@host1.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: 0

"""
        )
    )
    assert message.method == "RE%47IST%45R"  # another method than REGISTER
    assert message.from_.display_name == "%Z%45"
    assert len(message.contacts) == 2
    assert message.get("C%6Fntact") == "<sip:alias2@host2.example.com>"


def test_3_1_1_6_no_blank_between_display_name_and_bracket(wire) -> None:
    message = read(
        wire(
            """OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: caller<sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: lwsdisp.1234abcd@funky.example.com
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw
l: 0

"""
        )
    )
    assert (message.from_.display_name, message.from_.uri_text) == ("caller", "sip:caller@example.com")


def test_3_1_1_7_long_values_in_header_fields(wire) -> None:
    vias = "".join(
        f"{('Via', 'v', 'V ', 'VIA', 'viA', 'V  ')[i % 6]}: SIP/2.0/TCP sip{33 - i}.example.com\n" for i in range(33)
    )
    branch, tag = "very" + "long" * 50 + "branchvalue", "12" + "982" * 50 + "424"
    caller = "amazinglylongcallername" * 5
    message = read(
        wire(
            f"""INVITE sip:user@example.com SIP/2.0
To: "I have a user name of {"extreme" * 10} proportion"<sip:user@example.com:6000;unknownparam1=very{"long" * 20}value;\
longparam{"name" * 25}=shortvalue;very{"long" * 25}ParameterNameWithNoValue>
F: sip:{caller}@example.net;tag={tag};unknownheaderparam{"name" * 20}=unknowheaderparam{"value" * 15};\
unknownValueless{"paramname" * 10}
Call-ID: longreq.one{"really" * 20}longcallid
CSeq: 3882340 INVITE
Unknown-{"Long" * 20}-Name: unknown-{"long" * 20}-value; unknown-{"long" * 20}-parameter-name = unknown-value
{vias}Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch={branch}
Max-Forwards: 70
Contact: <sip:{caller}@host5.example.net>
Content-Type: application/sdp
l: 150

""",
            SDP,
        )
    )
    assert len(message.vias) == 34
    assert message.vias[-1].branch == branch
    assert message.from_.tag == tag
    assert isinstance(message.to.uri, SipUri)
    assert message.to.uri.port == 6000


DOUBLE = """REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=43251j3j324
Max-Forwards: 8
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412
Contact: sip:j.user@host.example.com
CSeq: 8 REGISTER
Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492
Content-Length: 0


INVITE sip:joe@example.com SIP/2.0
t: sip:joe@example.com
From: sip:caller@example.net;tag=141334
Max-Forwards: 8
Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15
CSeq: 8 INVITE
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234
Content-Type: application/sdp
Content-Length: 150

"""


def test_3_1_1_8_octets_after_the_body_of_a_datagram_are_ignored(wire) -> None:
    message = read(wire(DOUBLE, SDP))
    assert (message.method, message.body) == ("REGISTER", b"")


def test_3_1_1_8_on_a_stream_they_are_the_next_message(wire) -> None:
    first, second = StreamFramer().receive(wire(DOUBLE, SDP))
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    assert (first.method, second.method, second.body) == ("REGISTER", "INVITE", SDP)


def test_3_1_1_9_semicolons_in_the_user_part(wire) -> None:
    message = read(
        wire(
            """OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Call-ID: semiuri.0ha0isndaksdj
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime,
        multipart/mixed, multipart/signed,
        message/sip, message/sipfrag
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw
l: 0

"""
        )
    )
    assert isinstance(message.uri, SipUri)
    assert (message.uri.user_text, message.uri.params) == ("user;par=u@example.net", {})
    assert len(message.get_list("Accept")) == 6


def test_3_1_1_10_varied_and_unknown_transports(wire) -> None:
    message = read(
        wire(
            """OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: <sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID:  transports.kijh4akdnaqjkwendsasfdj
Accept: application/sdp
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
l: 0

"""
        )
    )
    assert [via.transport for via in message.vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_3_1_1_11_a_binary_multipart_body_is_kept_byte_for_byte(wire) -> None:
    part = b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    body = part + b"--7a9cbec02ceef655\r\n\r\n0\x82\x01\x00\n\n\xff\x00--\r\n"
    message = read(
        wire(
            f"""MESSAGE sip:kumiko@example.org SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport
Max-Forwards: 70
Route: <sip:127.0.0.1:5080>
Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvY=
Contact: <sip:fluffy@127.0.0.1:5070>
To: <sip:kumiko@example.org>
From: <sip:fluffy@example.com>;tag=2fb0dcc9
Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..
CSeq: 1 MESSAGE
Content-Transfer-Encoding: binary
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655
Date: Sat, 15 Oct 2005 04:44:56 GMT
User-Agent: SIPimp.org/0.2.5 (curses)
Content-Length: {len(body)}

""",
            body,
        )
    )
    assert message.body == body
    assert message.content_type is not None
    assert message.content_type.params == {"boundary": "7a9cbec02ceef655"}


def response(data: bytes) -> Response:
    message = parse_datagram(data)
    assert isinstance(message, Response), message
    return message


ANSWER = """Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Call-ID: unreason.1234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 0

"""


def test_3_1_1_12_an_unusual_reason_phrase(wire) -> None:
    phrase = "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert response(wire(f"SIP/2.0 200 {phrase}\n{ANSWER}")).reason == phrase


@pytest.mark.parametrize("line", ["SIP/2.0 100 ", "SIP/2.0 100"])
def test_3_1_1_13_an_empty_reason_phrase(wire, line: str) -> None:
    message = response(wire(f"{line}\n{ANSWER}"))
    assert (message.status, message.reason) == (100, "")


def test_3_4_1_an_invite_of_rfc_2543(wire) -> None:
    """No branch, no From tag, no Max-Forwards: all three are missing in the older protocol."""
    message = read(
        wire(
            """INVITE sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com
From: <sip:+13035551111@ift.client.example.net;user=phone>
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE
Content-Type: application/sdp

""",
            SDP,
        )
    )
    assert (message.via.branch, message.from_.tag, message.max_forwards) == ("", "", None)
    assert message.to.params == {"user": "phone"}
    assert message.body == SDP  # no Content-Length: to the end of the datagram
