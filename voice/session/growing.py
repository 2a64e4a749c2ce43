"""What is being said in push to talk, written down before the client commits it (contract 3.3).

    append ─► begin: the item gets its id ─► deltas … ─► commit: the same id, and all of it is written down
                                                    └──► clear: nothing of it was an item

Only where the client names a model that streams, and the engine can follow: to look at words that nobody has ended yet
costs work at every half second of sound, and silence is sound, too.
"""

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.session.configuration import STREAMING_MODELS
from voice.session.core import Core
from voice.session.effects import CancelTranscription, DropAudio, HearAudio, StartTranscription
from voice.session.input_buffer import InputBuffer
from voice.session.turn_items import transcription_request


class GrowingItem:
    """The item that the client will commit next. Idle where it is not followed."""

    def __init__(self, core: Core, buffer: InputBuffer) -> None:
        """`buffer` is the turn's: what is in it when following begins is part of the item."""
        self._core = core
        self._buffer = buffer
        self._item_id: str | None = None
        self._last_id: str | None = None

    def receive(self, frame: AudioFrame) -> None:
        """Take the newest audio, which is in the buffer already."""
        if not self._is_wanted:
            return
        out = self._core.out
        if self._item_id is None:
            if self._last_id is not None:
                out.add(DropAudio(self._last_id))
            self._item_id = self._last_id = out.ids.mint("item")
            self._core.conversation.promise(self._item_id)
            start = self._buffer.start
            frame = AudioFrame(self._buffer.read(start, self._buffer.end), CORE_RATE_HZ, start)
            out.add(StartTranscription(transcription_request(self._core, self._item_id, is_growing=True)))
        out.add(HearAudio(self._item_id, frame))

    def take(self) -> str | None:
        """The client commits: return the id that the item has, None where it was not followed."""
        item_id, self._item_id = self._item_id, None
        if item_id is not None:
            self._core.out.add(CancelTranscription(item_id))
        return item_id

    def drop(self) -> None:
        """What was said is no item."""
        item_id = self.take()
        if item_id is not None:
            self._last_id = None
            self._core.out.add(DropAudio(item_id))
            self._core.conversation.take_back(item_id)

    def reconfigure(self) -> None:
        """Take the configuration as it stands."""
        if not self._is_wanted:
            self.drop()

    @property
    def _is_wanted(self) -> bool:
        heard = self._core.config.audio.input
        if heard.turn_detection is not None or not self._core.capabilities.follows_speech:
            return False
        return heard.transcription is not None and heard.transcription.model in STREAMING_MODELS
