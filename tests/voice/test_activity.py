import asyncio
import logging
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from voice.activity import CORE_WINDOW_SAMPLES, MAX_BATCH_WINDOWS, MAX_WAITING_SAMPLES, ActivityService, ActivityStream
from voice.audio.endpointing import EndpointEvent, Endpointing, EndpointingSettings, SpeechStarted, SpeechStopped
from voice.audio.frames import AudioFrame
from voice.audio.resample import Resampler
from voice.audio.vad import Windows
from voice.errors import ModelError
from voice.models.manifest import find

W = CORE_WINDOW_SAMPLES
Verdict = tuple[float, int, int]


class FakeGate:
    """Voiced where a window ends above zero; remembers nothing."""

    def __init__(self) -> None:
        self.resets = 0

    def open_stream(self) -> None:
        return None

    def reset(self, stream: None) -> None:
        self.resets += 1

    def judge(self, streams: Sequence[None], windows: Windows) -> list[float]:
        return [float(row[-1] > 0) for row in windows]


class FakeJudge:
    """Says the level of a window / 1000 and writes down what each stream heard since its reset."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def open_stream(self) -> list[int]:
        return []

    def reset(self, stream: list[int]) -> None:
        stream.clear()

    def judge(self, streams: Sequence[list[int]], windows: Windows) -> list[float]:
        self.calls.append(len(streams))
        levels = [int(row[-1]) for row in windows]
        for stream, level in zip(streams, levels, strict=True):
            stream.append(level)
        return [level / 1000 for level in levels]


class Scene:
    """A service with fake detectors, and what its streams delivered."""

    def __init__(self, streams: int = 1) -> None:
        self.gate, self.judge = FakeGate(), FakeJudge()
        self.service = ActivityService(None, gate=self.gate, judge=self.judge)
        self.delivered: list[list[Verdict]] = [[] for _ in range(streams)]
        self.streams = [self.open(verdicts) for verdicts in self.delivered]

    def open(self, verdicts: list[Verdict]) -> ActivityStream:
        return self.service.open_stream(lambda probability, start, end: verdicts.append((probability, start, end)))


def audio(*levels: int, start: int = 0, samples: int = W) -> AudioFrame:
    """Make windows of one constant level each."""
    pcm = np.repeat(np.array(levels, "<i2"), samples).tobytes()
    return AudioFrame(pcm, 24_000, start)


async def settle() -> None:
    """Let everything that is due run; batches of a few streams are under 2 ms apart."""
    for _ in range(200):
        await asyncio.sleep(0)


async def drained(*streams: ActivityStream) -> None:
    """Wait until nothing is left to judge."""
    for _ in range(100_000):
        if all(stream.waiting_samples < W for stream in streams):
            return
        await asyncio.sleep(0)
    raise AssertionError("the service does not get on")


async def test_a_window_is_judged_on_the_loop_and_not_in_push() -> None:
    scene = Scene()
    scene.streams[0].push(audio(900))
    assert scene.delivered[0] == []
    await settle()
    assert scene.delivered[0] == [(0.9, 0, W)]


async def test_frames_of_20_ms_become_windows_of_32_with_their_own_clock() -> None:
    scene = Scene()
    for index in range(8):
        scene.streams[0].push(audio(700, start=1000 + index * 480, samples=480))
        await settle()
    assert [verdict[1:] for verdict in scene.delivered[0]] == [(1000 + i * W, 1000 + (i + 1) * W) for i in range(5)]
    assert scene.streams[0].waiting_samples == 0


async def test_a_recording_sent_at_once_is_judged_fully_and_in_order() -> None:
    scene = Scene()
    levels = [100 + index for index in range(300)]
    scene.streams[0].push(audio(*levels))
    await drained(scene.streams[0])
    assert [verdict[1] for verdict in scene.delivered[0]] == [index * W for index in range(300)]
    assert [round(verdict[0] * 1000) for verdict in scene.delivered[0]] == levels
    assert scene.service.dropped_windows == 0


async def test_a_fast_sender_does_not_hold_up_another() -> None:
    scene = Scene(2)
    scene.streams[0].push(audio(*[500] * 1000))
    scene.streams[1].push(audio(800))
    await settle()
    assert scene.delivered[1] == [(0.8, 0, W)]
    assert len(scene.delivered[0]) < 1000


async def test_windows_of_all_streams_go_through_the_judge_in_one_call() -> None:
    scene = Scene(20)
    for stream in scene.streams:
        stream.push(audio(600))
    await drained(*scene.streams)
    assert scene.judge.calls == [20]


async def test_a_batch_is_bounded() -> None:
    scene = Scene(MAX_BATCH_WINDOWS + 5)
    for stream in scene.streams:
        stream.push(audio(600))
    await drained(*scene.streams)
    assert scene.judge.calls == [MAX_BATCH_WINDOWS, 5]


async def test_a_closed_gate_delivers_zero_and_asks_nobody() -> None:
    scene = Scene()
    scene.streams[0].push(audio(0, 0, 0))
    await settle()
    assert scene.delivered[0] == [(0.0, index * W, (index + 1) * W) for index in range(3)]
    assert scene.judge.calls == []


async def test_the_judge_hears_two_windows_from_before_the_gate_opened() -> None:
    scene = Scene()
    scene.streams[0].push(audio(-3, -2, -1, 900, 950))
    await settle()
    assert scene.streams[0]._judge == [-2, -1, 900, 950]
    assert [verdict[0] for verdict in scene.delivered[0]] == [0.0, 0.0, 0.0, 0.9, 0.95]


async def test_the_gate_stays_open_for_ten_windows_from_the_last_voiced_one() -> None:
    scene = Scene()
    scene.streams[0].push(audio(900, *[-500] * 12))
    await settle()
    judged = [verdict[0] for verdict in scene.delivered[0]]
    assert judged == [0.9, *[-0.5] * 9, 0.0, 0.0, 0.0]


async def test_the_judge_goes_on_where_it_was_when_the_gate_opens_again() -> None:
    scene = Scene()
    scene.streams[0].push(audio(900, *[-5] * 9, -6, -7, -8, -9, 800))
    await settle()
    assert scene.streams[0]._judge == [900, *[-5] * 9, -8, -9, 800]


async def test_a_reset_makes_the_judge_start_anew() -> None:
    scene = Scene()
    scene.streams[0].push(audio(900, 900))
    await settle()
    scene.streams[0].reset(0)
    scene.streams[0].push(audio(700))
    await settle()
    assert scene.streams[0]._judge == [700]


async def test_a_reset_drops_what_waits_and_moves_the_clock() -> None:
    scene = Scene()
    scene.streams[0].push(audio(900, 900))
    scene.streams[0].reset(50_000)
    scene.streams[0].push(audio(700, start=50_000))
    await settle()
    assert scene.delivered[0] == [(0.7, 50_000, 50_000 + W)]
    assert scene.gate.resets == 1


async def test_a_reset_from_within_a_verdict_is_kept() -> None:
    scene = Scene(0)
    heard: list[int] = []

    def deliver(probability: float, start: int, end: int) -> None:
        heard.append(start)
        stream.reset(10 * W)

    stream = scene.service.open_stream(deliver)
    stream.push(audio(900, 900, 900))
    await settle()
    assert heard == [0]


async def test_a_verdict_on_audio_from_before_a_reset_is_not_delivered() -> None:
    scene = Scene(0)
    heard: list[str] = []

    def deliver_first(probability: float, start: int, end: int) -> None:
        heard.append("first")
        second.reset(0)

    first = scene.service.open_stream(deliver_first)
    second = scene.service.open_stream(lambda *_: heard.append("second"))
    first.push(audio(900))
    second.push(audio(900))
    await settle()
    assert heard == ["first"]


async def test_a_gap_in_the_clock_drops_the_waiting_part_of_a_window() -> None:
    scene = Scene()
    scene.streams[0].push(audio(300, samples=500))
    scene.streams[0].push(audio(900, start=5000))
    await settle()
    assert scene.delivered[0] == [(0.9, 5000, 5000 + W)]


async def test_a_closed_stream_delivers_nothing_and_is_forgotten() -> None:
    scene = Scene(2)
    scene.streams[0].push(audio(900))
    scene.streams[0].close()
    scene.streams[0].close()
    scene.streams[0].push(audio(900, start=W))
    scene.streams[1].push(audio(900))
    await settle()
    assert scene.delivered == [[], [(0.9, 0, W)]]
    assert scene.service.stream_count == 1


async def test_a_stream_has_at_most_a_minute_waiting() -> None:
    scene = Scene()
    stream = scene.streams[0]
    stream.push(AudioFrame(bytes(2 * MAX_WAITING_SAMPLES), 24_000))
    assert scene.service.dropped_windows == 0
    stream.push(audio(900, 900, start=MAX_WAITING_SAMPLES))
    assert scene.service.dropped_windows == 2
    assert stream.waiting_samples == MAX_WAITING_SAMPLES
    await settle()
    assert scene.delivered[0][0] == (0.0, 2 * W, 3 * W)
    stream.close()


async def test_a_judge_that_fails_once_leaves_nobody_deaf() -> None:
    class Failing(FakeJudge):
        def judge(self, streams: Sequence[list[int]], windows: Windows) -> list[float]:
            if not self.calls:
                self.calls.append(0)
                raise RuntimeError("no memory")
            return super().judge(streams, windows)

    service = ActivityService(None, gate=FakeGate(), judge=Failing())
    verdicts: list[float] = []
    stream = service.open_stream(lambda probability, *_: verdicts.append(probability))
    stream.push(audio(500, 500, 500))
    await settle()
    assert verdicts == [1.0, 0.5, 0.5]  # the gate's share, then the judge's own
    stream.close()


async def test_a_judge_that_always_fails_is_told_once_and_the_gate_decides(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeJudge):
        def judge(self, streams: Sequence[list[int]], windows: Windows) -> list[float]:
            raise RuntimeError("no memory")

    service = ActivityService(None, gate=FakeGate(), judge=Broken())
    verdicts: list[float] = []
    stream = service.open_stream(lambda probability, *_: verdicts.append(probability))
    stream.push(audio(0, 500, 500, 0))
    with caplog.at_level(logging.ERROR):
        await settle()
    assert verdicts == [0.0, 1.0, 1.0, 0.0]
    assert caplog.text.count("the gate's verdict stands in") == 1
    stream.close()


async def test_a_gate_that_fails_once_costs_one_batch_and_leaves_nobody_deaf() -> None:
    class Failing(FakeGate):
        is_broken = True

        def judge(self, streams: Sequence[None], windows: Windows) -> list[float]:
            if self.is_broken:
                self.is_broken = False
                raise RuntimeError("no memory")
            return super().judge(streams, windows)

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    service = ActivityService(None, gate=Failing(), judge=FakeJudge())
    verdicts: list[float] = []
    stream = service.open_stream(lambda probability, *_: verdicts.append(probability))
    stream.push(audio(500))
    await settle()
    stream.push(audio(600, start=W))
    await settle()
    assert verdicts == [0.6]
    assert len(failures) == 1
    stream.close()


async def test_a_session_that_fails_on_a_verdict_does_not_harm_the_others(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(0)

    def fail(probability: float, start: int, end: int) -> None:
        raise RuntimeError("session is broken")

    verdicts: list[Verdict] = []
    broken = scene.service.open_stream(fail)
    sound = scene.open(verdicts)
    for stream in (broken, sound):
        stream.push(audio(900, 800))
    with caplog.at_level(logging.ERROR):
        await settle()
    assert verdicts == [(0.9, 0, W), (0.8, W, 2 * W)]
    assert "session is broken" in caplog.text
    assert scene.service.stream_count == 1


async def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000"):
        Scene().streams[0].push(AudioFrame(bytes(640), 16_000))


async def test_without_a_model_three_voiced_windows_are_certain_speech() -> None:
    service = ActivityService(None, gate=FakeGate())
    verdicts: list[float] = []
    stream = service.open_stream(lambda probability, start, end: verdicts.append(round(probability, 2)))
    stream.push(audio(0, 900, 900, 900, 0, 0, 0))
    await settle()
    assert verdicts == [0.0, 0.33, 0.67, 1.0, 0.67, 0.33, 0.0]
    assert not service.has_judge


RECORDINGS = Path(__file__).parents[3] / "shared" / "audio"


def spoken(name: str) -> npt.NDArray[np.int16]:
    if not (RECORDINGS / f"{name}.wav").is_file():
        pytest.skip(f"needs the recordings in {RECORDINGS}")
    with wave.open(str(RECORDINGS / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


async def test_real_speech_through_the_real_detectors_starts_and_stops() -> None:
    try:
        service = ActivityService(find("silero-vad"))
    except ModelError as error:
        pytest.skip(f"needs the Silero model: {error.command}")
    silence = np.zeros(16_000, np.int16)
    scene = np.concatenate([silence, spoken("goforward"), silence]).astype("<i2").tobytes()
    machine, events = Endpointing(EndpointingSettings(0.5, 500)), list[EndpointEvent]()

    def deliver(probability: float, start: int, end: int) -> None:
        if event := machine.receive(probability, start, end):
            events.append(event)

    stream = service.open_stream(deliver)
    stream.push(AudioFrame(Resampler(16_000, 24_000).process(scene), 24_000))
    await drained(stream)
    assert isinstance(events[0], SpeechStarted)
    assert abs(events[0].at_sample / 24_000 - 1.505) < 0.06
    assert isinstance(events[-1], SpeechStopped)
    assert sum(isinstance(event, SpeechStarted) for event in events) == 1
    stream.close()
