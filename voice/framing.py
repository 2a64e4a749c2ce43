"""Cuts a WebSocket stream at its frames (RFC 6455 §5.2), and makes the frames that are sent most.

    bytes ─► feed ─► whole text messages (FIN, between two messages)     read where they arrive
                └──► everything else, as it came                         for a library that knows all rules

No socket in here. What is wrong is not judged: it goes the second way.
"""

import secrets
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this machine: the same in Python
    from websockets.utils import apply_mask

_TEXT: Final = 0x81
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_MASK_BYTES: Final = 4
_POOL_BYTES: Final = 4096


class Cutter:
    """Finds the frames in a stream that comes in runs of any length."""

    def __init__(self, max_bytes: int, *, masked: bool = False) -> None:
        """`masked`: as a client's are, and a server's never. A frame longer than `max_bytes` is not collected."""
        self._max_bytes = max_bytes
        self._least_second = _MASKED if masked else 0
        self._pending = bytearray()
        self._wanted = 0
        """Pending bytes from which on there is something to find."""
        self._in_message = False
        """The first frame of a message was seen, and not its last."""
        self._passing_bytes = 0
        """Of a long frame, still to come."""

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the frames that `data` completes, each with the place where its text begins.

        That is 0 for what is no whole text message: a frame, or a piece of a long one. Text that is masked has its key
        in the four bytes before.
        """
        if not data:
            return []
        if (start := self._lone_text(data)) > 0:
            return [(data, start)]
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted:
                return []
            data, self._pending = bytes(self._pending), bytearray()
        frames: list[tuple[bytes, int]] = []
        at, size = 0, len(data)
        while at < size:
            if self._passing_bytes:
                end = min(at + self._passing_bytes, size)
                self._passing_bytes -= end - at
                frames.append((data[at:end], 0))
                at = end
                continue
            start, end = _bounds(data, at)
            if end > size:
                if end - start <= self._max_bytes:
                    self._pending += data[at:]
                    self._wanted = end - at
                    break
                self._is_text(data, at)
                self._passing_bytes = end - at
                continue
            frame = data if end - at == size else data[at:end]
            is_text = self._is_text(data, at) and end - start <= self._max_bytes
            frames.append((frame, start - at if is_text else 0))
            at = end
        return frames

    def _lone_text(self, data: bytes) -> int:
        """Return where the text begins in the commonest of all runs, one text of 126 bytes to 64 KiB; 0: not that."""
        if data[0] != _TEXT or self._pending or self._passing_bytes or self._in_message or len(data) < 8:
            return 0
        start = 8 if self._least_second else 4
        is_alone = data[1] == self._least_second + 126 and len(data) == start + (data[2] << 8) + data[3]
        return start if is_alone and len(data) <= self._max_bytes else 0

    def _is_text(self, data: bytes, at: int) -> bool:
        first = data[at]
        if (
            first == _TEXT
            and not self._in_message
            and self._least_second <= data[at + 1] < self._least_second + _MASKED
        ):
            return True
        if not first & _CONTROL:
            self._in_message = first < 0x80
        return False


def unmasked(frame: bytes, start: int) -> bytes:
    """Return what a client's frame holds from `start` on."""
    return apply_mask(frame[start:], frame[start - _MASK_BYTES : start])


def text_frame(text: str) -> bytes:
    """Return the frame of a whole text message, as a server sends it."""
    payload = text.encode()
    return b"".join((_header(len(payload), 0), payload))


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of the frame at `at` begins and ends; the end of the header where that is not whole."""
    if len(data) < at + 2:
        return at + 2, at + 2
    second = data[at + 1]
    length, start = second & 0x7F, at + 2
    if length >= 126:
        start += 2 if length == 126 else 8
        if len(data) < start:
            return start, start
        length = int.from_bytes(data[at + 2 : start], "big")
    if second & _MASKED:
        start += _MASK_BYTES
    return start, start + length


class Masks:
    """Masking keys, each used once and drawn from the system's entropy (RFC 6455 §5.3), a pool at a time."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def text_frame(self, text: str) -> bytes:
        """Return the frame of a whole text message, as a client sends it."""
        payload = text.encode()
        if self._at >= len(self._pool):
            self._pool, self._at = secrets.token_bytes(_POOL_BYTES), 0
        mask = self._pool[self._at : self._at + _MASK_BYTES]
        self._at += _MASK_BYTES
        return b"".join((_header(len(payload), _MASKED), mask, apply_mask(payload, mask)))


def _header(length: int, masked: int) -> bytes:
    if length < 126:
        return bytes((_TEXT, masked | length))
    if length < 1 << 16:
        return bytes((_TEXT, masked | 126, length >> 8, length & 0xFF))
    return bytes((_TEXT, masked | 127)) + length.to_bytes(8, "big")
