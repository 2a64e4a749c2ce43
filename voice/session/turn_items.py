"""What a turn of the caller becomes: a user item in the conversation, and then its words (contract 4.6).

turn over ─► committed, item added, item done ─► StartTranscription, where somebody wants the words
"""

from voice.engines.port import TranscriptionRequest
from voice.protocol import server_events as wire_events
from voice.protocol.session_fields import LOGPROBS
from voice.session.core import Core
from voice.session.effects import StartTranscription
from voice.session.items import AudioPart, Message
from voice.session.wire import item_to_wire


class TurnItems:
    """Puts turns into the conversation."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(self, item: Message) -> None:
        """Commit: the item is part of the conversation (contract 4.6)."""
        out, previous_id = self._core.out, self._core.conversation.add(item)
        out.send(
            wire_events.InputAudioBufferCommitted(
                event_id=out.event_id(), previous_item_id=previous_id, item_id=item.id
            )
        )
        wire_item = item_to_wire(item)
        out.send(
            wire_events.ConversationItemAdded(event_id=out.event_id(), previous_item_id=previous_id, item=wire_item)
        )
        out.send(
            wire_events.ConversationItemDone(event_id=out.event_id(), previous_item_id=previous_id, item=wire_item)
        )

    def transcribe(self, item: Message) -> None:
        """Ask for the words, for a client that wants them or for an engine that reads rather than hears."""
        wanted, capabilities = self._core.config.audio.input.transcription, self._core.capabilities
        part = item.parts[0]
        if not capabilities.transcribes or (wanted is None and capabilities.hears_audio):
            return
        if isinstance(part, AudioPart):
            self._core.out.add(StartTranscription(transcription_request(self._core, item.id, part.pcm)))


def transcription_request(
    core: Core, item_id: str, pcm: bytes = b"", *, is_growing: bool = False
) -> TranscriptionRequest:
    """Return what an engine is asked for, by the configuration as it stands."""
    wanted = core.config.audio.input.transcription
    if wanted is None:
        return TranscriptionRequest(item_id, pcm, is_growing=is_growing)
    return TranscriptionRequest(
        item_id,
        pcm,
        wanted.language,
        wanted.prompt,
        model=wanted.model,
        wants_logprobs=LOGPROBS in (core.config.include or ()),
        is_growing=is_growing,
    )
