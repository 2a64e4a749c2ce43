"""Finds where someone speaks in a whole recording, for speech-to-text that is given files.

The embedded speech-to-text writes words for silence and noise, so it is only ever shown what a detector of voice
activity has passed.

    windows of 32 ms:  ....####.###......#####...      # speech
    passages:            |---------|    |-----|        padded, gaps under 0.6 s closed
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from voice.audio.frames import HEARING_RATE_HZ
from voice.audio.vad import WINDOW_SAMPLES, VoiceActivityDetector

THRESHOLD: Final = 0.5
PADDING_S: Final = 0.25
"""Kept on both sides: onsets and soft endings lie outside the windows that count as speech."""
GAP_S: Final = 0.6
"""A shorter pause does not part two passages."""
SHORTEST_S: Final = 0.1

Passage = tuple[float, float]
"""Start and end in seconds."""


def find_passages(pcm_16k: bytes, detector: VoiceActivityDetector[Any]) -> list[Passage]:
    """Return the passages of speech, in order and apart; none for silence. 3 ms for a second: call it in a thread."""
    samples = np.frombuffer(pcm_16k, "<i2")
    windows = np.zeros((-(-len(samples) // WINDOW_SAMPLES), WINDOW_SAMPLES), np.int16)
    windows.reshape(-1)[: len(samples)] = samples
    stream = detector.open_stream()
    speech = [detector.judge([stream], windows[row : row + 1])[0] >= THRESHOLD for row in range(len(windows))]
    return passages_of(speech, len(samples) / HEARING_RATE_HZ)


def passages_of(speech: Sequence[bool], duration_s: float) -> list[Passage]:
    """Return the passages that the verdicts on windows make."""
    window_s = WINDOW_SAMPLES / HEARING_RATE_HZ
    found: list[Passage] = []
    for row, is_speech in enumerate(speech):
        if not is_speech:
            continue
        start, end = row * window_s, (row + 1) * window_s
        if found and start - found[-1][1] < GAP_S:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    spoken = [passage for passage in found if passage[1] - passage[0] >= SHORTEST_S]
    return [(max(0.0, start - PADDING_S), min(duration_s, end + PADDING_S)) for start, end in spoken]
