"""Those whom only a password could let in: what they learn before they have shown one is next to nothing.

INVITE without credentials     401, and no transaction: a flood of these leaves nothing behind
INVITE with credentials        goes on, to be judged with a transaction
anything else                  no answer, and it counts against the source
a scanner, by its own word     no answer, and a ban
"""

from sip.admission import Admission, Refused
from sip.flow import Flow
from sip.gate import Gate
from sip.message import Request


class Strangers:
    """Meets requests outside of dialogs from addresses that no trunk names."""

    def __init__(self, gate: Gate, admission: Admission, scanners: tuple[str, ...]) -> None:
        """`scanners` are parts of a User-Agent in lower case."""
        self._gate = gate
        self._admission = admission
        self._scanners = scanners

    def meet(self, now: float, request: Request, flow: Flow, reply: Flow) -> bool:
        """Deal with a request; False: let it go on."""
        host = flow.remote[0]
        if self._is_scanner(request):
            self._gate.ban(now, host)
            self._gate.log.note(now, flow.remote, request.method, 0, "scanner, by its User-Agent")
            return True
        if request.method == "INVITE" and request.get("authorization") is None:
            trunks = self._gate.trunks.find(host)
            decision = self._admission.admit(now, request, trunks, flow.transport, host)
            if not isinstance(decision, Refused):
                self._admission.release(decision.trunk)  # it is admitted again, with a transaction
                return False
            if decision.response.status == 401:
                reply.send(decision.response.encode())
            else:
                self._gate.log.note(now, flow.remote, request.method, 0, decision.reason)
            return True
        if request.method in ("INVITE", "ACK", "CANCEL"):
            return False
        self._gate.blame(now, host)
        self._gate.log.note(now, flow.remote, request.method, 0, "stranger asks for something else than a call")
        return True

    def _is_scanner(self, request: Request) -> bool:
        name = (request.get("user-agent") or "").lower()
        return any(part in name for part in self._scanners)
