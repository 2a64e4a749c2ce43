"""The live sessions by call id, for whom joins or ends them from aside (contract 1.4, 2.1)."""

import secrets
from dataclasses import dataclass

from transports.http.errors import ApiError
from transports.http.sessions import Place
from transports.shared import SharedTransport
from voice.tooling import PhoneCall


@dataclass(frozen=True, slots=True)
class Call:
    """A live session."""

    transport: SharedTransport
    place: Place
    key_id: str | None
    """Whose it is; nobody else finds it."""
    is_anyones: bool = False
    """True for a phone call, which no key has opened: every key of the service finds it."""
    phone: PhoneCall | None = None
    """What a phone can do besides."""


class Calls:
    """Those of this process."""

    def __init__(self, node: str = "local") -> None:
        """`node` stands in each id, so that nobody has to look up where a call lives."""
        self._node = node
        self._live: dict[str, Call] = {}

    def new_id(self) -> str:
        """Return `rtc_<node>_<hex>`, which nobody can guess."""
        return f"rtc_{self._node}_{secrets.token_hex(16)}"

    def add(self, call_id: str, call: Call) -> None:
        """Let a call be found once its first event was sent."""
        self._live[call_id] = call

    def remove(self, call_id: str) -> None:
        """Forget a call that has ended."""
        self._live.pop(call_id, None)

    def find(self, call_id: str, key_id: str | None, *, joinable: bool = True) -> Call:
        """Return a call of that key; unless `joinable`, one that is not connected yet, too.

        Raises: ApiError 404, whoever else's it may be.
        """
        call = self._live.get(call_id)
        if call is None or call.transport.is_over or (joinable and not call.transport.is_joinable):
            raise call_not_found()
        if call.key_id != key_id and not call.is_anyones:
            raise call_not_found()
        return call


def call_not_found() -> ApiError:
    """Return the refusal in the contract's words (contract 1.4)."""
    return ApiError(404, "No session found for the provided call_id", code="call_id_not_found", param="")
