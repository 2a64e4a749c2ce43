"""Messages out of a byte stream (TCP, TLS): framing by Content-Length, keep-alives, limits.

What cannot be framed ends the connection: after a wrong Content-Length nobody knows where the next message starts
(RFC 3261 §18.3, RFC 4475 §3.3.9), and guessing would let a sender smuggle requests.
"""

from dataclasses import dataclass

from sip.message import Rejection, Request, Response
from sip.parser import LIMITS, Limits, content_length, parse_head, refuse


@dataclass(frozen=True, slots=True)
class Ping:
    """A double CRLF between messages: answer with one CRLF (RFC 5626 §3.5.1)."""


class StreamFramer:
    """Cuts one connection's bytes into messages.

    The work is linear in the bytes received, however small the pieces: the search for the end of a head goes on where
    it stopped, and a head that waits for its body is not read twice.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        """One framer per connection and direction."""
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._waiting: Request | Response | None = None
        self._length = 0
        self.failed = False
        """Set by what cannot be framed: send the last answer, then close the connection."""

    @property
    def buffered_bytes(self) -> int:
        """What waits for the rest of its message: a connection that stays here for long is to be closed."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[Request | Response | Rejection | Ping]:
        """Take bytes, return what became complete. After `failed` everything is dropped."""
        found: list[Request | Response | Rejection | Ping] = []
        if self.failed:
            return found
        self._buffer += data
        while not self.failed:
            complete = self._body() if self._waiting is not None else self._head()
            if complete is None:
                break
            found.append(complete)
        return found

    def _head(self) -> Request | Response | Rejection | Ping | None:
        """Take keep-alives or the next head off the buffer."""
        buffer = self._buffer
        if buffer.startswith((b"\r", b"\n")):
            if buffer.startswith(b"\r\n\r\n"):
                del buffer[:4]
                return Ping()
            if len(buffer) < 4 and b"\r\n\r\n".startswith(buffer):
                return None  # half a ping, a pong, or a blank line before a message: the next bytes tell
            while buffer.startswith((b"\r", b"\n")):
                del buffer[:1]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > self._limits.message_bytes:
                return self._fail(Rejection(0, "head is too large"))
            return None
        self._searched = 0
        if end > self._limits.message_bytes:
            return self._fail(Rejection(0, "head is too large"))
        message = parse_head(bytes(buffer[:end]), self._limits)
        if isinstance(message, Rejection):
            return self._after_refusal(message, end + 4)
        length = content_length(message)
        if isinstance(length, Rejection):
            return self._fail(length)
        if length is None:
            return self._fail(refuse(message, 400, "Content-Length is missing on a stream"))
        if end + length > self._limits.message_bytes:
            return self._fail(refuse(message, 513, "message is too large"))
        del buffer[: end + 4]
        self._waiting, self._length = message, length
        return self._body()

    def _body(self) -> Request | Response | None:
        """Take the body off the buffer once it is there in full."""
        message = self._waiting
        if message is None or len(self._buffer) < self._length:
            return None
        message.body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._waiting = None
        return message

    def _after_refusal(self, rejection: Rejection, start: int) -> Rejection | None:
        """Skip a refused message if its size is known, else give the connection up."""
        length = None if rejection.request is None else content_length(rejection.request)
        if not isinstance(length, int) or start + length > self._limits.message_bytes:
            return self._fail(rejection)
        # Its body may not be here yet: only a complete one can be skipped without another state.
        if len(self._buffer) < start + length:
            return self._fail(rejection)
        del self._buffer[: start + length]
        return rejection

    def _fail(self, rejection: Rejection) -> Rejection:
        """Give the connection up."""
        self.failed = True
        self._buffer.clear()
        return rejection
