"""The audio of one call: from datagrams to frames and back, in the callback of its socket and in the ticks.

datagram ─► SRTP ─► RTP ─► the owner judges the source ─► jitter buffer, keys      in the socket's callback
tick     ─► jitter buffer ─► codec ─► 20 ms ─► session
         ─► playout ─► codec, or a key of ours ─► RTP ─► SRTP ─► socket            the same tick: no thread, no task
RTCP     reports every 2.5 s, the first after half a second: a peer's jitter buffer is known early

paused   the peer has put us on hold: playout stands still and nobody is heard, so music is no barge-in. A second of
         silence ends the turn that was under way; our timestamps run on
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from transports.live_audio import LiveAudio
from transports.rtp.codecs import Codec, Encoder, make_decoder, make_encoder
from transports.rtp.dtmf import DtmfReceiver, DtmfSender, DtmfStarted
from transports.rtp.errors import SrtpError
from transports.rtp.inbound import FRAME_BYTES, InboundAudio
from transports.rtp.outbound import OutboundAudio
from transports.rtp.packet import Datagram, RtpPacket, classify, parse_rtp
from transports.rtp.quality import CallQuality, MediaTraffic, StreamMeter
from transports.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    ntp_time,
    parse_rtcp,
    serialise_rtcp,
)
from transports.rtp.srtp import SrtpLeg
from transports.rtp.statistics import ReceptionStatistics, SendingStatistics

COMFORT_NOISE_TYPE = 13
"""RFC 3389: the peer suppresses silence, and will send nothing for a while."""

_REPORT_TICKS = 125
_FIRST_REPORT_TICKS = 25
_SILENT_TICKS_OF_PAUSE = 50
_CAUGHT_UP_TICKS = 5
"""What a stall left behind of the peer's voice is heard up to here; more would only make the next stall."""

_CNAME = "agent"
_SILENCE = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class LegTerms:
    """What offer and answer have agreed on."""

    sends: tuple[int, Codec]
    """Payload type and codec of what we say."""
    receives: Mapping[int, Codec]
    """All that we understand, by payload type."""
    srtp: SrtpLeg | None = None
    """The same object as before where the keys are the same."""
    speaks: bool = True
    """Whether the peer listens."""
    pauses: bool = False
    """On hold, see above."""
    event_clock_hz: int = 8_000
    sends_events: int | None = None
    """Payload type of the keys that we press; None where the peer takes none."""
    receives_events: int | None = None
    packet_ms: int = 20
    """How long packets of ours are: what the peer prefers."""

    @property
    def sending(self) -> tuple[tuple[int, Codec], int]:
        """What a stream of ours cannot change without becoming another."""
        return self.sends, self.packet_ms


@dataclass(slots=True)
class _Heard:
    """The peer's stream as it stands."""

    payload_type: int
    codec: Codec
    audio: InboundAudio
    reception: ReceptionStatistics


@dataclass(slots=True)
class _Said:
    """Our stream as it stands."""

    encoder: Encoder
    audio: OutboundAudio


@dataclass(slots=True)
class LegOwner:
    """What a leg calls."""

    send: Callable[[bytes], None]
    """Takes protected RTP."""
    send_rtcp: Callable[[bytes], None]
    """Takes protected RTCP."""
    press: Callable[[str], None] = field(default=lambda _: None)
    """Told of a key that the peer pressed."""


class MediaLeg:
    """One call's RTP. Feed it datagrams and ticks; it hears and speaks through a `LiveAudio`."""

    def __init__(
        self,
        terms: LegTerms,
        owner: LegOwner,
        audio: LiveAudio,
        traffic: MediaTraffic | None = None,
        *,
        wall_offset_s: float,
        ssrc: int | None = None,
    ) -> None:
        """`wall_offset_s` is what makes the time that everything here is told the time of day, as RTCP wants it.

        Raises: CodecUnavailable.
        """
        self._owner = owner
        self._audio = audio
        self._wall_offset_s = wall_offset_s
        self._terms = terms
        self._heard: _Heard | None = None
        self._said = self._begin_stream(ssrc)
        self._keys = DtmfReceiver(terms.event_clock_hz)
        self._silence_left = 0
        self._until_report = _FIRST_REPORT_TICKS
        self._meter = StreamMeter(traffic or MediaTraffic())
        self.heard = 0
        """Counts packets of the peer, RTCP among them."""
        self.suppresses_silence = False
        """True from a packet of comfort noise to the next of audio: nothing has to come meanwhile."""
        self.said_goodbye = False
        """True once the peer has ended its stream (RTCP BYE)."""

    def _begin_stream(self, ssrc: int | None = None) -> _Said:
        said = _new_stream(self._terms, ssrc)
        self._audio.playout.far_buffer_ms = said.audio.statistics.far_buffer_ms()
        return said

    @property
    def terms(self) -> LegTerms:
        """What is in force."""
        return self._terms

    @property
    def inbound(self) -> InboundAudio | None:
        """The peer's stream; None before its first packet."""
        return None if self._heard is None else self._heard.audio

    @property
    def outbound(self) -> OutboundAudio:
        """Ours."""
        return self._said.audio

    @property
    def quality(self) -> CallQuality:
        """How the call is going."""
        reception = None if self._heard is None else self._heard.reception
        return CallQuality.of(self.inbound, reception, self.outbound.statistics, self._terms.sends[1].name)

    def change(self, terms: LegTerms) -> None:
        """Go on by other terms; a stream restarts only where its codec or its key is another.

        Raises: CodecUnavailable; what was in force stays.
        """
        before, self._terms = self._terms, terms
        try:
            if before.sending != terms.sending or not _same_key(before.srtp, terms.srtp):
                # A new SSRC: timestamps may count another clock, and a new key counts its packets from zero.
                self._said = self._begin_stream()
            elif (before.sends_events, before.event_clock_hz) != (terms.sends_events, terms.event_clock_hz):
                self.outbound.dtmf = _new_keys(terms)
        except BaseException:
            self._terms = before
            raise
        if before.event_clock_hz != terms.event_clock_hz:
            self._keys = DtmfReceiver(terms.event_clock_hz)
        if terms.pauses and not before.pauses:
            self._silence_left = _SILENT_TICKS_OF_PAUSE
        heard = self._heard
        if heard is not None and (terms.pauses or terms.receives.get(heard.payload_type) is not heard.codec):
            self._end_heard()  # what waits was said before the hold
        self.suppresses_silence = False

    def _end_heard(self) -> None:
        if self._heard is not None:
            self._meter.count(self._heard.audio)
            self._meter.restart()
        self._heard = None

    # ---- in the socket's callback

    def receive(self, datagram: bytes, now_s: float) -> None:
        """Take a datagram whose source needs no judgement: one that is protected, or came from the one peer."""
        if classify(datagram) is Datagram.RTCP:
            self.receive_rtcp(datagram, now_s)
            return
        packet = self.open(datagram)
        if packet is not None:
            self.take(packet, now_s)

    def open(self, datagram: bytes) -> RtpPacket | None:
        """Return the packet in a datagram, authentic where SRTP was agreed; None for what is no packet of ours."""
        srtp = self._terms.srtp
        opened = datagram if srtp is None else srtp.unprotect(datagram)
        packet = None if opened is None else parse_rtp(opened)
        if packet is None:
            self._meter.traffic.rejected_packets += 1
        return packet

    def knows(self, packet: RtpPacket) -> bool:
        """Say whether a packet is of a payload type that was agreed on."""
        kind = packet.payload_type
        return kind in self._terms.receives or kind in (self._terms.receives_events, COMFORT_NOISE_TYPE)

    def take(self, packet: RtpPacket, now_s: float) -> None:
        """Take a packet of the peer."""
        self.heard += 1
        codec = self._terms.receives.get(packet.payload_type)
        if codec is None:
            self._take_other(packet, now_s)
            return
        heard = self._heard
        if heard is None or packet.payload_type != heard.payload_type:
            self._end_heard()
            audio = InboundAudio(codec, make_decoder(codec))
            heard = _Heard(packet.payload_type, codec, audio, ReceptionStatistics(packet.ssrc, codec.clock_hz))
            self._heard = heard
        elif heard.reception.ssrc != packet.ssrc:
            heard.reception = ReceptionStatistics(packet.ssrc, codec.clock_hz)
        self.suppresses_silence = False
        self._meter.traffic.received_packets += 1
        if self._terms.pauses:
            return
        heard.reception.receive(packet.sequence, packet.timestamp, len(packet.payload), now_s)
        heard.audio.receive(packet, now_s * 1000)

    def _take_other(self, packet: RtpPacket, now_s: float) -> None:
        if self._heard is not None:
            self._heard.audio.buffer.pass_by(packet)
            self._heard.reception.receive(packet.sequence, packet.timestamp, len(packet.payload), now_s)
        if packet.payload_type == self._terms.receives_events:
            for event in self._keys.receive(packet.payload, packet.timestamp, now_s * 1000):
                if isinstance(event, DtmfStarted):
                    self._owner.press(event.key)
        elif packet.payload_type == COMFORT_NOISE_TYPE:
            self.suppresses_silence = True

    def receive_rtcp(self, datagram: bytes, now_s: float) -> None:
        """Take a compound RTCP packet of the peer."""
        srtp = self._terms.srtp
        opened = datagram if srtp is None else srtp.unprotect_rtcp(datagram)
        if opened is None:
            self._meter.traffic.rejected_packets += 1
            return
        self.heard += 1
        for packet in parse_rtcp(opened):
            if isinstance(packet, SenderReport | ReceiverReport):
                reception = None if self._heard is None else self._heard.reception
                if isinstance(packet, SenderReport) and reception is not None and reception.ssrc == packet.ssrc:
                    reception.receive_sender_report(packet, now_s)
                if self.outbound.statistics.receive_report(packet, ntp_time(now_s + self._wall_offset_s)):
                    self._heed_report(reception)
            elif isinstance(packet, Goodbye):
                self.said_goodbye = True

    def _heed_report(self, reception: ReceptionStatistics | None) -> None:
        """The peer told how our stream arrives: mend what can be mended, and know what it still holds."""
        statistics = self.outbound.statistics
        self._said.encoder.expect_loss(statistics.far_loss)
        self._audio.playout.far_buffer_ms = statistics.far_buffer_ms()
        self._meter.note_report(statistics, reception)

    # ---- in the tick

    def tick(self, now_s: float, skipped: int) -> bytes | None:
        """Hear 20 ms and say 20 ms; after a stall, `skipped` ticks pass in silence. Return what was heard, if any."""
        heard = self.hear(now_s, skipped)
        self.speak(now_s, skipped)
        return heard

    def hear(self, now_s: float, skipped: int) -> bytes | None:
        """Do the first half of a tick: for an owner who lets the session react before the second, `speak`."""
        self._keys.expire(now_s * 1000)
        if not self._terms.pauses:
            return self._hear(now_s, skipped)
        if self._silence_left:
            self._silence_left -= 1
            self._audio.hear(_SILENCE)
        return None

    def speak(self, now_s: float, skipped: int) -> None:
        """Do the second half of a tick."""
        if self._terms.pauses:
            self.outbound.skip(skipped + 1)
        else:
            if skipped:
                self.outbound.skip(skipped)
            if not self._terms.speaks:
                self._audio.next_frame()
                self.outbound.skip(1)
            else:
                frame = self.outbound.next_keys() or self._audio.next_frame()  # playout stands still for keys
                for packet in self.outbound.packets(frame, now_s):
                    self._send(packet)
        self._until_report -= 1
        if self._until_report <= 0:
            self._until_report = _REPORT_TICKS - secrets.randbelow(_REPORT_TICKS // 4)
            self._report(now_s)

    def _hear(self, now_s: float, skipped: int) -> bytes | None:
        if self._heard is None:
            return None
        frame = b""
        for _ in range(min(skipped, _CAUGHT_UP_TICKS) + 1):
            frame = self._heard.audio.frame(now_s * 1000)
            self._audio.hear(frame)
        return frame

    def _send(self, packet: bytes) -> None:
        srtp = self._terms.srtp
        self._owner.send(packet if srtp is None else srtp.protect(packet))
        self._meter.traffic.sent_packets += 1

    def _report(self, now_s: float) -> None:
        reception = None if self._heard is None else self._heard.reception
        self._send_rtcp(_compound_report(self.outbound.statistics, reception, now_s, now_s + self._wall_offset_s))
        self.count()

    def _send_rtcp(self, packet: bytes) -> None:
        srtp = self._terms.srtp
        try:
            self._owner.send_rtcp(packet if srtp is None else srtp.protect_rtcp(packet))
        except SrtpError:
            self._meter.traffic.unsent_packets += 1

    def say_goodbye(self) -> None:
        """Tell the peer that our stream ends (RFC 3550 §6.6)."""
        ssrc = self.outbound.ssrc
        self._send_rtcp(serialise_rtcp(ReceiverReport(ssrc), SourceDescription(((ssrc, _CNAME),)), Goodbye((ssrc,))))

    def count(self) -> None:
        """Add what is new on the peer's stream to the sums."""
        if self._heard is not None:
            self._meter.count(self._heard.audio)


def _compound_report(
    sent: SendingStatistics, reception: ReceptionStatistics | None, now_s: float, wall_s: float
) -> bytes:
    """Return what a peer is told every while: what we send, once we do, and how its stream arrives."""
    blocks = () if reception is None else (reception.report_block(now_s),)
    is_sender = bool(sent.sent_packets)
    report = sent.sender_report(now_s, ntp_time(wall_s), blocks) if is_sender else ReceiverReport(sent.ssrc, blocks)
    return serialise_rtcp(report, SourceDescription(((sent.ssrc, _CNAME),)))


def _same_key(before: SrtpLeg | None, now: SrtpLeg | None) -> bool:
    if before is None or now is None:
        return before is now
    return before.sends_as(now)


def _new_stream(terms: LegTerms, ssrc: int | None) -> _Said:
    """Return a stream of ours. Raises: CodecUnavailable."""
    payload_type, codec = terms.sends
    encoder = make_encoder(codec)
    audio = OutboundAudio(
        codec,
        encoder,
        payload_type,
        ssrc=secrets.randbits(32) if ssrc is None else ssrc,
        sequence=secrets.randbits(15),
        timestamp=secrets.randbits(32),
        dtmf=_new_keys(terms),
        packet_ms=terms.packet_ms,
    )
    return _Said(encoder, audio)


def _new_keys(terms: LegTerms) -> DtmfSender | None:
    return None if terms.sends_events is None else DtmfSender(terms.sends_events, terms.event_clock_hz)
