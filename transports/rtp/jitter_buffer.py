"""When a packet is to be heard: reordering, loss, late packets, silence, drift, on a delay that follows the path.

Pure and driven by time: `put` a packet when it comes, `take` when the listener needs audio. `take` always answers at
once with audio of a known length: a packet, a missing one to conceal, or silence. It never waits.

    transit     arrival time - media time of a packet: constant on a perfect path but for the clocks' offset
    base        least transit of the last seconds: the undelayed packet. A window, so that it follows clock drift
    lateness    transit - base
    target      delay behind `base` at which 97 % of the packets are in, 20…120 ms
    due         base + media time + target: when a packet should be heard
    excess      how much later than due the stream is heard now. Past ±: advice to shrink or stretch the audio

    cursor   next media time that will be heard

    take     buffer                              answer                              cursor
             head at the cursor                  Play                                past it
             head later, packets lost between    Conceal (names the lost packet)     one frame on
             head later, nothing lost (DTX)      Play when due, Silence until then   to the head
             empty, delay still under the limit  Conceal, waiting for the packet     stays: delay grows
             empty, delay at the limit           Conceal, then Silence               with time
             head later than the limit allows    dropped                             past it

No packet is ever heard more than `max_ms` after `base`: the bound on delay, and what makes growth impossible.
A jump of SSRC, sequence or timestamp restarts the buffer once two packets in a row agree on it (RFC 3550 §A.1 calls
this probation), so that one stray datagram costs nothing.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from transports.rtp.arrivals import ArrivalModel
from transports.rtp.packet import RtpPacket, sequence_delta, timestamp_delta

_MAX_DROPOUT = 3000  # RFC 3550 §A.1: further ahead is another stream, not loss
_MAX_MISORDER = 100
_CAPACITY_PACKETS = 128
_EARLY_JUMP_MS = 500.0
_LATE_JUMP_MS = 2000.0
_RETIRED_MS = 1000.0
_OTHERS_KEPT = 64
_SILENT_AFTER_MS = 120.0  # of concealing: by then every concealment has faded out


@dataclass(frozen=True, slots=True)
class JitterSettings:
    """Bounds of the delay."""

    min_ms: float = 20.0
    max_ms: float = 120.0
    frame_ms: float = 20.0
    """What one concealment lasts, and the packet length assumed until packets tell theirs."""
    shrink_above_ms: float = 12.0
    """Excess that is left alone: a little more delay hurts nobody."""
    stretch_below_ms: float = -3.0
    """Excess from which on packets would soon be missed."""


class Put(Enum):
    """What became of a packet."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    LATE = "late"
    STRAY = "stray"
    """Of another stream, or far off this one; kept in mind in case the next one agrees."""
    RESTARTED = "restarted"
    """The packet is queued as the first or second of a new stream: decoders start anew."""


class Adjust(Enum):
    """Advice on a packet's audio, a few milliseconds at a time."""

    NONE = 0
    SHRINK = 1
    STRETCH = 2


class Play(NamedTuple):
    """Decode this packet."""

    packet: RtpPacket
    samples: int
    """Its length in clock units."""
    adjust: Adjust


class Conceal(NamedTuple):
    """Invent audio in place of a packet."""

    sequence: int | None
    """Of the lost packet; None when it may still come."""
    samples: int
    """Length in clock units."""
    following: RtpPacket | None
    """The packet right behind the lost one, where it is here: may hold it redundantly (Opus in-band FEC)."""


class Silence(NamedTuple):
    """Nothing was sent for this time."""

    samples: int
    """Length in clock units."""


Taken = Play | Conceal | Silence


@dataclass(slots=True)
class JitterCounts:
    """What happened, for metrics. Packets, unless the name says otherwise."""

    played: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0
    stray: int = 0
    lost: int = 0
    """Concealed because a later one was there."""
    waited: int = 0
    """Concealments while nothing was there at all."""
    restarts: int = 0


class _Entry(NamedTuple):
    sequence: int  # extended
    media_ms: float
    media: int  # unwrapped timestamp
    samples: int
    packet: RtpPacket


class JitterBuffer:
    """One incoming audio stream. Telephone events go to `pass_by`, not to `put`."""

    def __init__(
        self, clock_hz: int, samples_of: Callable[[RtpPacket], int], settings: JitterSettings | None = None
    ) -> None:
        """`samples_of` tells a packet's length in clock units, 0 where it cannot tell; it must not raise."""
        self._settings = settings or JitterSettings()
        self._clock_hz = clock_hz
        self._per_ms = clock_hz / 1000
        self._samples_of = samples_of
        self._frame = int(self._settings.frame_ms * self._per_ms)
        self.counts = JitterCounts()
        self._suspect: tuple[RtpPacket, float] | None = None
        self._retired: tuple[int, float] | None = None  # an SSRC that was replaced, and until when it is ignored
        self._ssrc: int | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget the stream."""
        self._arrivals = ArrivalModel(self._settings.min_ms, self._settings.max_ms)
        self._entries: list[_Entry] = []  # by sequence
        self._others: set[int] = set()  # extended numbers that were no audio
        self._newest_sequence = self._newest_media = 0
        self._last_sequence = 0  # of what was taken
        self._cursor = 0
        self._is_running = False  # False: silence until the head is due
        self._waited_ms = 0.0
        self._held = 0  # clock units concealed while the cursor stood still

    @property
    def target_ms(self) -> float:
        """Delay behind an undelayed packet that is aimed at."""
        return self._arrivals.target_ms

    @property
    def queued_packets(self) -> int:
        """How many wait."""
        return len(self._entries)

    def put(self, packet: RtpPacket, arrival_ms: float) -> Put:
        """Take a packet in at the time it came. Never raises, whatever its fields."""
        if self._ssrc is None:
            self._start(packet, arrival_ms)
            return Put.RESTARTED
        step = sequence_delta(packet.sequence, self._newest_sequence & 0xFFFF)
        media = self._newest_media + timestamp_delta(packet.timestamp, self._newest_media & 0xFFFF_FFFF)
        if not self._belongs(packet, step, media, arrival_ms):
            return self._receive_stray(packet, arrival_ms)
        self._suspect = None
        return self._insert(packet, self._newest_sequence + step, media, arrival_ms)

    def pass_by(self, packet: RtpPacket) -> None:
        """Note a packet of the same stream that is no audio, so that its sequence number is not taken for a loss."""
        if packet.ssrc != self._ssrc or len(self._others) >= _OTHERS_KEPT:
            return
        step = sequence_delta(packet.sequence, self._newest_sequence & 0xFFFF)
        if -_MAX_MISORDER < step < _MAX_DROPOUT:
            self._others.add(self._newest_sequence + step)

    def _belongs(self, packet: RtpPacket, step: int, media: int, arrival_ms: float) -> bool:
        if packet.ssrc != self._ssrc or not -_MAX_MISORDER < step < _MAX_DROPOUT:
            return False
        lateness_ms = self._arrivals.lateness_ms(arrival_ms, media / self._per_ms)
        return -_EARLY_JUMP_MS < lateness_ms < _LATE_JUMP_MS

    def _receive_stray(self, packet: RtpPacket, arrival_ms: float) -> Put:
        """Restart when this packet and the stray before it are neighbours of one stream; else keep it in mind."""
        if self._retired and self._retired[0] == packet.ssrc and arrival_ms < self._retired[1]:
            self.counts.stray += 1
            return Put.STRAY
        suspect, self._suspect = self._suspect, (packet, arrival_ms)
        if (
            suspect is None
            or suspect[0].ssrc != packet.ssrc
            or sequence_delta(packet.sequence, suspect[0].sequence) != 1
            or not 0 < timestamp_delta(packet.timestamp, suspect[0].timestamp) < self._clock_hz
        ):
            self.counts.stray += 1
            return Put.STRAY
        if packet.ssrc != self._ssrc and self._ssrc is not None:
            self._retired = (self._ssrc, arrival_ms + _RETIRED_MS)
        self._suspect = None
        self.counts.restarts += 1
        self._start(*suspect)
        media = self._newest_media + timestamp_delta(packet.timestamp, suspect[0].timestamp)
        self._insert(packet, self._newest_sequence + 1, media, arrival_ms)
        return Put.RESTARTED

    def _start(self, packet: RtpPacket, arrival_ms: float) -> None:
        self._begin()
        self._ssrc = packet.ssrc
        # One turn above zero: what came before the first packet stays positive when unwrapped.
        self._newest_sequence = packet.sequence + 0x10000
        self._newest_media = packet.timestamp + 0x1_0000_0000
        self._last_sequence = self._newest_sequence - _MAX_MISORDER  # one that the first overtook is welcome
        self._cursor = self._newest_media
        self._insert(packet, self._newest_sequence, self._newest_media, arrival_ms)

    def _insert(self, packet: RtpPacket, sequence: int, media: int, arrival_ms: float) -> Put:
        media_ms = media / self._per_ms
        is_newest = sequence > self._newest_sequence
        if is_newest:
            self._newest_sequence, self._newest_media = sequence, media
        at = bisect_left(self._entries, (sequence,))
        if at < len(self._entries) and self._entries[at].sequence == sequence:
            self.counts.duplicate += 1
            return Put.DUPLICATE
        self._arrivals.receive(arrival_ms, media_ms)
        if sequence <= self._last_sequence or (self._is_running and media < self._cursor):
            self.counts.late += 1
            return Put.LATE
        if at < len(self._entries):
            self.counts.reordered += 1
        entry = _Entry(sequence, media_ms, media, self._samples_of(packet) or self._frame, packet)
        self._entries.insert(at, entry)
        if len(self._entries) > _CAPACITY_PACKETS:
            self._drop_head()
        return Put.QUEUED

    def _drop_head(self) -> None:
        """Pass over the head: it is too late to be heard."""
        head = self._entries.pop(0)
        self._advance_past(head)
        self.counts.late += 1

    def _advance_past(self, head: _Entry) -> None:
        self._last_sequence = head.sequence
        self._cursor = max(self._cursor, head.media + head.samples)
        if self._others:
            self._others = {number for number in self._others if number > head.sequence}

    def take(self, now_ms: float, pending_ms: float = 0.0) -> Taken:
        """Return what comes next; the caller has still `pending_ms` to be heard before it."""
        play_at_ms = now_ms + pending_ms
        arrivals, entries = self._arrivals, self._entries
        arrivals.aim(pending_ms)
        while entries and arrivals.lateness_ms(play_at_ms, entries[0].media_ms) > self._settings.max_ms + pending_ms:
            self._drop_head()
        if not entries:
            return self._wait(play_at_ms) if self._is_running else Silence(self._frame)
        head = entries[0]
        if self._is_running:
            lost = self._lost_before(head)
            if head.media <= self._cursor:
                return self._play(head, play_at_ms)
            if lost > 0:
                return self._conceal_lost(head, lost)
        until_due_ms = -arrivals.excess_ms(play_at_ms, head.media_ms)
        if until_due_ms <= 0:
            return self._play(head, play_at_ms)
        samples = max(1, min(self._frame, int(until_due_ms * self._per_ms)))
        self._cursor = min(self._cursor + samples, head.media)
        return Silence(samples)

    def _lost_before(self, head: _Entry) -> int:
        """Return how many packets before the head were lost and not concealed yet."""
        lost = head.sequence - self._last_sequence - 1
        if lost <= 0:
            return 0
        lost -= sum(self._last_sequence < number < head.sequence for number in self._others)
        while lost > 0 and self._held >= head.samples and self._cursor < head.media:
            # It was waited for and turns out lost: what was heard meanwhile stood in its place. Undoes the delay.
            self._held -= head.samples
            self._cursor += head.samples
            self._last_sequence += 1
            self.counts.lost += 1
            lost -= 1
        return lost

    def _play(self, head: _Entry, play_at_ms: float) -> Play:
        excess_ms = self._arrivals.excess_ms(play_at_ms, head.media_ms)
        self._entries.pop(0)
        if not self._is_running:
            self._is_running, self._cursor = True, head.media
        self._advance_past(head)
        self._waited_ms, self._held = 0.0, 0
        self.counts.played += 1
        adjust = Adjust.NONE
        if excess_ms > self._settings.shrink_above_ms:
            adjust = Adjust.SHRINK
        elif excess_ms < self._settings.stretch_below_ms:
            adjust = Adjust.STRETCH
        return Play(head.packet, head.samples, adjust)

    def _conceal_lost(self, head: _Entry, lost: int) -> Conceal:
        """Answer for the first of `lost` packets before the head."""
        self._last_sequence += 1
        while self._last_sequence in self._others:
            self._last_sequence += 1
        sequence = self._last_sequence
        gap = head.media - self._cursor
        samples = max(1, min(gap // lost, head.samples))
        following = head.packet if lost == 1 and gap == samples else None
        self._cursor += samples
        self.counts.lost += 1
        return Conceal(sequence & 0xFFFF, samples, following)

    def _wait(self, play_at_ms: float) -> Conceal | Silence:
        """Nothing is here: hold the stream up while the bound allows, then let it go on without."""
        frame_ms = self._settings.frame_ms
        self._waited_ms += frame_ms
        delay_ms = self._arrivals.lateness_ms(play_at_ms, self._cursor / self._per_ms)
        if delay_ms + frame_ms > self._settings.max_ms:
            self._cursor += self._frame
        else:
            self._held += self._frame
        if self._waited_ms > _SILENT_AFTER_MS:
            # The sender stopped: whatever comes next is placed by its due time, not by the cursor.
            self._is_running = False
            self._waited_ms, self._held = 0.0, 0
            return Silence(self._frame)
        self.counts.waited += 1
        return Conceal(None, self._frame, None)
