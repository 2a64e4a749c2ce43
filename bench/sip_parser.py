"""What a SIP message costs: parse, look inside, build, write. Pure CPU, no socket, best of several runs.

python -m bench.sip_parser [--json]
"""

import argparse
import json
import platform
import random
import sys
import time
import timeit
from collections.abc import Callable

from sip.call_effects import CallEffect, Respond
from sip.call_machine import CalleeCall
from sip.dialog_base import CallSettings
from sip.effects import RequestArrived
from sip.media import LocalMedia
from sip.message import Request
from sip.offer_answer import OfferAnswer
from sip.parser import parse_datagram
from sip.sdp import SessionDescription, parse_sdp
from sip.transaction import TransactionTable

SDP = b"""v=0\r
o=- 1545997027 1 IN IP4 198.51.100.20\r
s=call\r
c=IN IP4 198.51.100.20\r
t=0 0\r
m=audio 19000 RTP/AVP 0 8 9 101\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:9 G722/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-16\r
a=ptime:20\r
a=sendrecv\r
"""

HEAD = """INVITE sip:+15551234567@203.0.113.7:5060;transport=udp SIP/2.0
Record-Route: <sip:198.51.100.1:5060;lr;ftag=1928301774>
Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK1a2b.{number}.0;rport
Via: SIP/2.0/UDP 198.51.100.20:5060;rport=5060;branch=z9hG4bK776asdhds
From: "Alice" <sip:+15557654321@example.net;isup-oli=0>;tag=1928301774
To: <sip:+15551234567@203.0.113.7;user=phone>
Call-ID: a84b4c76e66710-{number}@198.51.100.20
CSeq: 314159 INVITE
Max-Forwards: 69
Contact: <sip:+15557654321@198.51.100.20:5060;transport=udp>
Allow: INVITE,ACK,CANCEL,BYE,REFER,OPTIONS,INFO,UPDATE
Supported: timer, 100rel
Session-Expires: 1800;refresher=uac
User-Agent: Gateway 1.0
X-Account: abc
Content-Type: application/sdp
Content-Length: {length}

"""
LOCAL = LocalMedia("203.0.113.7", 40_000)
SETTINGS = CallSettings("<sip:agent@203.0.113.7:5060>")


def invite(number: int = 0) -> bytes:
    """Return an INVITE as a trunk sends it, 18 header fields and SDP."""
    return HEAD.format(number=number, length=len(SDP)).replace("\n", "\r\n").encode() + SDP


def cost_us(act: Callable[[], object], *, number: int = 5_000, repeat: int = 5) -> float:
    """Return microseconds a call, the best of `repeat` runs."""
    return min(timeit.repeat(act, number=number, repeat=repeat)) / number * 1e6


def parsed(data: bytes) -> Request:
    """Return the parsed request."""
    message = parse_datagram(data)
    if not isinstance(message, Request):
        raise SystemExit(f"the bench's own message does not parse: {message}")
    return message


def look_inside(data: bytes) -> None:
    """Parse a message and all its structured headers."""
    message = parsed(data)
    _ = message.uri, message.vias, message.from_.uri, message.to.uri, message.contacts, message.record_routes


def negotiate() -> None:
    """Answer an offer."""
    offers = OfferAnswer("1")
    offers.receive_offer(SDP)
    offers.make_answer(LOCAL)


def whole_call(number: int) -> None:
    """Take a call through table and machine: INVITE, 100, 180, 200, ACK, BYE, 200; every message parsed or written."""
    table = TransactionTable()
    (arrived,) = table.receive_request(0.0, parsed(invite(number)), reliable=False)
    if not isinstance(arrived, RequestArrived):
        raise SystemExit("the INVITE opened no transaction")
    call = CalleeCall(0.0, arrived.request, arrived.transaction, SETTINGS, local_tag="t", session_id="1")

    def perform(effects: list[CallEffect]) -> bytes:
        sent = b""
        for effect in effects:
            if isinstance(effect, Respond):
                table.respond(0.0, effect.transaction, effect.response)
                sent = effect.response.encode()
        return sent

    perform(call.start(0.0))
    perform(call.ring(0.0))
    perform(call.answer(0.0, LOCAL))
    for method, cseq in (("ACK", 314159), ("BYE", 314160)):
        head = invite(number).replace(b"INVITE", method.encode()).replace(b"user=phone>", b"user=phone>;tag=t")
        head = head.replace(b"314159 ", b"%d " % cseq).replace(b"1a2b", method.encode())
        request = parsed(head)
        if method == "ACK":
            table.receive_request(0.0, request, reliable=False)
            perform(call.receive_ack(0.0, request))
        else:
            (arrived,) = table.receive_request(0.0, request, reliable=False)
            if isinstance(arrived, RequestArrived):
                perform(call.receive_request(0.0, arrived.transaction, arrived.request))
    if not call.is_over:
        raise SystemExit("the call did not end")


def parse_s(data: bytes) -> float:
    """Return the seconds that parsing took."""
    start = time.perf_counter()
    parse_datagram(data)
    return time.perf_counter() - start


def fuzz(count: int) -> tuple[float, float]:
    """Parse `count` damaged messages; return mean and worst microseconds."""
    dice = random.Random(7)
    whole = invite()
    pieces = [b"\r\n", b"\r\n ", b",", b";", b'"', b"\\", b"<", b">", b"=", b":", b"\0", b"\xff", b"Via: ", b"sip:"]
    worst = total = 0.0
    for _ in range(count):
        data = whole
        for _ in range(dice.randrange(1, 5)):
            place = dice.randrange(len(data))
            data = data[:place] + dice.choice(pieces) * dice.choice((1, 1, 1, 50)) + data[place + dice.randrange(30) :]
        spent = parse_s(data)
        total += spent
        if spent > worst:
            # Again: what does not repeat was the machine, not the message.
            worst = max(worst, min(spent, parse_s(data), parse_s(data)))
    return total / count * 1e6, worst * 1e6


def measure(fuzzed: int) -> dict[str, float]:
    """Return microseconds by what was done."""
    data = invite()
    message = parsed(data)
    ok = message.respond(200, to_tag="t")
    session = parse_sdp(SDP)
    if not isinstance(session, SessionDescription):
        raise SystemExit("the bench's own description does not parse")
    mean, worst = fuzz(fuzzed)
    return {
        "parse INVITE, keys of a transaction": cost_us(lambda: parse_datagram(data)),
        "parse INVITE, every structured header": cost_us(lambda: look_inside(data)),
        "refuse junk": cost_us(lambda: parse_datagram(b"\x16\x03\x01" * 40)),
        "build a response": cost_us(lambda: message.respond(200, to_tag="t")),
        "write a response": cost_us(ok.encode),
        "parse SDP": cost_us(lambda: parse_sdp(SDP)),
        "write SDP": cost_us(session.encode),
        "answer an offer": cost_us(negotiate),
        "a whole call: 3 messages in, 4 out": cost_us(lambda: whole_call(1), number=300),
        f"damaged INVITE, mean of {fuzzed}": mean,
        "damaged INVITE, worst": worst,
    }


def main() -> None:
    """Print the table, or JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="print figures as JSON instead of a table")
    arguments.add_argument("--fuzzed", type=int, default=20_000, help="damaged messages to parse")
    given = arguments.parse_args()
    figures = measure(given.fuzzed)
    if given.json:
        print(json.dumps({"bench": "sip_parser", "python": platform.python_version(), "us": figures}, indent=2))
        return
    python = f"{sys.implementation.name} {platform.python_version()}"
    print(f"SIP messages, one core, {python}, INVITE of {len(invite())} bytes")
    for name, cost in figures.items():
        print(f"  {name:<42} {cost:>10.1f} µs")


if __name__ == "__main__":
    main()
