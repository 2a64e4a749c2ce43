"""A `websockets` connection with a short way for what comes and goes fifty times a second in every session.

A whole text message is read where it arrives, and given to its reader there: no queue, no task to be woken for it.
One that is sent is one write. Handshake, fragments, control frames, closing, and all that is wrong are the library's.
That spares a queue, a future and the waking of a task for each message; `bench.relay` is where it counts.
"""

from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event, State

from voice.framing import Cutter, Masks

_END_OF_HEADERS = b"\r\n\r\n"


class DirectConnection(ClientConnection):
    """Reads by callback; nobody calls `recv`."""

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        on_message: Callable[[bytes], None],
        on_lost: Callable[[int | None, str | None], None],
        max_bytes: int,
        **options: Any,
    ) -> None:
        """Neither callback may raise. `on_lost` is given the close frame's code and reason.

        `max_bytes`: of a message; the library is to have the same limit.
        """
        super().__init__(protocol, **options)
        self._on_message = on_message
        self._on_lost = on_lost
        self._response = b""
        """Of the handshake, up to the end of its headers."""
        self._fragments: list[bytes] = []
        self._cutter = Cutter(max_bytes)
        self._masks = Masks()

    def send_now(self, text: str) -> None:
        """Write one message without waiting; dropped when the connection is not open, as reading will say."""
        if self.protocol.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(self._masks.text_frame(text))

    def data_received(self, data: bytes) -> None:
        """Take what the server sent."""
        if self.protocol.state is State.CONNECTING:
            data = self._shake_hands(data)
            if not data:
                return
        for frame, start in self._cutter.feed(data):
            if start and self.protocol.state is State.OPEN:
                self._on_message(frame[start:])
            else:
                super().data_received(frame)

    def process_event(self, event: Event) -> None:
        """Take what the library has read: messages in fragments among it."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._fragments.append(bytes(event.data))
        if event.fin:
            message, self._fragments = b"".join(self._fragments), []
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that nothing more will come."""
        super().connection_lost(exc)
        self._on_lost(self.close_code, self.close_reason)

    def _shake_hands(self, data: bytes) -> bytes:
        """Give the library what belongs to the handshake; return what came behind it."""
        before = len(self._response)
        self._response += data
        end = self._response.find(_END_OF_HEADERS)
        if end < 0:
            super().data_received(data)
            return b""
        end += len(_END_OF_HEADERS)
        super().data_received(self._response[before:end])
        rest, self._response = self._response[end:], self._response[:end]
        if self.protocol.state is State.CONNECTING and rest:
            super().data_received(rest)  # refused: the rest says why
            return b""
        return rest
