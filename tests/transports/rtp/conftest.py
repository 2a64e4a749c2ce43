"""A path that delays, drops, repeats and reorders by a list, and a listener who takes a frame every 20 ms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from transports.rtp.jitter_buffer import Conceal, JitterBuffer, JitterSettings, Play, Silence, Taken
from transports.rtp.packet import RtpPacket


def packet(number: int, *, ssrc: int = 1, first_sequence: int = 0, first_timestamp: int = 0) -> RtpPacket:
    """The `number`th packet of a stream of 20 ms at 8 kHz; its payload tells its number."""
    return RtpPacket(
        0,
        (first_sequence + number) & 0xFFFF,
        (first_timestamp + number * 160) & 0xFFFF_FFFF,
        ssrc,
        number.to_bytes(4) * 40,
    )


@dataclass
class Listener:
    """Takes from a jitter buffer as `InboundAudio` does, and notes what it got."""

    buffer: JitterBuffer
    taken: list[Taken] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    """Of each packet heard, from when it was sent."""
    sent_ms: dict[int, float] = field(default_factory=dict)
    pending: float = 0.0
    """Clock units that wait to be heard; adjustments count 5 ms."""

    def tick(self, now_ms: float) -> None:
        takes = 0
        while self.pending < 160:
            takes += 1
            assert takes < 1000, "the buffer gives no audio"
            got = self.buffer.take(now_ms, self.pending / 8)
            self.taken.append(got)
            assert got.samples > 0
            if isinstance(got, Play):
                number = int.from_bytes(got.packet.payload[:4])
                self.delays_ms.append(now_ms + self.pending / 8 - self.sent_ms.get(number, now_ms))
                self.pending += (0, -40, 40)[got.adjust.value]
            self.pending += got.samples
        self.pending -= 160

    @property
    def numbers(self) -> list[int]:
        """Of the packets heard, in order."""
        return [int.from_bytes(got.packet.payload[:4]) for got in self.taken if isinstance(got, Play)]

    def count(self, kind: type[Conceal] | type[Silence]) -> int:
        return sum(isinstance(got, kind) for got in self.taken)


def listen(
    arrivals: Sequence[tuple[float, int]],
    *,
    until_ms: float,
    phase_ms: float = 7.0,
    sent_ms: Callable[[int], float] = lambda number: number * 20.0,
    make: Callable[[int], RtpPacket] = packet,
    settings: JitterSettings | None = None,
) -> Listener:
    """Run packets `(arrival_ms, number)` through a buffer with a tick every 20 ms."""
    buffer = JitterBuffer(8000, lambda got: len(got.payload), settings)
    listener = Listener(buffer, sent_ms={number: sent_ms(number) for _, number in arrivals})
    waiting = sorted(arrivals, key=lambda arrival: arrival[0])
    at, now_ms = 0, phase_ms
    while now_ms < until_ms:
        while at < len(waiting) and waiting[at][0] <= now_ms:
            buffer.put(make(waiting[at][1]), waiting[at][0])
            at += 1
        listener.tick(now_ms)
        now_ms += 20
    return listener
