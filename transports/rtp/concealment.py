"""Fills in for lost audio by going on with the last period of the waveform, fading (after ITU-T G.711 Appendix I).

    heard      ……good good│ lost   lost   lost │good……
    sounds     ……~~~~~~~~~│~~~~~~~~~~~~\\_______│/~~~~~
                           period repeated, from 10 ms on fading to nothing at 60 ms; 5 ms of crossfade back

Works on 24 kHz PCM behind the decoder, so one implementation does for every codec that has none of its own. A good
frame costs next to nothing: its bytes are kept, and looked at only when something is lost.
"""

from collections import deque

import numpy as np

from transports.rtp.time_scale import Samples, best_lag, crossfade
from voice.audio.frames import CORE_RATE_HZ

_PER_MS = CORE_RATE_HZ // 1000
_HISTORY_SAMPLES = 28 * _PER_MS  # the longest period and the window it is searched with
_MAX_PERIOD = 15 * _PER_MS  # 66 Hz
_MERGE_SAMPLES = 5 * _PER_MS
_HOLD_SAMPLES = 10 * _PER_MS
_FADED_SAMPLES = 60 * _PER_MS


class Concealer:
    """Conceals losses of one stream of 24 kHz PCM."""

    def __init__(self) -> None:
        """Starts with silence behind it."""
        self._recent: deque[bytes] = deque(maxlen=8)
        self._recent_bytes = 0
        self._period: Samples | None = None
        self._invented = 0  # samples since the last good one

    @property
    def is_concealing(self) -> bool:
        """True between a loss and the next good frame."""
        return self._period is not None

    def receive(self, pcm: bytes) -> bytes:
        """Take a good run; return it, its beginning blended with what was invented before."""
        if self._period is not None:
            pcm = self._merge(pcm)
        recent = self._recent
        if len(recent) == recent.maxlen or self._recent_bytes - len(recent[0] if recent else b"") > (
            2 * _HISTORY_SAMPLES
        ):
            self._recent_bytes -= len(recent.popleft())
        recent.append(pcm)
        self._recent_bytes += len(pcm)
        return pcm

    def conceal(self, samples: int) -> bytes:
        """Invent so many samples; silence once the fade is over."""
        if self._invented >= _FADED_SAMPLES:
            return bytes(2 * samples)
        if self._period is None:
            self._period = self._last_period()
        return self._invent(samples, advance=True).tobytes()

    def reset(self) -> None:
        """Forget what was heard: another stream begins, or silence was sent."""
        self._recent.clear()
        self._recent_bytes = 0
        self._period, self._invented = None, 0

    def _last_period(self) -> Samples:
        history = np.frombuffer(b"".join(self._recent), "<i2")[-_HISTORY_SAMPLES:]
        if len(history) < 2 * _MERGE_SAMPLES:
            return np.zeros(_MERGE_SAMPLES, np.int16)
        lag = best_lag(history, max_lag=_MAX_PERIOD)
        period = history[-lag:].copy()
        # The seam of a repetition: let the end of the period run into what came before its start.
        blend = min(lag // 4, len(history) - lag)
        if blend:
            period[-blend:] = crossfade(period[-blend:], history[-lag - blend : len(history) - lag])
        return period

    def _invent(self, samples: int, *, advance: bool) -> Samples:
        assert self._period is not None
        index = np.arange(self._invented, self._invented + samples)
        gain = np.clip((_FADED_SAMPLES - index) / (_FADED_SAMPLES - _HOLD_SAMPLES), 0.0, 1.0)
        invented = np.rint(self._period[index % len(self._period)] * gain).astype(np.int16)
        if advance:
            self._invented += samples
        return invented

    def _merge(self, pcm: bytes) -> bytes:
        good = np.frombuffer(pcm, "<i2")
        blend = min(_MERGE_SAMPLES, len(good))
        merged = crossfade(self._invent(blend, advance=False), good[:blend])
        self._period, self._invented = None, 0
        return merged.tobytes() + pcm[2 * blend :]
