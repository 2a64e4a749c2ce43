"""The calls of an endpoint: found by dialog, by the INVITE's transaction, by a request of ours; one clock for all."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from sip.call import IncomingCall
from sip.caller import OutgoingCall
from sip.client_transaction import ClientTransaction
from sip.dialog import DialogId
from sip.flow import Flow
from sip.headers import Via
from sip.message import Request
from sip.server_transaction import ServerTransaction
from sip.trunk import Trunk

AnyCall = IncomingCall | OutgoingCall


class Record:
    """What the endpoint keeps beside a call."""

    def __init__(self, call: AnyCall, flow: Flow, address: str, trunk: Trunk | None = None) -> None:
        """`address` is ours as this peer reaches it."""
        self.call = call
        self.flow = flow
        """By which the peer was last heard, without a proxy between us: the way back."""
        self.address = address
        self.trunk = trunk
        """To give back at the end; None for calls of ours."""
        self.dialog: DialogId | None = None
        self.invite: ServerTransaction | None = None
        self.via: Via | None = None
        """The topmost Via of the INVITE that came: who spoke to us."""
        self.is_direct = False
        """Whether no proxy stood between when the call began."""
        self.noted_at: float | None = None
        """The date in the table's heap."""

    def heard_from(self, request: Request, transaction: ServerTransaction) -> None:
        """Note by which way the peer's requests come now: a NAT may have changed it."""
        if self.is_direct and len(request.vias) == 1:
            self.flow = transaction.flow


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of ours that waits for its response."""

    record: Record
    request: Request
    """As the call's machine knows it."""
    second_way: Flow | None = None
    """UDP, where a long request was tried over TCP first (RFC 3261 §18.1.1)."""


class CallTable:
    """Registers calls."""

    def __init__(self) -> None:
        self.asked: dict[ClientTransaction, Asked] = {}
        self._records: dict[int, Record] = {}
        self._dialogs: dict[DialogId, Record] = {}
        self._invites: dict[ServerTransaction, Record] = {}
        self._due: list[tuple[float, int, Record]] = []
        self._order = count()

    def __len__(self) -> int:
        """Return how many calls live."""
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """Return the calls that live, as they are now."""
        return iter(tuple(self._records.values()))

    @property
    def is_waiting(self) -> bool:
        """Whether a request of ours has no final response yet."""
        return any(transaction.is_waiting for transaction in self.asked)

    def add(self, record: Record) -> None:
        """Register a call."""
        self._records[id(record.call)] = record
        if record.invite is not None:
            self._invites[record.invite] = record

    def of(self, call: object) -> Record | None:
        """Return a call's record; None when it is over."""
        return self._records.get(id(call))

    def bind(self, record: Record, dialog: DialogId) -> None:
        """Let a dialog's requests find the call."""
        if record.dialog is not None:
            self._dialogs.pop(record.dialog, None)
        record.dialog = dialog
        self._dialogs[dialog] = record

    def by_dialog(self, dialog: DialogId) -> Record | None:
        """Return the call of a dialog."""
        return self._dialogs.get(dialog)

    def by_invite(self, transaction: ServerTransaction) -> Record | None:
        """Return the call that an INVITE began."""
        return self._invites.get(transaction)

    def remove(self, record: Record) -> None:
        """Forget a call that is over. Requests of its own that are still open keep their way."""
        self._records.pop(id(record.call), None)
        if record.dialog is not None:
            self._dialogs.pop(record.dialog, None)
        if record.invite is not None:
            self._invites.pop(record.invite, None)

    # --- time -------------------------------------------------------------------------------------------------------

    def note(self, record: Record) -> None:
        """Note the next date of a call."""
        at = record.call.machine.next_deadline()
        if at is not None and at != record.noted_at:
            heapq.heappush(self._due, (at, next(self._order), record))
            if len(self._due) > 64 and len(self._due) > 4 * len(self):
                self._due = [entry for entry in self._due if entry[2].call.machine.next_deadline() == entry[0]]
                heapq.heapify(self._due)
        record.noted_at = at

    def next_deadline(self) -> float | None:
        """Return when a call has something to do."""
        while self._due:
            at, _, record = self._due[0]
            if record.call.machine.next_deadline() == at:
                return at
            heapq.heappop(self._due)
        return None

    def take_due(self, now: float) -> Iterator[Record]:
        """Yield the calls whose time has come."""
        while self._due and self._due[0][0] <= now:
            at, _, record = heapq.heappop(self._due)
            if record.call.machine.next_deadline() == at:
                record.noted_at = None
                yield record
