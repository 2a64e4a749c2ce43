"""What went wrong elsewhere with the audio of calls: one test for each failure that a leg alone can show.

Each cites the report of those who suffered it. What signalling shows is in `tests/sip/test_field_failures.py`, what
needs sockets in `tests/interop/sip/test_media_changes.py`.
"""

from itertools import pairwise

import numpy as np
import pytest

from transports.live_audio import LiveAudio
from transports.rtp.codecs import PCMU, make_encoder
from transports.rtp.dtmf import DtmfSender
from transports.rtp.leg import LegOwner, LegTerms, MediaLeg
from transports.rtp.outbound import OutboundAudio
from transports.rtp.packet import RtpPacket, parse_rtp, serialise_rtp
from voice.audio.frames import CORE_RATE_HZ

TERMS = LegTerms(sends=(0, PCMU), receives={0: PCMU}, sends_events=101, receives_events=101)


class Call:
    """Our leg of a call, with what it has sent and the keys that it was told of."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.keys: list[str] = []
        self.audio = LiveAudio()
        owner = LegOwner(self.sent.append, lambda _: None, self.keys.append)
        self.leg = MediaLeg(TERMS, owner, self.audio, wall_offset_s=0.0)
        self.ticks = 0

    @property
    def packets(self) -> list[RtpPacket]:
        return [packet for packet in map(parse_rtp, self.sent) if packet is not None]

    def tick(self, *arrived: bytes) -> bytes:
        """Let datagrams arrive and 20 ms pass; return what was heard."""
        now_s = self.ticks / 50
        for datagram in arrived:
            self.leg.receive(datagram, now_s)
        self.ticks += 1
        return self.leg.tick(now_s, 0) or b""


def tone(ms: int) -> bytes:
    samples = np.arange(CORE_RATE_HZ * ms // 1000)
    return bytes(np.rint(8000 * np.sin(2 * np.pi * 440 * samples / CORE_RATE_HZ)).astype("<i2").tobytes())


def loudness(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2))) if pcm else 0.0


def stream(ssrc: int, frames: int) -> list[bytes]:
    """Return the packets of a peer that says a tone."""
    outbound = OutboundAudio(PCMU, make_encoder(PCMU), 0, ssrc=ssrc)
    pcm = tone(20 * frames)
    return [one for at in range(0, len(pcm), 960) for one in outbound.packets(pcm[at : at + 960], 0.0)]


def test_a_burst_from_the_voice_overran_the_wire() -> None:
    """livekit/agents #5253, #3604: seconds of speech, made at once, left at once and in pieces."""
    call = Call()
    speech = tone(3000)
    for at in range(0, len(speech), 7_001 * 2):  # chunks of no particular length
        call.audio.playout.play("item", speech[at : at + 7_001 * 2])
    for _ in range(150):
        before = len(call.sent)
        call.tick()
        assert len(call.sent) == before + 1
    assert {(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in pairwise(call.packets)} == {160}
    assert call.audio.playout.underruns == 0


def test_audio_starved_at_the_borders_of_chunks() -> None:
    """livekit/sip #348, AVA #13: each border of two chunks was a click or a hole."""
    call = Call()
    speech = tone(1000)
    for at in range(0, len(speech), 614):
        call.audio.playout.play("item", speech[at : at + 614])
    heard = b"".join(call.audio.playout.tick() for _ in range(50))
    assert heard == speech


def test_a_key_without_a_marker_was_no_key() -> None:
    """linphone-sdk #592, jambonz feature-server #128: the first packet was lost, or never marked."""
    call, keys = Call(), DtmfSender(101, 8_000)
    keys.send("5")
    for number in range(12):
        event = keys.next_packet(8_000 + number * 160)
        if event is not None and number != 0:
            packet = RtpPacket(101, number, event.timestamp, 7, event.payload, marker=False)
            call.tick(serialise_rtp(packet))
    assert call.keys == ["5"]


def test_a_new_source_in_the_middle_of_a_call_was_not_heard() -> None:
    """OpenAI forum 1380873: a PBX that puts another leg through changes SSRC, sequence and time at once."""
    call = Call()
    for packet in stream(7, 50):
        call.tick(packet)
    heard = b"".join(call.tick(packet) for packet in stream(8, 50))
    assert loudness(heard[-480 * 2 * 20 :]) > 4000


@pytest.mark.parametrize("frames", [1, 40])
def test_the_agent_thought_and_the_wire_fell_silent(frames: int) -> None:
    """livekit/sip #608, #724: without packets while nothing is said, carriers take the call for dead."""
    call = Call()
    call.audio.playout.play("item", tone(20 * frames))
    for _ in range(200):
        call.tick()
    assert len(call.sent) == 200
    assert {packet.ssrc for packet in call.packets} == {call.packets[0].ssrc}
