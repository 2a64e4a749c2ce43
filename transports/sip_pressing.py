"""Presses keys at the other end of a call, by the first of several means that it takes.

rtp      RFC 4733 events in the stream, where the other side has agreed to them
info     INFO with `application/dtmf-relay`, unless its Allow leaves INFO out; a refused one goes on by the next means
inband   tones in the audio, which everything hears and few machines expect
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

from transports.rtp.dtmf import PAUSE, check_keys

Means = Literal["rtp", "info", "inband"]

ALL_MEANS: Final[tuple[Means, ...]] = ("rtp", "info", "inband")

_KEY_S: Final = 0.1
_GAP_S: Final = 0.1
_PAUSE_S: Final = 0.5


def write_info(key: str) -> tuple[str, bytes]:
    """Return type and body of the INFO that presses a key."""
    return "application/dtmf-relay", f"Signal={key}\r\nDuration={round(_KEY_S * 1000)}\r\n".encode()


class InfoKeys:
    """Keys that go out by INFO, one at a time: each waits for the answer to the one before it, and for its length."""

    def __init__(self) -> None:
        """Nothing is to be pressed."""
        self._keys: deque[str] = deque()
        self._sent = ""
        self._due_s = 0.0

    @property
    def is_sending(self) -> bool:
        """True until the last key has been answered."""
        return bool(self._keys or self._sent)

    def send(self, keys: str) -> None:
        """Queue keys; a comma is a pause of half a second. Raises: ValueError."""
        check_keys(keys, waiting=len(self._keys))
        self._keys.extend(keys.upper())

    def take(self, now_s: float) -> str | None:
        """Return the key to send now; `answered` or `give_up` must follow, as every request has an end."""
        if now_s < self._due_s or self._sent or not self._keys:
            return None
        key = self._keys.popleft()
        if key == PAUSE:
            self._due_s = now_s + _PAUSE_S
            return None
        self._sent = key
        return key

    def answered(self, now_s: float) -> None:
        """The key was taken: the next one follows after its length and a gap."""
        if self._sent:
            self._sent, self._due_s = "", now_s + _KEY_S + _GAP_S

    def give_up(self) -> str:
        """Return the keys that were not taken, the refused one first, and forget them."""
        keys = self._sent + "".join(self._keys)
        self._sent, self._due_s = "", 0.0
        self._keys.clear()
        return keys


class KeySender:
    """Presses keys for one call."""

    def __init__(
        self,
        means: Sequence[Means],
        *,
        press_events: Callable[[str], bool],
        press_tones: Callable[[str], bool],
        takes_info: Callable[[], bool],
        send_info: Callable[[str, bytes], None],
    ) -> None:
        """The first two return False where that is not possible; `send_info` is called once the last is answered."""
        self._means = tuple(means)
        self._press_events = press_events
        self._press_tones = press_tones
        self._takes_info = takes_info
        self._send_info = send_info
        self._infos = InfoKeys()

    def press(self, keys: str) -> Means | None:
        """Press keys; return by what means, None where the other side takes none of them. Raises: ValueError."""
        check_keys(keys)
        return self._press(keys, self._means)

    def _press(self, keys: str, means: Sequence[Means]) -> Means | None:
        for one in means:
            if one == "rtp" and self._press_events(keys):
                return one
            if one == "info" and self._takes_info():
                self._infos.send(keys)
                return one
            if one == "inband" and self._press_tones(keys):
                return one
        return None

    def handle_tick(self, now_s: float) -> None:
        """Send the key whose time has come."""
        if self._infos.is_sending and (key := self._infos.take(now_s)) is not None:
            self._send_info(*write_info(key))

    def info_answered(self, status: int, now_s: float) -> Means | None:
        """Go on; after a refusal by the next means, which is returned, None where there is none."""
        if status < 300:
            self._infos.answered(now_s)
            return "info"
        return self._press(self._infos.give_up(), self._means[self._means.index("info") + 1 :])
