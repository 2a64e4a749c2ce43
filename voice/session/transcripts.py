"""What the caller said, written down: kept with the item, and told to a client that asked for it (contract 3.5)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voice.engines.port import (
    TokenLogprob,
    TokenUsage,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptSegment,
)
from voice.errors import EngineError
from voice.protocol import server_events as wire_events
from voice.protocol.conversation_events import TranscriptionUsage
from voice.protocol.session_fields import LOGPROBS
from voice.session.configuration import STREAMING_MODELS
from voice.session.core import Core
from voice.session.items import AudioPart, Message
from voice.session.usage import text_tokens, user_audio_tokens

PRICED_BY_TIME = ("whisper-1", *STREAMING_MODELS)
"""Transcription models whose usage is told in seconds (contract 4.3); that of others is told in tokens."""


class Transcripts:
    """Takes what an engine writes down. An engine that reads needs the words whether the client asked or not."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._given: dict[str, str] = {}
        """The words of items that were given before the item was committed (contract 3.3)."""

    @property
    def said(self) -> str:
        """The words of the caller's last turns."""
        items = self._core.conversation.items
        return "\n".join([item.text for item in items if isinstance(item, Message) and item.role == "user"][-4:])

    def receive(self, item_id: str, event: TranscriptionEvent) -> None:
        """Take more of an item's words, or all of them."""
        match event:
            case TranscriptDelta() if self._is_wanted and item_id not in self._core.conversation:
                self._note_given(item_id, event.delta)
                self._send_delta(item_id, event)
            case TranscriptDelta() if self._is_wanted and item_id not in self._given:
                self._send_delta(item_id, event)
            case TranscriptSegment() if self._is_wanted:
                self._send_segment(item_id, event)
            case TranscriptDone():
                duration_ms = self._keep(item_id, event.transcript)
                given = self._given.pop(item_id, None)
                if self._is_wanted:
                    if given is not None and event.transcript.startswith(given) and event.transcript != given:
                        self._send_delta(item_id, TranscriptDelta(event.transcript.removeprefix(given)))
                    self._send(item_id, event, duration_ms)

    def receive_failure(self, item_id: str, error: EngineError) -> None:
        """The words could not be had; the item stays. One that is still being said is written down at its commit."""
        if item_id not in self._core.conversation:
            return
        self._given.pop(item_id, None)
        if self._is_wanted:
            out = self._core.out
            why = wire_events.TranscriptionError(type="server_error", code=error.code, message=error.message)
            out.send(
                wire_events.ConversationItemInputAudioTranscriptionFailed(
                    event_id=out.event_id(), item_id=item_id, content_index=0, error=why
                )
            )

    def _note_given(self, item_id: str, delta: str) -> None:
        if item_id not in self._given:  # what was cleared since then is never committed
            self._given = {known: text for known, text in self._given.items() if known in self._core.conversation}
        self._given[item_id] = self._given.get(item_id, "") + delta

    def _send_delta(self, item_id: str, event: TranscriptDelta) -> None:
        out = self._core.out
        out.send(
            wire_events.ConversationItemInputAudioTranscriptionDelta(
                event_id=out.event_id(),
                item_id=item_id,
                content_index=0,
                delta=event.delta,
                **self._sureness(event.logprobs),
            )
        )

    @property
    def _is_wanted(self) -> bool:
        return self._core.config.audio.input.transcription is not None

    def _sureness(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Return the field of log probabilities, for a client that asked for them and an engine that knows them."""
        if not logprobs or LOGPROBS not in (self._core.config.include or ()):
            return {}
        return {
            "logprobs": [
                wire_events.LogProb(token=token, logprob=logprob, bytes=list(token.encode()))
                for token, logprob in logprobs
            ]
        }

    def _send_segment(self, item_id: str, segment: TranscriptSegment) -> None:
        out = self._core.out
        out.send(
            wire_events.ConversationItemInputAudioTranscriptionSegment(
                event_id=out.event_id(),
                item_id=item_id,
                content_index=0,
                id=out.ids.mint("seg"),
                text=segment.text,
                speaker=segment.speaker,
                start=segment.start_s,
                end=segment.end_s,
            )
        )

    def _keep(self, item_id: str, transcript: str) -> int:
        """Note the words with the item; return the length of its audio in ms."""
        item = self._core.conversation.get(item_id)
        if not isinstance(item, Message):
            return 0
        parts = tuple(
            replace(part, transcript=transcript) if isinstance(part, AudioPart) else part for part in item.parts
        )
        self._core.conversation.annotate(replace(item, parts=parts))
        return sum(part.duration_ms for part in parts if isinstance(part, AudioPart))

    def _send(self, item_id: str, done: TranscriptDone, duration_ms: int) -> None:
        usage = self._counted(done.transcript, duration_ms) if done.usage is None else done.usage
        out = self._core.out
        out.send(
            wire_events.ConversationItemInputAudioTranscriptionCompleted(
                event_id=out.event_id(),
                item_id=item_id,
                content_index=0,
                transcript=done.transcript,
                usage=_usage_to_wire(usage),
                **self._sureness(done.logprobs),
            )
        )

    def _counted(self, transcript: str, duration_ms: int) -> TokenUsage | float:
        wanted = self._core.config.audio.input.transcription
        if wanted is not None and wanted.model in PRICED_BY_TIME:
            return duration_ms / 1000
        return TokenUsage(input_audio=user_audio_tokens(duration_ms), output_text=text_tokens(transcript))


def _usage_to_wire(usage: TokenUsage | float) -> TranscriptionUsage:
    if not isinstance(usage, TokenUsage):
        return wire_events.TranscriptionUsageDuration(seconds=usage)
    taken = usage.input_audio + usage.input_text
    return wire_events.TranscriptionUsageTokens(
        total_tokens=taken + usage.output_text,
        input_tokens=taken,
        output_tokens=usage.output_text,
        input_token_details=wire_events.TranscriptionInputTokenDetails(
            text_tokens=usage.input_text, audio_tokens=usage.input_audio
        ),
    )
