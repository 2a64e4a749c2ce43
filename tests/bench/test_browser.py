"""What the bench reads out of a tape that a page recorded."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.browser import judge
from bench.chromium import Tape
from voice.audio.frames import CORE_RATE_HZ
from voice.talk.recording import Recording, from_samples


def tone(duration_s: float) -> NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(duration_s * CORE_RATE_HZ)) / CORE_RATE_HZ)


def silence(duration_s: float) -> NDArray[np.float64]:
    return np.zeros(int(duration_s * CORE_RATE_HZ))


def interruption() -> Recording:
    return from_samples("stop", np.concatenate([silence(0.2), tone(0.5), silence(0.3)]))


def test_onset_end_of_sound_and_what_was_heard_are_read_from_both_sides() -> None:
    caller = np.concatenate([tone(1.0), silence(2.0), tone(0.5), silence(1.5)])  # speaks over the answer at 3.0 s
    agent = np.concatenate([silence(1.3), tone(1.85), silence(1.85)])  # 1.3 s to 3.15 s
    events: list[tuple[float, dict[str, Any]]] = [
        (0.1, {"type": "input_audio_buffer.speech_started"}),
        (1.25, {"type": "output_audio_buffer.started"}),
        (3.06, {"type": "input_audio_buffer.speech_started"}),
        (3.07, {"type": "conversation.item.truncated", "audio_end_ms": 1840}),
    ]
    found = judge(Tape(caller, agent, events), interruption())
    assert found.started_ms == pytest.approx(60, abs=6)
    assert found.silent_ms == pytest.approx(150, abs=6)
    assert found.heard_ms == pytest.approx(1850, abs=6)
    assert found.truncated_ms == 1840


def test_an_answer_that_was_not_cut_is_no_trial() -> None:
    with pytest.raises(ValueError, match="not cut"):
        judge(Tape(silence(1), silence(1), []), interruption())
