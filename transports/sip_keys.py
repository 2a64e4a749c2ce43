"""The keys of a phone: by whatever means they come, each once, and as words for the agent.

rtp ──┐
info ─┼─► KeyPad ─► one key ─► event for the session's watchers
tone ─┘                   └──► KeyLine ─► "1 2 3 #" once the caller pauses or presses #
"""

from typing import Final

from transports.rtp.dtmf import KEYS
from voice.protocol.client_events import ConversationItemCreate, ResponseCreate

_ECHO_S: Final = 0.6
"""A gateway that sends a key by two means does so within this."""
_MAX_KEYS: Final = 64
_NUMBERED: Final = dict(zip(("10", "11", "12", "13", "14", "15"), "*#ABCD", strict=True))
"""What some phones write in `Signal=` for keys that are no digits."""


def read_info(content_type: str, body: bytes) -> str | None:
    """Return the key of a SIP INFO: `application/dtmf-relay` or `application/dtmf`; None when it has none."""
    text = body[:1024].decode("ascii", "replace")
    if content_type == "application/dtmf-relay":
        for line in text.splitlines():
            name, found, value = line.partition("=")
            if found and name.strip().lower() == "signal":
                return _key(value)
        return None
    return _key(text) if content_type == "application/dtmf" else None


def _key(text: str) -> str | None:
    text = text.strip().upper()
    text = _NUMBERED.get(text, text)
    return text if len(text) == 1 and text in KEYS else None


class KeyPad:
    """Takes keys as they come, by several means, and passes on each press once."""

    def __init__(self) -> None:
        """No key was pressed."""
        self._last: tuple[str, str, float] | None = None

    def press(self, key: str, means: str, now_s: float) -> bool:
        """Say whether this is a new press; the same key by another means right after is the same press."""
        last = self._last
        if last is not None and last[0] == key and last[1] != means and now_s - last[2] < _ECHO_S:
            return False
        self._last = key, means, now_s
        return True


class KeyLine:
    """Collects keys until the caller is done."""

    def __init__(self, pause_s: float) -> None:
        """After `pause_s` without a key, or with `#`, a line is complete."""
        self._pause_s = pause_s
        self._keys = ""
        self._due_s: float | None = None

    def press(self, key: str, now_s: float) -> None:
        """Take a key. What goes beyond 64 is dropped."""
        if len(self._keys) < _MAX_KEYS:
            self._keys += key
        self._due_s = now_s if key == "#" else now_s + self._pause_s

    def take(self, now_s: float) -> str | None:
        """Return the line when it is complete."""
        if self._due_s is None or now_s < self._due_s:
            return None
        keys, self._keys, self._due_s = self._keys, "", None
        return keys


def events_of(keys: str) -> tuple[ConversationItemCreate, ResponseCreate]:
    """Return what tells the agent of a line of keys, as a message of the user, and has it answer."""
    text = f"[The caller pressed on the telephone keypad: {' '.join(keys)}]"
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return ConversationItemCreate.model_validate({"item": item}), ResponseCreate()
