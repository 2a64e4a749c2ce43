"""What the transaction machines ask of their surroundings. Perform them in order, without awaiting between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sip.message import Request, Response

if TYPE_CHECKING:
    from sip.client_transaction import ClientTransaction
    from sip.server_transaction import ServerTransaction

Transaction: TypeAlias = "ClientTransaction | ServerTransaction"


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send by the transaction's flow. Should it fail, tell the transaction (`receive_transport_error`)."""

    transaction: Transaction
    message: Request | Response


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A new request for the user agent core; answer it by the transaction."""

    transaction: "ServerTransaction"
    request: Request
    merged: bool = False
    """The same request came by another way before (§8.2.2.2): answer 482."""


@dataclass(frozen=True, slots=True)
class AckArrived:
    """An ACK for a 2xx: it belongs to the dialog, not to a transaction. One nobody knows is dropped."""

    request: Request


@dataclass(frozen=True, slots=True)
class ResponseArrived:
    """A response for the user agent core; repeated 2xx to INVITE included."""

    transaction: "ClientTransaction"
    response: Response


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No final response came, or no ACK: treat a request of ours as answered with 408."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """The message could not be sent: treat a request of ours as answered with 503."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Ended:
    """The transaction is over and forgotten."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The table is full: answer statelessly with 503 and Retry-After, or be silent."""

    request: Request


Effect = SendMessage | RequestArrived | AckArrived | ResponseArrived | TimedOut | TransportFailed | Ended | Overloaded
