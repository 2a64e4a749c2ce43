"""The error tree of `sip`.

SipError
├── RemoteFault             the peer's doing; carries the status that answers it
│   ├── SipSyntaxError      a header, a URI or a body breaks its grammar
│   └── NotAcceptable       an offer or an answer that leaves no media in common (488)
└── LocalFault              our own doing
    ├── BuildError          a message was about to be built that must not leave (CR in a value, a bad name)
    ├── StateError          an input that the machine's state forbids
    └── TableFull           a table is at its limit; try again later

Parsing whole messages raises none of these: it returns a `Rejection`. `SipSyntaxError` leaves only the values that
are read on demand (`request.uri`, `request.contacts`), so whoever reads them maps it to its `status` in one place.
"""


class SipError(Exception):
    """Root of everything this package raises on purpose."""


class RemoteFault(SipError):
    """The peer sent something that cannot be used."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        """`status` is the SIP response that fits, should the message be a request."""
        super().__init__(message)
        self.message = message
        self.status = status


class SipSyntaxError(RemoteFault):
    """Text that breaks the grammar of RFC 3261 §25 beyond what leniency can mend."""


class NotAcceptable(RemoteFault):
    """A session description with which no media can flow."""

    def __init__(self, message: str, *, status: int = 488, warning: int = 305) -> None:
        """`warning` is the code for a Warning header (RFC 3261 §20.43): 304 media type, 305 format, 399 other."""
        super().__init__(message, status=status)
        self.warning = warning


class LocalFault(SipError):
    """This side asked for something that cannot be."""


class BuildError(LocalFault):
    """A message or a value that would not be SIP on the wire."""


class StateError(LocalFault):
    """The machine is in a state that does not allow this input."""


class TableFull(LocalFault):
    """A bounded table has no room."""
