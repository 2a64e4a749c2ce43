"""An engine that follows a script: for tests, benches, demos, and whoever tests what is built on this service.

    engine = ScriptedEngine(Script.from_yaml("dialogue.yaml"))
    engine = ScriptedEngine(Script())          # no file: one sentence of three seconds for every turn

It behaves like an engine that thinks: words before their sound, delays, tool calls, failures, silence without an end;
and it is cancellable at each of them. `script.py` describes the language. It speaks as fast as its audio is taken, or
at the pace of speech; a thousand sessions share the same bytes.
"""

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
    TranscriptSegment,
)
from voice.engines.script import WORD_MS, Call, Fail, Say, Script, Stall, Stop, Turn, Wait
from voice.engines.script_audio import speech_runs
from voice.errors import EngineError, EngineOverloaded, EngineUnavailable
from voice.session.items import Item, Message, ToolCall, ToolOutput

__all__ = ["Script", "ScriptedEngine", "Sleep"]

Sleep = Callable[[float], Awaitable[None]]
"""Waits that many seconds; a test gives one that only counts."""

_REMEMBERED = 32
_Value = TypeVar("_Value", int, str)
_FAILURES = {"error": EngineError, "unavailable": EngineUnavailable, "overloaded": EngineOverloaded}


class ScriptedEngine:
    """One session's run through a script."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        keeps_requests: bool = False,
    ) -> None:
        """Without a script, `Script()`. `clock` counts seconds; tests give it and `sleep` together.

        `keeps_requests` is for tests: requests hold the caller's audio.
        """
        self.script = script or Script()
        self.settings = EngineSettings()
        self.requests: list[ResponseRequest] = []
        """With `keeps_requests`: what was asked, oldest first."""
        self.heard_samples = 0
        """How much audio came by `hear`."""
        self.is_closed = False
        self._sleep = sleep
        self._clock = clock
        self._keeps_requests = keeps_requests
        self._position = 0
        self._positions: OrderedDict[str, int] = OrderedDict()
        self._transcripts: OrderedDict[str, str] = OrderedDict()
        self._transcribed = 0
        self._calls = itertools.count(1)

    @property
    def capabilities(self) -> Capabilities:
        """It speaks and writes down; it does not listen."""
        return Capabilities(takes_images=self.script.sees)

    async def open(self, settings: EngineSettings) -> None:
        """Nothing has to be loaded."""
        self.settings = settings

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings."""
        self.settings = settings

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Count what is said."""
        self.heard_samples += frame.samples

    def drop(self, item_id: str) -> None:
        """Nothing is kept of an utterance but its words."""

    async def aclose(self) -> None:
        """Nothing has to be let go."""
        self.is_closed = True

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Give the next of the script's transcripts, word by word; a model that diarises names its speaker."""
        await self._wait(self.script.transcript_ms)
        known = self.script.transcript_models
        if known is not None and request.model is not None and request.model not in known:
            raise EngineError(f"There is no transcription model '{request.model[:64]}'.")
        transcript = self._transcript(request.item_id)
        sure: list[TokenLogprob] = []
        for number, word in enumerate(transcript.split(" ")):
            token = word if number == 0 else f" {word}"
            logprobs = (TokenLogprob(token, -0.1),) if request.wants_logprobs else ()
            sure += logprobs
            yield TranscriptDelta(token, logprobs)
        if request.model is not None and "diarize" in request.model:
            yield TranscriptSegment(transcript, "A", 0.0, AudioFrame(request.pcm, CORE_RATE_HZ).duration_ms / 1000)
        yield TranscriptDone(transcript, tuple(sure))

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Play the turn that is due. Asked twice about the same items, it gives the same turn."""
        if self._keeps_requests:
            self.requests.append(request)
        said, tool, output = self._last_words(request.items), _answered_tool(request.items), _last_output(request.items)
        turn = Turn(reply=(Say(say=request.say),)) if request.say is not None else self._turn(request, said, tool)
        await self._wait(self.script.first_token_ms if turn.first_token_ms is None else turn.first_token_ms)
        pts = 0
        for step in turn.reply:
            if isinstance(step, Say):
                # A template of `str.format` would stumble over any other brace.
                text = step.say if request.say is not None else _filled(step.say, said, output)
                yield TextDelta(text)
                if request.settings.output_modality == "audio" and step.audio != "none":
                    async for frame in self._speech(step, text, pts):
                        pts = frame.pts + frame.samples
                        yield AudioDelta(frame)
            elif isinstance(step, Call):
                for event in self._call(step):
                    yield event
            elif isinstance(step, Stop):
                yield EngineDone(step.stop)
                return
            else:
                await self._perform(step)
        yield EngineDone()

    async def _perform(self, step: Wait | Fail | Stall) -> None:
        if isinstance(step, Wait):
            await self._wait(step.wait_ms)
        elif isinstance(step, Fail):
            raise _FAILURES[step.kind](step.fail)
        else:
            await asyncio.Event().wait()

    async def _speech(self, step: Say, text: str, pts: int) -> AsyncGenerator[AudioFrame, None]:
        length_ms = step.audio_ms if step.audio_ms is not None else WORD_MS * max(1, len(text.split()))
        runs = speech_runs(step.audio, step.hz, length_ms, step.chunk_ms or self.script.chunk_ms)
        in_real_time = self.script.speed == "real_time"
        # On an absolute grid: sleeping for the length of each run would add up the lateness of every sleep.
        due_s = self._clock()
        for run in runs:
            frame = AudioFrame(run, CORE_RATE_HZ, pts)
            pts += frame.samples
            yield frame
            due_s += frame.duration_ms / 1000
            await self._sleep(max(due_s - self._clock(), 0) if in_real_time else 0)

    def _call(self, step: Call) -> list[ResponseEvent]:
        call_id, arguments = f"call_{next(self._calls):08x}", step.call.json_text()
        half = len(arguments) // 2
        return [
            ToolCallStarted(call_id, step.call.name),
            ToolCallDelta(call_id, arguments[:half]),
            ToolCallDelta(call_id, arguments[half:]),
            ToolCallDone(call_id, step.call.name, arguments),
        ]

    def _turn(self, request: ResponseRequest, said: str, tool: str | None) -> Turn:
        """Find the turn. A speculation and the request that repeats it are about the same last item."""
        if not request.in_conversation:
            return self.script.turn_for(said, tool, self._position)[0]
        last = request.items[-1].id if request.items else ""
        position = self._positions.get(last, self._position)
        turn, is_ordered = self.script.turn_for(said, tool, position)
        if is_ordered and last not in self._positions:
            self._position += 1
            if last:
                _remember(self._positions, last, position)
        return turn

    def _transcript(self, item_id: str) -> str:
        if item_id not in self._transcripts:
            lines = self.script.transcripts
            line = lines[min(self._transcribed, len(lines) - 1)] if lines else ""
            self._transcribed += 1
            _remember(self._transcripts, item_id, line)
        return self._transcripts[item_id]

    def _last_words(self, items: Sequence[Item]) -> str:
        for item in reversed(items):
            if isinstance(item, Message) and item.role == "user":
                return item.text or self._transcript(item.id)
        return ""

    async def _wait(self, wait_ms: int) -> None:
        if wait_ms:
            await self._sleep(wait_ms / 1000)


def _remember(kept: OrderedDict[str, _Value], key: str, value: _Value) -> None:
    kept[key] = value
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)


def _filled(text: str, said: str, output: str) -> str:
    return text.replace("{said}", said.rstrip(".?!")).replace("{tool_output}", output)


def _answered_tool(items: Sequence[Item]) -> str | None:
    """Return the tool whose output is the last thing in the context."""
    last = items[-1] if items else None
    if isinstance(last, ToolCall) and (last.output is not None or last.error is not None):
        return last.name
    if isinstance(last, ToolOutput):
        calls = [item for item in items if isinstance(item, ToolCall) and item.call_id == last.call_id]
        return calls[-1].name if calls else ""
    return None


def _last_output(items: Sequence[Item]) -> str:
    for item in reversed(items):
        if isinstance(item, ToolOutput):
            return item.output
        if isinstance(item, ToolCall) and (item.output is not None or item.error is not None):
            return item.output if item.output is not None else item.error or ""
    return ""
