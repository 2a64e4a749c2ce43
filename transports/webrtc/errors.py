"""The error tree of `transports.webrtc`.

WebRtcError
├── DescriptionRefused    a peer's SDP that cannot be used: told to whoever sent it
├── CallRefused           a server gave no answer to an offer of ours
├── ConnectFailed         the peer never came, or was not who its SDP said
└── PortsTaken            no media port of the configured range is free (ours)
"""


class WebRtcError(Exception):
    """Root of everything this package raises on purpose."""


class DescriptionRefused(WebRtcError):
    """An offer or answer that no connection comes of."""

    def __init__(self, message: str) -> None:
        """`message` is a sentence for the client's developer."""
        super().__init__(message)
        self.message = message


class CallRefused(WebRtcError):
    """A server that was called said no."""

    def __init__(self, status: int, reason: str) -> None:
        """`status` is that of HTTP; 0 where there was no answer."""
        super().__init__(f"the call was refused with status {status}: {reason}" if status else f"no answer: {reason}")
        self.status = status
        self.reason = reason


class ConnectFailed(WebRtcError):
    """No connection came about."""

    def __init__(self, stage: str) -> None:
        """`stage` is how far it came: "ice" or "dtls"."""
        super().__init__(f"no connection: {stage} failed")
        self.stage = stage


class PortsTaken(WebRtcError):
    """Every port of the range is in use."""

    def __init__(self, first: int, last: int) -> None:
        """The range that was searched, both ends included."""
        super().__init__(f"no free media port in {first}-{last}")
        self.first = first
        self.last = last
