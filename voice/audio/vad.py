"""Voice activity: how likely does a window of 32 ms hold speech.

Two detectors behind one Protocol, both batched over streams so that every session's windows go through in one call:

    WebrtcGate    webrtcvad, 3 µs a window      hears a voice in most noises; good for "is it worth asking"
    SileroModel   a neural judge, 35 to 90 µs      tells speech from noise

A detector hears each sample of a stream once and in order. What it remembers of a stream is in the stream's own state
object, which `open_stream` makes and the caller keeps; the detector itself is shared by all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime
import webrtcvad

from voice.audio.frames import HEARING_RATE_HZ, SAMPLE_BYTES

WINDOW_SAMPLES = 512
"""Length of a window at 16 kHz: 32 ms, the only one that Silero takes."""

Windows = npt.NDArray[np.int16]
"""Shape [streams, WINDOW_SAMPLES], 16 kHz."""

StateT = TypeVar("StateT")


class VoiceActivityDetector(Protocol[StateT]):
    """Judges windows of many streams at once."""

    def open_stream(self) -> StateT:
        """Make the state of a new stream. Nothing needs to be closed."""
        ...

    def reset(self, stream: StateT) -> None:
        """Forget what the stream has heard, as after a gap."""
        ...

    def judge(self, streams: Sequence[StateT], windows: Windows) -> list[float]:
        """Return the probability of speech, 0 to 1, of row i for stream i. A stream may stand in a call only once."""
        ...


class GateStream:
    """What webrtcvad remembers of one stream: its noise model, and the samples short of a frame."""

    __slots__ = ("rest", "vad")

    def __init__(self, aggressiveness: int) -> None:
        """`aggressiveness` as `WebrtcGate` takes it."""
        self.vad = webrtcvad.Vad(aggressiveness)
        self.rest = b""


class WebrtcGate:
    """webrtcvad over frames of 20 ms; a window's probability is the share of its frames that hold a voice."""

    _FRAME_BYTES = HEARING_RATE_HZ // 50 * SAMPLE_BYTES

    def __init__(self, aggressiveness: int = 1) -> None:
        """`aggressiveness`: 0 lets most through, 3 filters most."""
        self._aggressiveness = aggressiveness

    def open_stream(self) -> GateStream:
        """Make the state of a new stream."""
        return GateStream(self._aggressiveness)

    def reset(self, stream: GateStream) -> None:
        """Forget the noise model and the waiting samples."""
        stream.vad = webrtcvad.Vad(self._aggressiveness)
        stream.rest = b""

    def judge(self, streams: Sequence[GateStream], windows: Windows) -> list[float]:
        """Return the share of voiced frames among those that each window completes (one or two)."""
        pcm = windows.tobytes()
        window_bytes = WINDOW_SAMPLES * SAMPLE_BYTES
        return [
            self._share(stream, pcm[row * window_bytes : (row + 1) * window_bytes])
            for row, stream in enumerate(streams)
        ]

    def _share(self, stream: GateStream, window: bytes) -> float:
        pending, frame_bytes = stream.rest + window, self._FRAME_BYTES
        frames = len(pending) // frame_bytes
        stream.rest = pending[frames * frame_bytes :]
        is_speech = stream.vad.is_speech
        voiced = 0
        for start in range(0, frames * frame_bytes, frame_bytes):
            voiced += is_speech(pending[start : start + frame_bytes], HEARING_RATE_HZ)
        return voiced / frames


class SileroStream:
    """What Silero remembers of one stream: 1.3 KB."""

    __slots__ = ("context", "state")

    def __init__(self) -> None:
        """A stream that has heard nothing."""
        self.state = np.zeros((2, SileroModel.STATE_SIZE), np.float32)
        self.context = np.zeros(SileroModel.CONTEXT_SAMPLES, np.float32)


class SileroModel:
    """Silero VAD (v5, v6) at 16 kHz on onnxruntime: one thread, no spinning, as it runs in the event loop's thread."""

    STATE_SIZE = 128
    CONTEXT_SAMPLES = 64
    """The model sees the end of the window before, then the window."""

    def __init__(self, model_path: Path) -> None:
        """Load the model, 20 to 50 ms.

        Raises:
            Exception: onnxruntime's own, when the file is missing or no model (`voice.models.manifest` checks first).
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._model: Any = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(HEARING_RATE_HZ, np.int64)

    def open_stream(self) -> SileroStream:
        """Make the state of a new stream."""
        return SileroStream()

    def reset(self, stream: SileroStream) -> None:
        """Forget what the stream has heard."""
        stream.state[:] = 0.0
        stream.context[:] = 0.0

    def judge(self, streams: Sequence[SileroStream], windows: Windows) -> list[float]:
        """Run the model once for all rows; 35 µs a row in a batch of 32, 90 µs alone."""
        count, context = len(streams), self.CONTEXT_SAMPLES
        if not count:
            return []
        audio = np.empty((count, context + WINDOW_SAMPLES), np.float32)
        np.multiply(windows, np.float32(1 / 32768), out=audio[:, context:])
        state = np.empty((2, count, self.STATE_SIZE), np.float32)
        for row, stream in enumerate(streams):
            audio[row, :context] = stream.context
            state[:, row] = stream.state
        probabilities, state = self._model.run(None, {"input": audio, "state": state, "sr": self._rate})
        for row, stream in enumerate(streams):
            stream.context[:] = audio[row, -context:]
            stream.state[:] = state[:, row]
        verdicts: list[float] = probabilities[:, 0].tolist()
        return verdicts
