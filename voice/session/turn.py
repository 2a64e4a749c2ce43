"""The caller's turn: from audio and verdicts on it to a committed user item (contract 4.6, 4.7).

    audio     ....|-- prefix --|=== speech ===|-- silence_ms --|........
    verdicts                   started        silence began    stopped
    events                     speech_started                  speech_stopped, committed, item added, item done
    meanwhile                  interrupt      speculate        answer

With `semantic_vad` a pause is judged (voice/session/pauses.py), and may end the turn before its longest wait is over.
An engine that detects turns gives no verdicts but says when turns start and stop; the rest is the same.
With `turn_detection: null` there is neither: the client commits (push to talk).
"""

from dataclasses import dataclass

from voice.audio.endpointing import (
    Endpointing,
    EndpointingSettings,
    SilenceBegan,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
)
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.errors import ContractError
from voice.protocol import server_events as wire_events
from voice.protocol.session_fields import SemanticVad, ServerVad
from voice.session.core import Core
from voice.session.effects import DetectVoice, DropAudio, HearAudio, JudgeTurn, ResetVoice
from voice.session.growing import GrowingItem
from voice.session.input_buffer import MINIMUM_COMMIT_MS, InputBuffer, to_ms, to_samples
from voice.session.items import AudioPart, Message, pcm_duration_ms
from voice.session.pauses import CONTEXT_MS, LONGEST_WAIT_MS, PREFIX_MS, THRESHOLD, Pause
from voice.session.responder import Responder
from voice.session.turn_items import TurnItems

_KEPT_BEFORE_SPEECH_MS = 1_000
"""Silence kept behind the last verdict, beside the prefix: onsets are confirmed one to three windows late."""

_KEPT_FOR_ENGINE_SAMPLES = to_samples(5_000)
"""The same where the engine detects turns, from the newest audio on: the way there and back is in it."""


@dataclass(frozen=True, slots=True)
class _Utterance:
    item_id: str
    start: int
    """On the session's clock, prefix included."""


class Turn:
    """Listens. Decides when the caller speaks and when a turn is over; who answers is the responder's."""

    def __init__(self, core: Core, responder: Responder) -> None:
        self._core = core
        self._responder = responder
        self._items = TurnItems(core)
        self._buffer = InputBuffer(core.traits.input_capacity_s)
        self._growing = GrowingItem(core, self._buffer)
        self._endpointing: Endpointing | None = None
        self._utterance: _Utterance | None = None
        self._last_utterance_id: str | None = None
        self._pause = Pause()
        self._judged_until = 0
        self._answered_until = 0
        """Where the last turn ended, or the last silence that counted as one."""
        self.reconfigure()

    @property
    def dropped_ms(self) -> int:
        """Input audio lost because nobody committed it in time."""
        return to_ms(self._buffer.dropped_samples)

    def reconfigure(self) -> None:
        """Take the turn detection of the configuration as it stands; a turn under way goes on unless it is off now."""
        detection = self._detection
        if detection is None:
            self._abandon()
        self._growing.reconfigure()
        if detection is None or self._core.capabilities.detects_turns:
            self._endpointing = None
            if self._utterance is not None and self._pause.began is not None:
                self._stop(self._buffer.end)  # an engine that hears silence from its first moment finds no end in it
            return
        settings = _endpointing_settings(detection)
        if self._endpointing is None:
            self._endpointing = Endpointing(settings)
            if self._utterance is not None:
                self._endpointing.take_over()
            self._core.out.add(ResetVoice(self._buffer.end))
        else:
            self._endpointing.settings = settings

    def receive_audio(self, pcm: bytes) -> None:
        """Take the next 24 kHz audio of the caller."""
        frame = AudioFrame(pcm, CORE_RATE_HZ, self._buffer.end)
        self._buffer.append(pcm)
        if self._engine_detects:
            self._core.out.add(DetectVoice(frame))  # the engine hears everything: nothing is to be told twice
            if self._utterance is None:
                self._buffer.keep_last(_KEPT_FOR_ENGINE_SAMPLES)
            return
        if self._endpointing is not None:
            self._core.out.add(DetectVoice(frame))
        if self._utterance is not None:
            self._core.out.add(HearAudio(self._utterance.item_id, frame))
        else:
            self._growing.receive(frame)

    def receive_voice_activity(self, probability: float, window_start: int, window_end: int) -> None:
        """Take the verdict on a window of the session's clock."""
        if self._endpointing is None:
            return
        self._judged_until = window_end
        match self._endpointing.receive(probability, window_start, window_end):
            case SpeechStarted(at_sample=at_sample):
                self._start(at_sample - to_samples(self._prefix_ms), self._core.out.ids.mint("item"))
            case SilenceBegan(at_sample=start):
                self._pause.begin(start)
                self._speculate()
            case SpeechResumed():
                self._pause.end()
                self._responder.drop_speculation()
            case SpeechStopped(at_sample=end):
                self._stop(end)
            case None if self._utterance is None:
                self._buffer.drop_until(window_end - to_samples(self._prefix_ms + _KEPT_BEFORE_SPEECH_MS))
            case None:
                self._ask_whether_complete()

    def receive_judgement(self, item_id: str, silence_start: int, probability: float) -> None:
        """Take the answer to a `JudgeTurn`. One about another turn or an earlier pause is late, and of no use."""
        utterance, endpointing = self._utterance, self._endpointing
        if utterance is None or utterance.item_id != item_id or endpointing is None:
            return
        if self._pause.began != silence_start or not isinstance(self._detection, SemanticVad):
            return
        if probability >= THRESHOLD:
            self._stop(endpointing.finish(self._judged_until).at_sample)

    def receive_start(self, at_sample: int, item_id: str) -> None:
        """The engine heard a turn begin, padding included."""
        if self._engine_detects and self._utterance is None:
            known = item_id in self._core.conversation
            self._start(at_sample, self._core.out.ids.mint("item") if known else item_id)

    def receive_stop(self, at_sample: int) -> None:
        """The engine heard it end."""
        if self._engine_detects and self._utterance is not None:
            self._stop(min(max(at_sample, self._utterance.start), self._buffer.end))

    def commit(self) -> None:
        """The client ends the turn itself. Raises: ContractError when there is too little audio (contract 4.6)."""
        utterance = self._utterance
        start = utterance.start if utterance else self._buffer.start
        kept_ms = (self._buffer.end - start) * 1000 / CORE_RATE_HZ
        if kept_ms < MINIMUM_COMMIT_MS:
            raise _too_little(kept_ms)
        self._responder.drop_speculation()
        item_id = utterance.item_id if utterance else self._growing.take() or self._core.out.ids.mint("item")
        end = self._buffer.end
        self._restart(end)
        self._commit(item_id, start, end)
        self._give_floor_back()

    def time_out(self) -> None:
        """Nobody has spoken for `idle_timeout_ms` (contract 4.12): the silence is a turn, and the agent may speak."""
        detection, out = self._detection, self._core.out
        if not isinstance(detection, ServerVad) or detection.idle_timeout_ms is None:
            return
        self._core.idle.disarm()
        # As much of it as was sent: a client that is muted may send nothing.
        end = self._buffer.end
        start = max(end - to_samples(detection.idle_timeout_ms), self._answered_until)
        self._answered_until = end
        item_id = out.ids.mint("item")
        out.send(
            wire_events.InputAudioBufferTimeoutTriggered(
                event_id=out.event_id(), audio_start_ms=to_ms(start), audio_end_ms=to_ms(end), item_id=item_id
            )
        )
        # Nothing is cut from the buffer: a word that begins just now keeps its first sound.
        self._items.add(Message(item_id, "user", (AudioPart(duration_ms=to_ms(end - start), is_silence=True),)))
        if detection.create_response:
            self._responder.answer_turn()

    def clear(self) -> None:
        """The client drops what was not committed (contract 4.1)."""
        self._abandon()
        self._growing.drop()
        self._buffer.clear()
        self._restart(self._buffer.end)
        out = self._core.out
        out.send(wire_events.InputAudioBufferCleared(event_id=out.event_id()))

    def forget(self) -> None:
        """Let go of the sound."""
        self._buffer.clear()

    # --- Inside ---------------------------------------------------------------------------------------------------

    @property
    def _detection(self) -> ServerVad | SemanticVad | None:
        return self._core.config.audio.input.turn_detection

    @property
    def _engine_detects(self) -> bool:
        return self._core.capabilities.detects_turns and self._detection is not None

    @property
    def _prefix_ms(self) -> int:
        detection = self._detection
        return detection.prefix_padding_ms if isinstance(detection, ServerVad) else PREFIX_MS if detection else 0

    def _start(self, at_sample: int, item_id: str) -> None:
        """Barge-in comes first: sound and thought stop before any event is written (design §4)."""
        detection, out = self._detection, self._core.out
        start = max(at_sample, self._buffer.start)
        utterance = _Utterance(item_id, start)
        interrupts = detection is not None and detection.interrupt_response
        self._core.idle.disarm()
        self._core.conversation.promise(item_id)
        if interrupts:
            self._responder.hush()
        out.send(
            wire_events.InputAudioBufferSpeechStarted(
                event_id=out.event_id(), audio_start_ms=to_ms(start), item_id=utterance.item_id
            )
        )
        self._responder.floor_is_taken = True
        if interrupts:
            self._responder.end_active("turn_detected")
        if self._last_utterance_id is not None:
            out.add(DropAudio(self._last_utterance_id))
        self._utterance, self._last_utterance_id = utterance, utterance.item_id
        if self._engine_detects:
            return  # it has heard all of it
        preroll = AudioFrame(self._buffer.read(start, self._buffer.end), CORE_RATE_HZ, start)
        out.add(HearAudio(utterance.item_id, preroll))

    def _speculate(self) -> None:
        detection = self._detection
        if self._utterance is not None and detection is not None and detection.create_response:
            pcm = self._buffer.read(self._utterance.start, self._buffer.end)
            self._responder.speculate(_spoken(self._utterance.item_id, pcm))

    def _ask_whether_complete(self) -> None:
        utterance = self._utterance
        if utterance is None or not isinstance(self._detection, SemanticVad):
            return
        if self._pause.began is not None and self._pause.is_due(self._judged_until):
            start = max(utterance.start, self._judged_until - to_samples(CONTEXT_MS))
            frame = AudioFrame(self._buffer.read(start, self._judged_until), CORE_RATE_HZ, start)
            self._core.out.add(JudgeTurn(utterance.item_id, self._pause.began, frame))

    def _stop(self, at_sample: int) -> None:
        utterance, out, detection = self._utterance, self._core.out, self._detection
        if utterance is None:
            return
        self._utterance = None
        self._pause.end()
        out.send(
            wire_events.InputAudioBufferSpeechStopped(
                event_id=out.event_id(), audio_end_ms=to_ms(at_sample), item_id=utterance.item_id
            )
        )
        self._commit(utterance.item_id, utterance.start, at_sample)
        self._responder.floor_is_taken = False
        if detection is not None and detection.create_response:
            self._responder.answer_turn()
        else:
            self._responder.drop_speculation()
            self._responder.go_on()

    def _commit(self, item_id: str, start: int, end: int) -> None:
        item = _spoken(item_id, self._buffer.read(start, end))
        self._buffer.drop_until(end)
        self._answered_until = end
        self._core.idle.disarm()
        self._items.add(item)
        self._items.transcribe(item)

    def _restart(self, at_sample: int) -> None:
        self._utterance = None
        self._pause.end()
        if self._endpointing is not None:
            self._endpointing.reset()
        if self._endpointing is not None or self._engine_detects:
            self._core.out.add(ResetVoice(at_sample))

    def _abandon(self) -> None:
        """What is being said is no turn."""
        if self._utterance is not None:
            self._core.out.add(DropAudio(self._utterance.item_id))
            self._core.conversation.take_back(self._utterance.item_id)
            self._utterance = self._last_utterance_id = None
            self._pause.end()
            self._responder.drop_speculation()
        self._give_floor_back()

    def _give_floor_back(self) -> None:
        self._responder.floor_is_taken = False
        self._responder.go_on()


def _endpointing_settings(detection: ServerVad | SemanticVad) -> EndpointingSettings:
    if isinstance(detection, ServerVad):
        return EndpointingSettings(detection.threshold, detection.silence_duration_ms)
    return EndpointingSettings(THRESHOLD, LONGEST_WAIT_MS[detection.eagerness])


def _too_little(kept_ms: float) -> ContractError:
    return ContractError(
        f"Error committing input audio buffer: buffer too small. Expected at least {MINIMUM_COMMIT_MS}ms of audio, but "
        f"buffer only has {kept_ms:.2f}ms of audio.",
        code="input_audio_buffer_commit_empty",
    )


def _spoken(item_id: str, pcm: bytes) -> Message:
    return Message(item_id, "user", (AudioPart(pcm, pcm_duration_ms(len(pcm))),))
