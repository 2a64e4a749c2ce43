"""A session to step by hand: events in, effects out; voice activity is given, not computed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import AudioDelta, EngineDone, ResponseRequest, TextDelta
from voice.ids import Ids
from voice.protocol.codec import decode_client_event, encode_server_event
from voice.protocol.session_config import SessionConfig
from voice.session.core import SessionTraits
from voice.session.effects import Effect, PlayAudio, SendEvent, StartResponse
from voice.session.session import Session

WINDOW = 768
"""32 ms at 24 kHz."""


@dataclass
class Stepper:
    """Drives a session and keeps what it did."""

    session: Session
    effects: list[Effect] = field(default_factory=list)

    def take(self, effects: list[Effect]) -> list[Effect]:
        self.effects += effects
        return effects

    def send(self, event: dict[str, Any]) -> list[Effect]:
        import json

        return self.take(self.session.receive_client_event(decode_client_event(json.dumps(event))))

    def hear(self, milliseconds: int, probability: float | None = None, value: bytes = b"\x01\x00") -> list[Effect]:
        """Append audio; with a probability, judge every whole window of it as it comes."""
        import base64

        effects: list[Effect] = []
        left = milliseconds * CORE_RATE_HZ // 1000
        while left > 0:
            run = min(WINDOW, left)
            audio = base64.b64encode(value * run).decode()
            effects += self.send({"type": "input_audio_buffer.append", "audio": audio})
            left -= run
            self.clock += run
            if probability is not None:
                effects += self.take(self.session.receive_voice_activity(probability, self.clock - run, self.clock))
        return effects

    clock: int = 0
    now: float = 0.0

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass; the timers that come due on the way fire when they are."""
        effects: list[Effect] = []
        self.now += seconds
        while (due := self.session.next_deadline()) is not None and due <= self.now:
            effects += self.take(self.session.handle_timer(due))
        self.session.advance(self.now)
        return effects

    def speak(self, milliseconds: int = 640) -> list[Effect]:
        return self.hear(milliseconds, 0.95)

    def fall_silent(self, milliseconds: int = 320) -> list[Effect]:
        return self.hear(milliseconds, 0.02)

    def request(self, index: int = -1) -> ResponseRequest:
        return [effect.request for effect in self.effects if isinstance(effect, StartResponse)][index]

    def answer(self, *events: Any, response_id: str | None = None) -> list[Effect]:
        response_id = response_id or self.request().response_id
        effects: list[Effect] = []
        for event in events:
            effects += self.take(self.session.receive_engine_event(response_id, event))
        return effects

    @property
    def frames(self) -> list[dict[str, Any]]:
        """Every server event as JSON, in order."""
        import json

        return [json.loads(encode_server_event(e.event)) for e in self.effects if isinstance(e, SendEvent)]

    @property
    def played(self) -> list[PlayAudio]:
        return [effect for effect in self.effects if isinstance(effect, PlayAudio)]


def event_types(effects: list[Effect]) -> list[str]:
    return [effect.event.type for effect in effects if isinstance(effect, SendEvent)]


@pytest.fixture
def types() -> Callable[[list[Effect]], list[str]]:
    return event_types


@pytest.fixture
def speech() -> Callable[..., list[Any]]:
    """A spoken answer: words, then audio, clause by clause, then done."""

    def make(*clauses: str, ms: int = 500, done: bool = True) -> list[Any]:
        events: list[Any] = []
        for clause in clauses:
            pcm = b"\x02\x00" * (CORE_RATE_HZ * ms // 1000)
            events += [TextDelta(clause), AudioDelta(AudioFrame(pcm, CORE_RATE_HZ))]
        return [*events, EngineDone()] if done else events

    return make


@pytest.fixture
def make_session() -> Callable[..., Stepper]:
    def make(started: bool = True, **traits: Any) -> Stepper:
        ids = Ids("t")
        config = SessionConfig(id="sess_t", model="test", expires_at=3600)
        stepper = Stepper(Session(config, SessionTraits(**traits), ids))
        if started:
            stepper.take(stepper.session.start(0.0))
        return stepper

    return make


@pytest.fixture
def stepper(make_session: Callable[..., Stepper]) -> Stepper:
    return make_session()
