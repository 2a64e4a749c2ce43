"""Telephone keys as RTP events (RFC 4733): receiving what networks make of them, and sending.

    a key       ──M──u──u──u──E──E──E──      one timestamp; duration grows; the end is sent three times
    receiver    ▲ DtmfStarted  ▲ DtmfEnded   M or any u may be lost; all E may be lost: `expire` ends it

A key is known by its timestamp, so repeats are not new keys and a lost marker costs nothing. One longer than the
duration field goes on under a new timestamp without an end (§2.5.1.3) and stays one key.
"""

import struct
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from transports.rtp.packet import timestamp_delta

KEYS = "0123456789*#ABCD"
"""By event code (RFC 4733 §3.2). Flash and the tones beyond are not reported."""

PAUSE = ","
"""Among keys to be sent: half a second without one."""
MAX_KEYS = 64
"""That may wait to be sent."""

END_PACKETS = 3
_EVENT = struct.Struct("!BBH")
_END_BIT = 0x80
_VOLUME_DBM0 = 10  # sent as a positive number of dB below
_LOST_END_MS = 150.0  # three updates at the slowest usual pace of 50 ms
_ENDED_KEPT = 16


@dataclass(frozen=True, slots=True)
class DtmfStarted:
    """A key went down. Act on this one: the end may come late."""

    key: str
    timestamp: int
    """RTP timestamp of its beginning; names the key press."""


@dataclass(frozen=True, slots=True)
class DtmfEnded:
    """That key went up."""

    key: str
    timestamp: int
    duration_ms: float


@dataclass(slots=True)
class _Press:
    key: str
    first_timestamp: int
    timestamp: int  # of the running segment
    earlier: int = 0  # clock units of the segments before
    duration: int = 0
    last_seen_ms: float = 0.0


def check_keys(keys: str, *, waiting: int = 0) -> None:
    """Raise ValueError for what is no run of keys, or more than may wait to be sent."""
    if waiting + len(keys) > MAX_KEYS or not set(keys.upper()) <= {*KEYS, PAUSE}:
        raise ValueError(f"keys are at most {MAX_KEYS} of 0-9 * # A-D and comma")


class DtmfReceiver:
    """Turns the event packets of one stream into key presses."""

    def __init__(self, clock_hz: int) -> None:
        """`clock_hz` as negotiated for `telephone-event`."""
        self._clock_hz = clock_hz
        self._press: _Press | None = None
        self._ended: deque[int] = deque(maxlen=_ENDED_KEPT)  # timestamps whose repeats are no news

    def receive(self, payload: bytes, timestamp: int, now_ms: float) -> list[DtmfStarted | DtmfEnded]:
        """Take one event packet; a packet may hold several events. Never raises."""
        found: list[DtmfStarted | DtmfEnded] = []
        for at in range(0, min(len(payload), 5 * _EVENT.size) - _EVENT.size + 1, _EVENT.size):
            code, flags, duration = _EVENT.unpack_from(payload, at)
            if code < len(KEYS):
                self._receive_event(KEYS[code], bool(flags & _END_BIT), duration, timestamp, now_ms, found)
            timestamp = (timestamp + duration) & 0xFFFF_FFFF  # the next event of a packet starts where this one ends
        return found

    def _receive_event(
        self,
        key: str,
        is_end: bool,
        duration: int,
        timestamp: int,
        now_ms: float,
        found: list[DtmfStarted | DtmfEnded],
    ) -> None:
        if timestamp in self._ended:
            return
        press = self._press
        if press is not None and timestamp != press.timestamp:
            if timestamp_delta(timestamp, press.timestamp) < 0:
                return  # of an older key, overtaken
            if key == press.key and timestamp_delta(timestamp, press.timestamp) == 0xFFFF:
                press.earlier += 0xFFFF
                press.timestamp, press.duration = timestamp, 0
            else:
                found.append(self._end(press))  # its end packets were lost
                press = None
        if press is None:
            press = self._press = _Press(key, timestamp, timestamp)
            found.append(DtmfStarted(key, timestamp))
        press.duration = max(press.duration, duration)
        press.last_seen_ms = now_ms
        if is_end:
            found.append(self._end(press))

    def expire(self, now_ms: float) -> list[DtmfEnded]:
        """End a key whose packets stopped coming. Call every tick or so."""
        press = self._press
        if press is None or now_ms - press.last_seen_ms < _LOST_END_MS:
            return []
        return [self._end(press)]

    def _end(self, press: _Press) -> DtmfEnded:
        self._press = None
        self._ended.append(press.timestamp)
        return DtmfEnded(press.key, press.first_timestamp, (press.earlier + press.duration) * 1000 / self._clock_hz)


class EventPacket(NamedTuple):
    """What to send in place of audio."""

    payload_type: int
    timestamp: int
    """Of the key's beginning: the same in all its packets."""
    payload: bytes
    marker: bool


class DtmfSender:
    """Sends keys one after the other, a packet a tick of 20 ms."""

    def __init__(self, payload_type: int, clock_hz: int, *, frame_ms: int = 20) -> None:
        """`payload_type` is the peer's for `telephone-event` at the clock of the audio codec."""
        self._payload_type = payload_type
        self._clock_hz = clock_hz
        self._frame = clock_hz * frame_ms // 1000
        self._queue: deque[tuple[int, int, int]] = deque()  # code, clock units of tone, ticks of pause after it
        self._code: int | None = None
        self._timestamp = self._duration = self._wanted = self._ends_left = 0
        self._pause = self._pause_after = 0

    @property
    def is_sending(self) -> bool:
        """True until the last key and its pause are out."""
        return bool(self._queue) or self._code is not None or self._pause > 0

    def send(self, keys: str, *, tone_ms: int = 100, gap_ms: int = 100) -> None:
        """Queue keys; a comma is a pause of half a second. Tones and gaps are at least 40 ms (ITU-T Q.24).

        Raises:
            ValueError: a key that no telephone has, or more than 64 of them, those that wait among them.
        """
        check_keys(keys, waiting=len(self._queue))
        tone = self._clock_hz * min(5000, max(40, tone_ms)) // 1000
        gap = max(2, min(5000, gap_ms) * self._clock_hz // 1000 // self._frame)
        half_second = self._clock_hz // 2 // self._frame
        for key in keys.upper():
            self._queue.append((-1, 0, half_second) if key == PAUSE else (KEYS.index(key), tone, gap))

    def next_packet(self, timestamp: int) -> EventPacket | None:
        """Return what goes out in the tick of that audio timestamp; None leaves it to audio."""
        if self._code is None:
            if self._pause:
                self._pause -= 1
                return None
            if not self._queue:
                return None
            code, self._wanted, self._pause_after = self._queue.popleft()
            if code < 0:
                self._pause = self._pause_after - 1
                return None
            self._code, self._timestamp, self._duration = code, timestamp, 0
            self._ends_left = END_PACKETS
        is_first = self._duration == 0
        self._duration = min(self._wanted, self._duration + self._frame, 0xFFFF)
        is_end = self._duration in (self._wanted, 0xFFFF)
        payload = _EVENT.pack(self._code, is_end << 7 | _VOLUME_DBM0, self._duration)
        packet = EventPacket(self._payload_type, self._timestamp, payload, is_first)
        if is_end:
            self._ends_left -= 1
            if not self._ends_left:
                self._code, self._pause = None, self._pause_after
        return packet
