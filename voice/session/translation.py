"""A translation session, sans-IO: speech goes in, speech of another language comes out (contract 3.8, 4.14).

    open ──session.close──► closing ──all translated──► session.closed, 1000
     │                         └── the client waits; what it still sends is refused
     ├── the translator complains ──► error; it goes on
     ├── its time is over ──► error session_expired, 1001
     └── the translator fails ──► error, 1011

It shares nothing with a conversation but the wire's envelope: no turns, no items, no responses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pybase64

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.engines.port import EngineComplaint
from voice.engines.translator import (
    SourceText,
    Translated,
    TranslatedAudio,
    TranslatedText,
    TranslatorSettings,
)
from voice.errors import ContractError, EngineError
from voice.ids import Ids
from voice.protocol import translation as wire
from voice.protocol.client_events import InputAudioBufferAppend, InvalidEvent
from voice.protocol.server_events import ErrorBody, ErrorEvent, ServerEvent, SessionCreated, SessionUpdated
from voice.protocol.validation import unsupported
from voice.session.conditioning import InputConditioner
from voice.session.effects import CloseSession, SendEvent

STEP_MS = 200
"""Audio is handed on in runs of that length, and `elapsed_ms` counts in them (contract 4.14)."""

_STEP_BYTES = CORE_RATE_HZ * STEP_MS // 1000 * SAMPLE_BYTES
_NORMAL, _GOING_AWAY, _INTERNAL_ERROR = 1000, 1001, 1011


@dataclass(frozen=True, slots=True)
class ConfigureTranslator:
    """The settings changed."""

    settings: TranslatorSettings


@dataclass(frozen=True, slots=True)
class TranslateAudio:
    """Give the translator more of what is said: 24 kHz, 200 ms; less at the very end."""

    frame: AudioFrame


@dataclass(frozen=True, slots=True)
class FinishTranslation:
    """Nothing more will be said; `receive_finished` is due when the rest is translated."""


TranslationEffect = SendEvent | ConfigureTranslator | TranslateAudio | FinishTranslation | CloseSession


class TranslationSession:
    """The machine. Every public `receive_…`, `start` and `handle_timer` returns the effects of that one input."""

    def __init__(
        self, config: wire.TranslationConfig, ids: Ids, *, languages: frozenset[str] | None, max_duration_s: float
    ) -> None:
        """`languages` are those that can be translated into; None: whatever the translator takes.

        Nothing happens before `start`.
        """
        check_language(config.audio.output.language, languages)
        self._config = config
        self._ids = ids
        self._languages = languages
        self._max_duration_s = max_duration_s
        self._ends_at_s: float | None = None
        self._closing = False
        self._conditioner = InputConditioner()
        self._conditioner.configure(config.audio.input.noise_reduction)
        self._rest = b""
        self._handed_samples = 0
        self._effects: list[TranslationEffect] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            wire.UpdateTranslation: self._update,
            InputAudioBufferAppend: self._append,
            wire.CloseTranslation: lambda _: self._close(),
        }

    @property
    def settings(self) -> TranslatorSettings:
        """What the translator is to work by."""
        audio = self._config.audio
        wanted = audio.input.transcription
        return TranslatorSettings(audio.output.language, wanted.model if wanted is not None else None)

    @property
    def is_closing(self) -> bool:
        """True once the client has asked for the end: it is owed the rest, and refused whatever it sends."""
        return self._closing

    def next_deadline(self) -> float | None:
        """When `handle_timer` is due, on the clock of `start`; None: never."""
        return self._ends_at_s

    # --- Inputs ---------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[TranslationEffect]:
        """Begin with `session.created`. `now` in seconds, monotonic."""
        self._ends_at_s = now + self._max_duration_s
        self._send(SessionCreated(event_id=self._event_id(), session=self._config.to_wire()))
        return self._take()

    def handle_timer(self, now: float) -> list[TranslationEffect]:
        """The session's time is over (contract 2.5)."""
        if self._ends_at_s is not None and now >= self._ends_at_s:
            self._ends_at_s = None
            message = f"Your session hit the maximum duration of {round(self._max_duration_s / 60)} minutes."
            self._refuse(ContractError(message, code="session_expired"))
            self._effects.append(CloseSession(_GOING_AWAY, message))
        return self._take()

    def receive_client_event(self, event: wire.TranslationEvent) -> list[TranslationEffect]:
        """What a client sent. What breaks the contract is answered by one `error` event and changes nothing."""
        try:
            if isinstance(event, InvalidEvent):
                raise ContractError(event.message, code=event.code, param=event.param, type=event.type)
            if self._closing:
                raise ContractError("The session is closing: wait for session.closed.", code="session_closing")
            self._handlers[type(event)](event)
        except ContractError as error:
            error.event_id = event.event_id
            self._refuse(error)
        return self._take()

    def receive_translated(self, event: Translated) -> list[TranslationEffect]:
        """The next of what the translator says."""
        event_id, elapsed_ms = self._event_id(), self._elapsed_ms
        match event:
            case SourceText(text) if self._config.audio.input.transcription is not None:
                self._send(wire.InputTranscriptDelta(event_id=event_id, delta=text, elapsed_ms=elapsed_ms))
            case TranslatedText(text):
                self._send(wire.OutputTranscriptDelta(event_id=event_id, delta=text, elapsed_ms=elapsed_ms))
            case TranslatedAudio(frame) if frame.pcm:
                delta = pybase64.b64encode_as_string(frame.pcm)
                self._send(wire.OutputAudioDelta(event_id=event_id, delta=delta, elapsed_ms=elapsed_ms))
            case EngineComplaint(code=code, message=message):
                self._refuse(ContractError(message, code=code, param="session"))
        return self._take()

    def receive_finished(self) -> list[TranslationEffect]:
        """All is translated."""
        self._send(wire.SessionClosed(event_id=self._event_id()))
        self._effects.append(CloseSession(_NORMAL, ""))
        return self._take()

    def receive_failure(self, error: EngineError) -> list[TranslationEffect]:
        """The translator is gone: without turns there is nothing to try again, so the session ends."""
        body = ErrorBody(type="server_error", code=error.code, message=error.message)
        self._send(ErrorEvent(event_id=self._event_id(), error=body))
        self._effects.append(CloseSession(_INTERNAL_ERROR, error.message))
        return self._take()

    # --- Client events --------------------------------------------------------------------------------------------

    def _update(self, event: wire.UpdateTranslation) -> None:
        config = wire.translated_anew(self._config, event.session)
        check_language(config.audio.output.language, self._languages)
        self._config = config
        self._hand_on(self._conditioner.configure(config.audio.input.noise_reduction))
        self._effects.append(ConfigureTranslator(self.settings))
        self._send(SessionUpdated(event_id=self._event_id(), session=config.to_wire()))

    def _append(self, event: InputAudioBufferAppend) -> None:
        if len(event.audio) % SAMPLE_BYTES:
            raise ContractError("Invalid 'audio': expected whole 16-bit samples.", param="audio")
        self._hand_on(self._conditioner.process(event.audio, CORE_RATE_HZ))

    def _close(self) -> None:
        self._closing = True
        self._hand_on(self._conditioner.settle())
        if self._rest:
            self._translate(self._rest)
            self._rest = b""
        self._effects.append(FinishTranslation())

    def _hand_on(self, pcm: bytes) -> None:
        """Cut into runs of 200 ms: what is shorter waits for more."""
        pcm = self._rest + pcm
        whole = len(pcm) // _STEP_BYTES * _STEP_BYTES
        for start in range(0, whole, _STEP_BYTES):
            self._translate(pcm[start : start + _STEP_BYTES])
        self._rest = pcm[whole:]

    def _translate(self, pcm: bytes) -> None:
        frame = AudioFrame(pcm, CORE_RATE_HZ, self._handed_samples)
        self._handed_samples += frame.samples
        self._effects.append(TranslateAudio(frame))

    # --- Events ---------------------------------------------------------------------------------------------------

    @property
    def _elapsed_ms(self) -> int:
        """How much of the speech was there when this was said; whole steps."""
        return -(-self._handed_samples * SAMPLE_BYTES // _STEP_BYTES) * STEP_MS

    def _event_id(self) -> str:
        return self._ids.mint("event")

    def _send(self, event: ServerEvent) -> None:
        self._effects.append(SendEvent(event))

    def _refuse(self, error: ContractError) -> None:
        body = ErrorBody(
            type=error.type, code=error.code, message=error.message, param=error.param, event_id=error.event_id
        )
        self._send(ErrorEvent(event_id=self._event_id(), error=body))

    def _take(self) -> list[TranslationEffect]:
        effects, self._effects = self._effects, []
        return effects


def check_language(language: str | None, languages: frozenset[str] | None) -> None:
    """Raises: ContractError for a language that the translator does not speak."""
    if language is None or languages is None or language in languages:
        return
    param = "session.audio.output.language"
    raise ContractError(unsupported(language, sorted(languages)), code="invalid_value", param=param)
