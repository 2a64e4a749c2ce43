"""The error tree of `transports.rtp`.

RtpError
├── CodecUnavailable    the codec's library is not installed or not found (ours to mend)
├── KeyUnusable         a suite or a key that libsrtp does not take
├── SrtpError           our own packet could not be protected: the leg is over
└── PortsExhausted      no media port is free; refuse the call

A packet that cannot be read is no error: parsers return None or less, and somebody counts it.
"""


class RtpError(Exception):
    """Root of everything this package raises on purpose."""


class CodecUnavailable(RtpError):
    """A codec's library is missing."""

    def __init__(self, codec: str, hint: str) -> None:
        """`hint` says what to install."""
        super().__init__(f"{codec} is not available: {hint}")
        self.codec = codec
        self.hint = hint


class KeyUnusable(RtpError):
    """A suite or a key that libsrtp does not take."""

    def __init__(self, reason: str) -> None:
        """`reason` never holds key material."""
        super().__init__(reason)
        self.reason = reason


class SrtpError(RtpError):
    """A packet of ours could not be protected."""


class PortsExhausted(RtpError):
    """Every port of the range is in use or in quarantine."""

    def __init__(self, first: int, last: int) -> None:
        """The range that was searched, both ends included."""
        super().__init__(f"no free media port in {first}-{last}")
        self.first = first
        self.last = last
