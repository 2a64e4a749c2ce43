"""Cuts a server's WebSocket stream at its frames (RFC 6455 §5.2), and makes the one frame that a client sends most.

    bytes ─► feed ─► whole text messages (FIN, unmasked, between two messages)     read here
                └──► everything else, frame by frame                              for a library that knows all rules

No socket in here. What is wrong is not judged: it goes the second way, as it came.
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

    def __init__(self, max_bytes: int) -> None:
        """A longer frame is handed on as it comes, with everything after it."""
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self._wanted = 0
        """Pending bytes from which on there is something to find."""
        self._in_message = False
        """The first frame of a message was seen, and not its last."""
        self._gave_up = False

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the frames that `data` completes, each with the place where its text begins; 0: not a text message."""
        if self._gave_up:
            return [(data, 0)]
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted:
                return []
            data, self._pending = bytes(self._pending), bytearray()
        frames: list[tuple[bytes, int]] = []
        at, size = 0, len(data)
        while at < size:
            start, end = _bounds(data, at)
            if end - start > self._max_bytes:
                self._gave_up = True
                frames.append((data[at:], 0))
                return frames
            if end > size:
                self._pending += data[at:]
                self._wanted = end - at
                break
            frame = data if end - at == size else data[at:end]
            frames.append((frame, start - at if self._is_text(frame) else 0))
            at = end
        return frames

    def _is_text(self, frame: bytes) -> bool:
        first = frame[0]
        if first == _TEXT and not self._in_message and frame[1] < _MASKED:
            return True
        if not first & _CONTROL:
            self._in_message = first < 0x80
        return False


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
        """Return the frame of a whole text message."""
        payload = text.encode()
        length = len(payload)
        if self._at >= len(self._pool):
            self._pool, self._at = secrets.token_bytes(_POOL_BYTES), 0
        mask = self._pool[self._at : self._at + _MASK_BYTES]
        self._at += _MASK_BYTES
        if length < 126:
            header = bytes((_TEXT, _MASKED | length))
        elif length < 1 << 16:
            header = bytes((_TEXT, _MASKED | 126, length >> 8, length & 0xFF))
        else:
            header = bytes((_TEXT, _MASKED | 127)) + length.to_bytes(8, "big")
        return b"".join((header, mask, apply_mask(payload, mask)))
