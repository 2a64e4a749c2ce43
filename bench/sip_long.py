"""Long calls over real sockets, in real time: phones whose clocks run wrong, sessions refreshed by either side.

Two calls at once to a process of its own: one phone's clock is fast and it refreshes the session, the other's is slow
and the service refreshes. The interval is the shortest that RFC 4028 allows, 90 s, so that a refresh comes every 45 s.
Once a second a phone sends a tone of 20 ms, which is answered with one as soon as it is heard; the delay is the time
until that comes: jitter buffer, session, playout. `bench.sip_drift` holds half an hour of it in simulated time.

    python -m bench.sip_long --minutes 6 --ppm 300
"""

import asyncio
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.harness import Outcome, emit, parser, percentile, progress
from bench.sip import served
from bench.sip_echo import LOUD_DBFS
from bench.sip_load import HOST, Caller, Nobody
from sip.caller_machine import Destination
from sip.codecs import PCMU
from sip.endpoint import EndpointSettings, SipEndpoint
from sip.headers import NameAddr
from sip.media import LocalMedia
from sip.session_timer import TimerPolicy
from sip.user_agent import AgentSettings
from transports.rtp.packet import RtpPacket, parse_rtp, serialise_rtp
from transports.rtp.socket import Address, DatagramSocket, bind
from voice.audio.g711 import pcm_to_ulaw, ulaw_to_pcm
from voice.audio.levels import rms_dbfs

INTERVAL_S = 90
WARM_UP_S = 20.0
_FRAME = 160
_TONE = pcm_to_ulaw((12_000 * np.sin(2 * np.pi * 500 * np.arange(_FRAME) / 8_000)).astype("<i2").tobytes())
_SILENCE = b"\xff" * _FRAME
_EVERY = 50  # frames from tone to tone


@dataclass(slots=True)
class Heard:
    """What came back."""

    delays: list[tuple[float, float]] = field(default_factory=list)
    """When a tone was sent, in seconds of the call, and how many milliseconds later it was heard."""
    gaps_ms: list[float] = field(default_factory=list)
    missing: int = 0
    """Packets that the sequence numbers tell of and that did not come."""
    breaks: int = 0
    """Timestamps that do not follow one another."""


class Phone:
    """A caller with a clock of its own."""

    def __init__(self, clock: float) -> None:
        """`clock` is how many of its seconds pass in one of ours."""
        self.caller = Caller()
        self.heard = Heard()
        self._step_s = 0.02 / clock
        self._loop = asyncio.get_running_loop()
        self._socket = DatagramSocket(bind(HOST, 0), self._receive)
        self._began_s = 0.0
        self._made = 0
        self._tone_at_s: float | None = None
        self._last: tuple[RtpPacket, float] | None = None

    def dial(self, endpoint: SipEndpoint, port: int, refresher: str) -> None:
        """Call, and say who is to refresh the session."""
        headers = (("Session-Expires", f"{INTERVAL_S};refresher={refresher}"),)
        destination = Destination(f"sip:100@{HOST}:{port}", NameAddr(f"sip:phone@{HOST}"), headers)
        local = LocalMedia(HOST, self._socket.local[1], codecs=(PCMU,))
        self.caller.call = endpoint.call(destination, local, self.caller)

    @property
    def refreshes(self) -> tuple[int, int]:
        """How many the phone has sent and how many have come."""
        call = self.caller.call
        assert call is not None
        dialog = call.machine.dialog
        return dialog.local_seq - 1, 0 if dialog.remote_seq is None else dialog.remote_seq

    def talk(self) -> None:
        """Send by its own clock until the call is over."""
        self._began_s = self._loop.time()
        self._send()

    def _send(self) -> None:
        remote = self.caller.remote
        if remote is None:
            return
        now_s = self._loop.time()
        while self._began_s + self._made * self._step_s <= now_s:
            is_tone = self._made % _EVERY == _EVERY - 1
            if is_tone:
                self._tone_at_s = now_s
            payload = _TONE if is_tone else _SILENCE
            packet = RtpPacket(0, self._made & 0xFFFF, self._made * _FRAME & 0xFFFFFFFF, 7, payload)
            self._socket.send(serialise_rtp(packet), remote)
            self._made += 1
        self._loop.call_at(self._began_s + self._made * self._step_s, self._send)

    def _receive(self, datagram: bytes, source: Address) -> None:
        packet, now_s = parse_rtp(datagram), self._loop.time()
        if packet is None or packet.payload_type != 0:
            return
        if self._last is not None:
            before, at_s = self._last
            self.heard.gaps_ms.append((now_s - at_s) * 1000)
            self.heard.missing += ((packet.sequence - before.sequence) & 0xFFFF) - 1
            self.heard.breaks += (packet.timestamp - before.timestamp) & 0xFFFFFFFF != _FRAME
        self._last = packet, now_s
        if self._tone_at_s is not None and rms_dbfs(ulaw_to_pcm(packet.payload)) > LOUD_DBFS:
            self.heard.delays.append((self._tone_at_s - self._began_s, (now_s - self._tone_at_s) * 1000))
            self._tone_at_s = None

    def close(self) -> None:
        """Free the port."""
        self._socket.close()


async def hold(port: int, minutes: float, ppm: float) -> list[tuple[str, str, Phone, tuple[int, int], bool]]:
    """Hold both calls; return for each: clock, refresher, the phone, its refreshes, whether it was up to the end."""
    timer = TimerPolicy(interval_s=0)  # we ask by a header of our own, with the refresher named
    settings = EndpointSettings(port=0, agent=AgentSettings(session_timer=timer))
    phones = [("fast", "uac", Phone(1 + ppm / 1e6)), ("slow", "uas", Phone(1 - ppm / 1e6))]
    async with SipEndpoint(settings, (), Nobody()) as endpoint:
        for _, refresher, phone in phones:
            phone.dial(endpoint, port, refresher)
            await phone.caller.settled.wait()
            phone.talk()
        await asyncio.sleep(minutes * 60)
        found = [(clock, who, phone, phone.refreshes, not phone.caller.over.is_set()) for clock, who, phone in phones]
        for _, _, phone in phones:
            if phone.caller.call is not None:
                phone.caller.call.hang_up()
            await phone.caller.over.wait()
            phone.close()
    return found


def minute_mean(delays: Sequence[tuple[float, float]], from_s: float) -> float:
    """Return the mean delay of the tones of one minute; NaN without any."""
    chosen = [delay_ms for at_s, delay_ms in delays if from_s <= at_s < from_s + 60]
    return statistics.fmean(chosen) if chosen else math.nan


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--minutes", type=float, default=6.0, help="in real time; at least 2")
    options.add_argument("--ppm", type=float, default=300.0, help="how much the phones' clocks run wrong")
    chosen = options.parse_args()
    columns = (
        "clock",
        "refreshed by",
        "refreshes",
        "delay, first minute ms",
        "last minute ms",
        "missing",
        "gap p99 ms",
    )
    outcome = Outcome("long calls with drift and session timers", columns)
    progress(f"two calls of {chosen.minutes:g} min")
    with served("pong", 2) as (_, port, _):
        found = asyncio.run(hold(port, chosen.minutes, chosen.ppm))
    for clock, refresher, phone, (sent, came), is_up in found:
        heard = phone.heard
        first = minute_mean(heard.delays, WARM_UP_S)
        last = minute_mean(heard.delays, chosen.minutes * 60 - 60)
        who, count = ("the phone", sent) if refresher == "uac" else ("the service", came)
        gap_ms = percentile(heard.gaps_ms, 0.99)
        outcome.rows.append((clock, who, count, f"{first:.0f}", f"{last:.0f}", heard.missing, f"{gap_ms:.1f}"))
        outcome.figures[f"{clock}_refreshes"] = count
        outcome.figures[f"{clock}_delay_first_ms"] = round(first, 1)
        outcome.figures[f"{clock}_delay_last_ms"] = round(last, 1)
        outcome.figures[f"{clock}_missing_packets"] = heard.missing
        outcome.figures[f"{clock}_timestamp_breaks"] = heard.breaks
        outcome.figures[f"{clock}_gap_p99_ms"] = round(gap_ms, 1)
        outcome.figures[f"{clock}_up_to_the_end"] = is_up
    outcome.notes.append(f"{chosen.minutes:g} min in real time, {chosen.ppm:g} ppm, sessions of {INTERVAL_S} s")
    emit(outcome, chosen.json)


if __name__ == "__main__":
    main()
