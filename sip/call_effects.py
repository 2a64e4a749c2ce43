"""What a call asks of its surroundings, in order, performed without awaiting between them."""

from dataclasses import dataclass
from enum import Enum

from sip.media import Agreement
from sip.message import Request, Response
from sip.server_transaction import ServerTransaction


class EndReason(Enum):
    """Why a call is over."""

    REMOTE_BYE = "remote_bye"
    LOCAL_BYE = "local_bye"
    CANCELLED = "cancelled"
    """The caller gave up before the answer."""
    REJECTED = "rejected"
    """We refused it; `status` says how."""
    EXPIRED = "expired"
    """The session timer ran out, or the INVITE's Expires."""
    NO_ACK = "no_ack"
    """The answer was never acknowledged."""
    NO_MEDIA = "no_media"
    """The answer to our offer left nothing to hear."""
    LOST = "lost"
    """The peer no longer knows the call (481), or does not answer (408)."""


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer a request: `TransactionTable.respond`."""

    transaction: ServerTransaction
    response: Response


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Put a Via on and open a client transaction; its responses go to `receive_response` with this request."""

    request: Request


@dataclass(frozen=True, slots=True)
class SendAck:
    """Put a Via with a branch of its own on and send; there is no transaction. Sent again as it is when asked again."""

    request: Request


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """The agreement has changed: move, hold, resume, or start the audio."""

    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The answer has been acknowledged, by the caller or by us."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """The one we call is being told: a 101 to 199 has come."""

    status: int


@dataclass(frozen=True, slots=True)
class InfoArrived:
    """An INFO of the peer, already answered: DTMF of `application/dtmf-relay` and the like."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class InfoAnswered:
    """An INFO of ours has its final response; the next one may be sent."""

    status: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; nothing comes after this but answers to repeats."""

    reason: EndReason
    status: int = 0
    """The SIP status that ended it, if any."""
    detail: str = ""
    """The peer's Reason header (RFC 3326), or a phrase for the log."""


CallEffect = (
    Respond | SendRequest | SendAck | MediaChanged | Confirmed | Ringing | InfoArrived | InfoAnswered | CallEnded
)
