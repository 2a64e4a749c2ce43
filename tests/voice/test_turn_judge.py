"""Judging turns beside the event loop: bounded, with a deadline, and never a fault of the session."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.turn_judge import TurnJudge

SECOND = AudioFrame(bytes(2 * CORE_RATE_HZ), CORE_RATE_HZ)


class FakeModel:
    def __init__(self, answer: Callable[[npt.NDArray[np.int16]], float]) -> None:
        self._answer = answer
        self.threads: list[str] = []

    def judge(self, pcm_16k: npt.NDArray[np.int16]) -> float:
        self.threads.append(threading.current_thread().name)
        return self._answer(pcm_16k)


async def test_the_model_hears_16_khz_in_a_thread_of_its_own() -> None:
    model = FakeModel(lambda pcm: len(pcm) / 16_000)
    judge = TurnJudge(model)
    assert await judge.judge(SECOND) == 1.0
    assert all(name.startswith("turn-judge") for name in model.threads)
    judge.close()


async def test_the_end_is_what_is_kept_of_an_uneven_length() -> None:
    model = FakeModel(lambda pcm: float(pcm[-1]))
    judge = TurnJudge(model)
    pcm = np.concatenate((np.zeros(CORE_RATE_HZ + 7), np.full(480, 1000))).astype("<i2").tobytes()
    assert await judge.judge(AudioFrame(pcm, CORE_RATE_HZ)) == 1000
    judge.close()


async def test_a_model_that_fails_gives_no_judgement() -> None:
    def fail(_: npt.NDArray[np.int16]) -> float:
        raise RuntimeError("broken")

    judge = TurnJudge(FakeModel(fail))
    assert await judge.judge(SECOND) is None
    assert await judge.judge(SECOND) is None
    assert judge.given_up == 2
    judge.close()


async def test_what_takes_too_long_is_given_up_and_the_next_one_works() -> None:
    gate = threading.Event()

    def wait(_: npt.NDArray[np.int16]) -> float:
        gate.wait(10)
        return 0.9

    judge = TurnJudge(FakeModel(wait), deadline_s=0.01)
    assert await judge.judge(SECOND) is None
    gate.set()
    judge._deadline_s = 10
    assert await judge.judge(SECOND) == 0.9
    judge.close()


async def test_too_many_at_a_time_are_refused_at_once() -> None:
    gate = threading.Event()

    def wait(_: npt.NDArray[np.int16]) -> float:
        gate.wait(10)
        return 0.9

    judge = TurnJudge(FakeModel(wait), queue_limit=2, deadline_s=10)
    waiting = [asyncio.ensure_future(judge.judge(SECOND)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await judge.judge(SECOND) is None
    gate.set()
    assert await asyncio.gather(*waiting) == [0.9, 0.9]
    judge.close()


async def test_what_was_cancelled_before_it_began_is_not_computed() -> None:
    gate, model = threading.Event(), FakeModel(lambda _: float(gate.wait(10)))
    judge = TurnJudge(model, deadline_s=10)
    first = asyncio.ensure_future(judge.judge(SECOND))
    second = asyncio.ensure_future(judge.judge(SECOND))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    gate.set()
    assert await first == 1.0
    assert await judge.judge(SECOND) == 1.0
    assert len(model.threads) == 2
    judge.close()
