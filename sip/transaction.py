"""The table of all transactions: matching (RFC 3261 §17.1.3, §17.2.3), one clock for all of them, a limit.

The caller feeds it parsed messages and the time, and performs the effects that come back. It sends nothing and waits
for nothing: `next_deadline` says when to call `handle_timer`.
"""

import heapq
from itertools import count
from typing import Any

from sip.client_transaction import ClientTransaction
from sip.effects import AckArrived, Effect, Ended, Overloaded, RequestArrived, Transaction
from sip.errors import TableFull
from sip.message import Request, Response
from sip.server_transaction import ServerTransaction
from sip.timers import TIMERS, Timers

MAGIC = "z9hg4bk"
"""Start of a branch that is unique by itself (§8.1.1.7), lower case."""

Key = tuple[str, ...]


class TransactionTable:
    """Client and server transactions by their keys."""

    def __init__(self, timers: Timers = TIMERS, *, limit: int = 20_000) -> None:
        """`limit` bounds both kinds together. A finished INVITE of a lossy peer stays for 32 s."""
        self._timers = timers
        self._limit = limit
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._merge: dict[Key, ServerTransaction] = {}
        self._due: list[tuple[float, int, Transaction]] = []
        self._order = count()

    def __len__(self) -> int:
        """Return how many transactions live."""
        return len(self._clients) + len(self._servers)

    def receive_request(self, now: float, request: Request, *, reliable: bool, flow: Any = None) -> list[Effect]:
        """Match a request or open a transaction for it."""
        key = server_key(request)
        known = self._servers.get(key)
        if request.method == "ACK":
            return self._receive_ack(now, request, known)
        if known is not None:
            return self._after(known, known.receive_request(now, request))
        if len(self) >= self._limit:
            return [Overloaded(request)]
        transaction = ServerTransaction(request, now, reliable=reliable, timers=self._timers, flow=flow)
        self._servers[key] = transaction
        merge = _merge_key(request)
        merged = not request.to.tag and merge in self._merge
        self._merge.setdefault(merge, transaction)
        return self._after(transaction, [RequestArrived(transaction, request, merged)])

    def receive_response(self, now: float, response: Response) -> list[Effect]:
        """Match a response; one that nobody waits for is dropped."""
        known = self._clients.get((response.via.branch, response.cseq.method))
        return [] if known is None else self._after(known, known.receive_response(now, response))

    def send_request(
        self, now: float, request: Request, *, reliable: bool, flow: Any = None
    ) -> tuple[ClientTransaction, list[Effect]]:
        """Open a client transaction for a request that carries its final Via. Raises: TableFull."""
        if len(self) >= self._limit:
            raise TableFull("no room for another transaction")
        transaction = ClientTransaction(request, reliable=reliable, timers=self._timers, flow=flow)
        self._clients[transaction.key] = transaction
        return transaction, self._after(transaction, transaction.start(now))

    def respond(self, now: float, transaction: ServerTransaction, response: Response) -> list[Effect]:
        """Send a response of the core. Raises: StateError when the request has already been answered."""
        return self._after(transaction, transaction.respond(now, response))

    def receive_transport_error(self, transaction: Transaction) -> list[Effect]:
        """Pass on that a message could not be sent."""
        return self._after(transaction, transaction.receive_transport_error())

    def find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        """Return the INVITE that a CANCEL means (§9.2), None when there is none (481)."""
        return self._servers.get(server_key(cancel, "INVITE"))

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due, None when nothing waits."""
        while self._due:
            at, _, transaction = self._due[0]
            if transaction.next_deadline() == at:
                return at
            heapq.heappop(self._due)  # an old date: the transaction has moved on
        return None

    def handle_timer(self, now: float) -> list[Effect]:
        """Let every transaction act whose time has come."""
        effects: list[Effect] = []
        while self._due and self._due[0][0] <= now:
            at, _, transaction = heapq.heappop(self._due)
            if transaction.next_deadline() == at:
                effects += self._after(transaction, transaction.handle_timer(now))
        return effects

    def _receive_ack(self, now: float, ack: Request, known: ServerTransaction | None) -> list[Effect]:
        """Match an ACK with its INVITE; the ACK of a 2xx has a branch of its own and goes to the dialog."""
        if known is None:
            return [AckArrived(ack)]
        answer = known.last_response
        if not _has_magic(ack) and answer is not None and answer.to.tag != ack.to.tag:
            return [AckArrived(ack)]  # RFC 2543 matching: the To tag must be the response's (§17.2.3)
        return self._after(known, known.receive_request(now, ack))

    def _after(self, transaction: Transaction, effects: list[Effect]) -> list[Effect]:
        """Note the next date of a transaction, or forget it when it has ended."""
        if effects and isinstance(effects[-1], Ended):
            self._remove(transaction)
            return effects
        at = transaction.next_deadline()
        # A repeat moves no date: noting it again would let a peer fill the heap.
        if at != transaction.scheduled_at and at is not None:
            heapq.heappush(self._due, (at, next(self._order), transaction))
            if len(self._due) > 64 and len(self._due) > 4 * len(self):
                self._due = [entry for entry in self._due if entry[2].next_deadline() == entry[0]]
                heapq.heapify(self._due)
        transaction.scheduled_at = at
        return effects

    def _remove(self, transaction: Transaction) -> None:
        if isinstance(transaction, ClientTransaction):
            if self._clients.get(transaction.key) is transaction:
                del self._clients[transaction.key]
            return
        self._servers.pop(server_key(transaction.request), None)
        merge = _merge_key(transaction.request)
        if self._merge.get(merge) is transaction:
            del self._merge[merge]


def server_key(request: Request, method: str | None = None) -> Key:
    """Return what a request is matched by; `method` asks for another one's key (the INVITE of a CANCEL).

    With a unique branch: branch, sent-by and method, ACK counting as INVITE. Without one (RFC 2543, or a bare cookie,
    RFC 4475 §3.2.1): Request-URI, tags, Call-ID, CSeq number and topmost Via. The To tag of an ACK is the response's,
    so it stays out of the key and is compared by the table.
    """
    via = request.via
    wanted = method or ("INVITE" if request.method == "ACK" else request.method)
    if _has_magic(request):
        return via.branch, via.sent_by, wanted
    number = str(request.cseq.number)
    to_tag = "" if wanted == "INVITE" else request.to.tag
    return request.uri_text, to_tag, request.from_.tag, request.call_id, number, via.sent_by, via.branch, wanted


def _has_magic(request: Request) -> bool:
    """Say whether the branch is unique by itself; the cookie alone identifies nothing."""
    branch = request.via.branch
    return len(branch) > len(MAGIC) and branch[: len(MAGIC)].lower() == MAGIC


def _merge_key(request: Request) -> Key:
    """Return what two copies of one request share when a proxy has forked it to us twice (§8.2.2.2)."""
    return request.call_id, request.from_.tag, str(request.cseq.number), request.cseq.method
