"""Turn completion for every session of the process: one worker thread, a short queue, a deadline.

    judge ──► queue, at most 32 ──► worker: 24 → 16 kHz, features, model ──► probability
                     └─ full, or not done after a second ──► None: the turn ends by its longest wait

A judgement takes 35 ms of CPU, far over what the event loop may be held for. The thread gives the interpreter
away while onnxruntime and numpy compute (measured in bench/turns.py), so a process of its own would gain nothing; the
model host is none for it, since sessions without embedded models ask as well and its cores are the language model's.
"""

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import structlog

from voice.audio.frames import CORE_RATE_HZ, HEARING_RATE_HZ, AudioFrame
from voice.audio.resample import RowResampler
from voice.audio.turn_completion import TurnCompletionModel

_log = structlog.get_logger(__name__)

_CONVERTER = RowResampler(CORE_RATE_HZ, HEARING_RATE_HZ)
_NICENESS = 5
_BLOCK_SAMPLES = CORE_RATE_HZ // 500
"""The converter takes whole blocks of 2 ms."""


class CompletionModel(Protocol):
    """What the judge asks, in a thread of its own."""

    def judge(self, pcm_16k: npt.NDArray[np.int16]) -> float:
        """Return the probability that the turn is complete. Raises: anything; that judgement is then none."""
        ...


class TurnJudge:
    """Says whether a caller who has fallen silent has finished."""

    def __init__(self, model: CompletionModel, *, queue_limit: int = 32, deadline_s: float = 1.0) -> None:
        """`queue_limit` judgements may wait; one that takes longer than `deadline_s`, waiting included, is given up."""
        self._model = model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="turn-judge", initializer=_give_way)
        self._queue_limit = queue_limit
        self._deadline_s = deadline_s
        self._waiting = 0
        self._has_failed = False
        self.given_up = 0
        """Judgements that came to nothing, since the start."""

    @classmethod
    def load(cls, model_path: Path) -> "TurnJudge":
        """Load the model. Raises: onnxruntime's own errors for a broken file."""
        return cls(TurnCompletionModel(model_path))

    async def judge(self, heard: AudioFrame) -> float | None:
        """Return the probability that what was heard, 24 kHz, is a whole turn; None: it could not be had in time.

        Cancelling is safe; what has not begun is then not computed.
        """
        if self._waiting >= self._queue_limit:
            self.given_up += 1
            return None
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._judge, heard.pcm)
        except TimeoutError:
            self.given_up += 1
        except Exception:  # noqa: BLE001 - a foreign runtime's; the turn ends by its longest wait
            self.given_up += 1
            if not self._has_failed:  # a model that is broken for good fails at every pause
                _log.exception("the turn completion model failed; turns end by their longest wait")
            self._has_failed = True
        finally:
            self._waiting -= 1
        return None

    def close(self) -> None:
        """End the thread, after the judgement under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _judge(self, pcm_24k: bytes) -> float:
        samples = np.frombuffer(pcm_24k, "<i2")
        whole = samples[len(samples) % _BLOCK_SAMPLES :]  # the end matters
        row = np.concatenate((np.zeros(_CONVERTER.history, np.int16), whole))[np.newaxis]
        return self._model.judge(_CONVERTER.convert(row)[0])


def _give_way() -> None:
    """Let the event loop go first where both want a core. Only Linux counts niceness by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
