"""Endpointing: where speech starts and stops in a run of judged windows.

The machine, for windows of any one length (32 ms in this service). A window's probability p is read against the
threshold t as one of four verdicts:

    SURE     p ≥ t + 0.6·(1 - t)          0.8 at the default threshold of 0.5
    LIKELY   p ≥ t
    UNSURE   t - 0.15 ≤ p < t             hysteresis: neither starts nor interrupts anything
    QUIET    p < t - 0.15                 but never less than 0.01, so that low thresholds find an end too

    state      SURE                 LIKELY               UNSURE               QUIET
    SILENT     SPEAKING, started    MAYBE                -                    -
    MAYBE      SPEAKING, started    confirm              doubt                doubt
    SPEAKING   -                    -                    -                    PAUSING, silence began
    PAUSING    SPEAKING, resumed    SPEAKING, resumed    lapse                lapse

    confirm    two of the last three windows LIKELY, their mean ≥ t + 0.3·(1 - t): SPEAKING, started; else MAYBE
    doubt      no LIKELY window among the last two: SILENT; else MAYBE
    lapse      `silence_ms` since silence began: SILENT, stopped; else PAUSING

`SilenceBegan` comes with the first quiet window, so that work can start on a guess; it is followed by `SpeechResumed`
or `SpeechStopped`. `SpeechStarted` is certain: there is no event that takes it back.

Measured through `voice/activity.py` (webrtcvad gate, Silero, windows of 32 ms), t = 0.5, 14 recordings of people at six
offsets each, onset by energy:

    onset → SpeechStarted       clean          10 dB SNR      5 dB SNR
    p50 / p90, ms               58 / 112       56 / 110       64 / 135

Starting at any one window ≥ 0.5 would gain 10 ms at the median. False starts on white and pink noise of 30 to 1500 ms,
coughs without a voice of 80 to 250 ms, key clicks and typing, door slams, beeps and breath, each at three levels: 4 of
315; on 20 s of steady noise: none. A cough that ends in a voiced sound is a syllable to the judge: of such made-up
coughs 3 of 27 with 40 ms of voice start speech, 15 of 27 with 60 ms, 19 of 27 with 100 ms.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from voice.audio.frames import CORE_RATE_HZ

_SURE_SHARE = 0.6
_PAIR_SHARE = 0.3
_HYSTERESIS = 0.15
_ALWAYS_QUIET = 0.01


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """What the session's turn detection asks for (contract 3, `server_vad`)."""

    threshold: float = 0.5
    """Probability from which a window counts as speech, 0 to 1."""
    silence_ms: int = 500
    """Silence after which speech has stopped."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Someone speaks."""

    at_sample: int
    """Start of the first window of the run; the onset lies up to a window before or after it."""


@dataclass(frozen=True, slots=True)
class SilenceBegan:
    """A pause, or the end: not known yet."""

    at_sample: int
    """Start of the first quiet window."""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """It was a pause."""

    at_sample: int
    """Start of the window that speaks again."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """It was the end. Speech itself ended where the last `SilenceBegan` said."""

    at_sample: int
    """`silence_ms` after silence began, or where `finish` said."""


EndpointEvent = SpeechStarted | SilenceBegan | SpeechResumed | SpeechStopped


class EndpointState(Enum):
    """Where the machine stands."""

    SILENT = "silent"
    MAYBE = "maybe"
    SPEAKING = "speaking"
    PAUSING = "pausing"


class _Verdict(Enum):
    SURE = 0
    LIKELY = 1
    UNSURE = 2
    QUIET = 3


class _Action(Enum):
    STAY = 0
    START = 1
    SUSPECT = 2
    CONFIRM = 3
    DOUBT = 4
    PAUSE = 5
    RESUME = 6
    LAPSE = 7


class _Window(NamedTuple):
    probability: float
    start: int
    end: int


_TABLE: dict[EndpointState, tuple[_Action, _Action, _Action, _Action]] = {
    EndpointState.SILENT: (_Action.START, _Action.SUSPECT, _Action.STAY, _Action.STAY),
    EndpointState.MAYBE: (_Action.START, _Action.CONFIRM, _Action.DOUBT, _Action.DOUBT),
    EndpointState.SPEAKING: (_Action.STAY, _Action.STAY, _Action.STAY, _Action.PAUSE),
    EndpointState.PAUSING: (_Action.RESUME, _Action.RESUME, _Action.LAPSE, _Action.LAPSE),
}


class Endpointing:
    """The machine for one stream. Pure: judged windows go in, at most one event comes out of each."""

    def __init__(self, settings: EndpointingSettings) -> None:
        """Start in silence."""
        self.settings = settings
        """May be replaced at any time; applies from the next window on."""
        self._state = EndpointState.SILENT
        self._recent: deque[_Window] = deque(maxlen=3)
        self._silence_start = 0

    @property
    def state(self) -> EndpointState:
        """Where the machine stands."""
        return self._state

    def reset(self) -> None:
        """Return to silence without an event, as when the input buffer is cleared or turn detection is switched off."""
        self._state = EndpointState.SILENT
        self._recent.clear()

    def take_over(self) -> None:
        """Begin in the middle of speech that something else has found; its end is found here."""
        self._state = EndpointState.SPEAKING
        self._recent.clear()

    def finish(self, at_sample: int) -> SpeechStopped:
        """End the pause now: something else than silence tells that it was the end."""
        self.reset()
        return SpeechStopped(at_sample)

    def receive(self, probability: float, window_start: int, window_end: int) -> EndpointEvent | None:
        """Take the verdict on the next window; both positions are samples on the stream's 24 kHz clock."""
        window = _Window(probability, window_start, window_end)
        self._recent.append(window)
        match _TABLE[self._state][self._verdict(probability).value]:
            case _Action.START:
                return self._start()
            case _Action.SUSPECT:
                self._state = EndpointState.MAYBE
            case _Action.CONFIRM if self._is_confirmed():
                return self._start()
            case _Action.DOUBT if not any(map(self._is_likely, list(self._recent)[-2:])):
                self._state = EndpointState.SILENT
            case _Action.PAUSE:
                self._state, self._silence_start = EndpointState.PAUSING, window_start
                return SilenceBegan(window_start)
            case _Action.RESUME:
                self._state = EndpointState.SPEAKING
                return SpeechResumed(window_start)
            case _Action.LAPSE:
                return self._lapse(window_end)
        return None

    def _verdict(self, probability: float) -> _Verdict:
        threshold = self.settings.threshold
        if probability < max(threshold - _HYSTERESIS, _ALWAYS_QUIET):
            return _Verdict.QUIET
        if probability < threshold:
            return _Verdict.UNSURE
        return _Verdict.SURE if probability >= threshold + _SURE_SHARE * (1 - threshold) else _Verdict.LIKELY

    def _is_likely(self, window: _Window) -> bool:
        return window.probability >= self.settings.threshold

    def _is_confirmed(self) -> bool:
        threshold = self.settings.threshold
        likely = [window.probability for window in self._recent if self._is_likely(window)]
        return len(likely) >= 2 and sum(likely) / len(likely) >= threshold + _PAIR_SHARE * (1 - threshold)

    def _start(self) -> SpeechStarted:
        self._state = EndpointState.SPEAKING
        first = next(window for window in self._recent if self._is_likely(window))
        self._recent.clear()
        return SpeechStarted(first.start)

    def _lapse(self, now: int) -> SpeechStopped | None:
        stop = self._silence_start + self.settings.silence_ms * CORE_RATE_HZ // 1000
        if now < stop:
            return None
        self._state = EndpointState.SILENT
        self._recent.clear()
        return SpeechStopped(stop)
