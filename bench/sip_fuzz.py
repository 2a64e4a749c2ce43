"""What hostile bytes do: a million damaged inputs through everything that reads the network. Pure CPU, no socket.

Counts exceptions other than the library's own refusals (there must be none) and finds the slowest input (none over
5 ms; a slow one is tried again, as what does not repeat was the machine). With atheris installed, `--atheris` lets
coverage guide the damage instead, until it is stopped.

python -m bench.sip_fuzz [--inputs 1000000] [--seed 1] [--json]
"""

import argparse
import contextlib
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network

from bench.sip_parser import SDP, invite, parsed
from sip.call import IncomingCall
from sip.errors import RemoteFault, StateError
from sip.gate import Gate, GateLimits
from sip.inspection import inspect_request, inspect_response
from sip.media import LocalMedia
from sip.message import Rejection, Request, Response
from sip.offer_answer import OfferAnswer
from sip.parser import parse_datagram
from sip.refusals import RefusalLog
from sip.stream import StreamFramer
from sip.trunk import Trunk, TrunkTable
from sip.user_agent import AgentSettings, Clocks, UserAgent
from transports.rtp.packet import header_extensions, parse_rtp
from transports.rtp.rtcp import parse_rtcp

SLOW_MS = 5.0
LOCAL = LocalMedia("203.0.113.7", 40_000)
REQUESTS = tuple(
    invite().replace(b"INVITE", method) for method in (b"INVITE", b"BYE", b"CANCEL", b"OPTIONS", b"ACK", b"INFO")
)
RTP = bytes.fromhex("90e0001c000000a0deadbeefbede0001510aff00") + bytes(160)
RTCP = bytes.fromhex("81c8000cdeadbeef") + bytes(44) + bytes.fromhex("81ca0002deadbeef01026162")
TOKENS: tuple[bytes, ...] = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b";",
    b",",
    b":",
    b"<",
    b">",
    b'"',
    b"\\",
    b"=",
    b"%",
    b"@",
    b"\x00",
)
TOKENS += (b"\xff", b" ", b"\t", b"sip:", b"SIP/2.0", b"[::1]", b"999999999999", b"-1", b"Content-Length: ")
TOKENS += (b"Via: ", b"a=", b"m=audio 0 RTP/AVP", b"c=IN IP4 ", b"((((((((", b"~" * 64, b"1" * 300)


def damage(data: bytes, dice: random.Random) -> bytes:
    """Return the data with one to eight things wrong."""
    made = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(made) + 1)
        kind = dice.randrange(7)
        if kind == 0 and made:
            made[at % len(made)] = dice.randrange(256)
        elif kind == 1:
            made[at:at] = dice.choice(TOKENS)
        elif kind == 2:
            del made[at : at + dice.randrange(1, 40)]
        elif kind == 3:
            piece = made[at : at + dice.randrange(1, 200)]
            made[at:at] = piece * dice.choice((1, 1, 2, 50))
        elif kind == 4:
            end = dice.randrange(len(made) + 1)
            made[at:at] = made[end : end + 80]
        elif kind == 5:
            lines = made.split(b"\r\n")
            dice.shuffle(lines)
            made = bytearray(b"\r\n".join(lines))
        else:
            made = made[: max(1, at)]
    return bytes(made[:66_000])


def read_message(data: bytes) -> None:
    """Parse, and look at everything that a user agent looks at."""
    message = parse_datagram(data)
    if isinstance(message, Request):
        message.stamp_source("192.0.2.1", 5060)
        rejection = inspect_request(message)
        if rejection is not None:
            rejection.response("tag")
        else:
            message.respond(200, to_tag="tag").encode()
    elif isinstance(message, Response):
        inspect_response(message)
    elif message.request is not None:
        message.response("tag")


def read_stream(data: bytes) -> None:
    """Cut into messages, in pieces of a size that the data itself gives."""
    framer = StreamFramer()
    step = 1 + max(len(data) % 97, len(data) // 1000)
    for at in range(0, len(data), step):
        framer.receive(data[at : at + step])


def read_description(data: bytes) -> None:
    """Answer it as an offer; refusals are the library's own."""
    offers = OfferAnswer("1")
    with contextlib.suppress(RemoteFault):
        offers.receive_offer(data)
        offers.make_answer(LOCAL)


def read_media(data: bytes) -> None:
    """Read as RTP and as RTCP."""
    packet = parse_rtp(data)
    if packet is not None:
        header_extensions(packet)
    parse_rtcp(data)


class Wire:
    """A flow that leads nowhere."""

    transport = "UDP"
    is_open = True

    def __init__(self) -> None:
        self.remote = ("192.0.2.1", 5060)
        self.local = ("203.0.113.7", 5060)

    def send(self, data: bytes) -> bool:
        """Take it."""
        return True

    def toward(self, port: int) -> "Wire":
        """Return itself."""
        return self


class Endpoint:
    """The whole user agent, answering every call that gets through."""

    def __init__(self) -> None:
        self._now = 0.0
        gate = Gate(TrunkTable((Trunk("all", (ip_network("0.0.0.0/0"),)),)), GateLimits(), RefusalLog())
        self._agent = UserAgent(AgentSettings(), gate, self, self, Clocks(lambda: self._now, lambda: self._now))
        self._wire = Wire()

    def open(self, hop: object) -> Wire:
        """Return the wire."""
        return self._wire

    def call_arrived(self, call: IncomingCall) -> None:
        """Answer."""
        call.listen(self)
        with contextlib.suppress(StateError):
            call.answer(LOCAL)

    def media_changed(self, agreement: object) -> None:
        """Hear it."""

    def confirmed(self) -> None:
        """Hear it."""

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """Hear it."""

    def info_answered(self, status: int) -> None:
        """Hear it."""

    def ended(self, ended: object) -> None:
        """Hear it."""

    def take(self, data: bytes) -> None:
        """Let a datagram come, and a tenth of a second pass."""
        self._now += 0.1
        message = parse_datagram(data)
        if not isinstance(message, Rejection) or message.request is not None:
            self._agent.receive(message, self._wire)
        due = self._agent.next_deadline()
        if due is not None and due <= self._now:
            self._agent.handle_timer()


@dataclass(slots=True)
class Findings:
    """What one target did."""

    inputs: int = 0
    seconds: float = 0.0
    worst_ms: float = 0.0
    worst: bytes = b""
    exceptions: list[str] = field(default_factory=list)


def attack(read: Callable[[bytes], None], seeds: tuple[bytes, ...], count: int, dice: random.Random) -> Findings:
    """Give a reader so many damaged inputs."""
    found = Findings()
    for number in range(count):
        data = damage(seeds[number % len(seeds)], dice)
        spent = _spent_s(read, data, found)
        found.seconds += spent
        found.inputs += 1
        if spent * 1000 > SLOW_MS:
            spent = min(spent, *(_spent_s(read, data, found) for _ in range(3)))
        if spent * 1000 > found.worst_ms:
            found.worst_ms, found.worst = spent * 1000, data
    return found


def _spent_s(read: Callable[[bytes], None], data: bytes, found: Findings) -> float:
    began = time.perf_counter()
    try:
        read(data)
    except Exception as error:  # noqa: BLE001  # finding them is the purpose
        if len(found.exceptions) < 20:
            found.exceptions.append(f"{type(error).__name__}: {error} for {data[:200]!r}")
    return time.perf_counter() - began


def targets() -> dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...], float]]:
    """Return what is attacked: reader, seeds, share of the inputs."""
    request = parsed(REQUESTS[0])
    answers = tuple(request.respond(status, to_tag="t").encode() for status in (100, 200, 401))
    return {
        "message of a datagram": (read_message, (*REQUESTS, *answers), 0.45),
        "messages of a stream": (read_stream, REQUESTS, 0.15),
        "SDP, as an offer": (read_description, (SDP,), 0.2),
        "RTP and RTCP": (read_media, (RTP, RTCP), 0.15),
        "whole user agent": (Endpoint().take, (*REQUESTS, *answers), 0.05),
    }


def guided(name: str) -> None:
    """Let atheris look for what hurts, until it is stopped."""
    import atheris  # type: ignore[import-untyped]  # for this bench only

    read = targets()[name][0]
    atheris.Setup([sys.argv[0]], read)
    atheris.Fuzz()


def main() -> None:
    """Print the table, or JSON; the status is 1 when something was found."""
    names = list(targets())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print figures as JSON instead of a table")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="damaged inputs in all")
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    parser.add_argument("--atheris", choices=names, help="attack this one, guided by coverage, without end")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.atheris:
        guided(given.atheris)
        return
    dice = random.Random(given.seed)
    found = {
        name: attack(read, seeds, int(given.inputs * share), dice) for name, (read, seeds, share) in targets().items()
    }
    if given.json:
        figures = {name: vars_of(one) for name, one in found.items()}
        print(json.dumps({"bench": "sip_fuzz", "seed": given.seed, "targets": figures}, indent=2))
    else:
        print(f"{'damaged inputs':<24} {'inputs':>9} {'mean µs':>9} {'worst ms':>9} {'exceptions':>11}")
        for name, one in found.items():
            mean = one.seconds / max(one.inputs, 1) * 1e6
            print(f"{name:<24} {one.inputs:>9} {mean:>9.1f} {one.worst_ms:>9.2f} {len(one.exceptions):>11}")
        for one in found.values():
            if one.worst_ms > SLOW_MS:
                print(f"slow: {one.worst[:1000]!r}")
            for line in one.exceptions:
                print(line)
    if any(one.exceptions or one.worst_ms > SLOW_MS for one in found.values()):
        raise SystemExit(1)


def vars_of(found: Findings) -> dict[str, object]:
    """Return the findings as JSON has them."""
    return {"inputs": found.inputs, "seconds": found.seconds, "worst_ms": found.worst_ms, "faults": found.exceptions}


if __name__ == "__main__":
    main()
