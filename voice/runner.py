"""One live session: reads the transport, performs effects, feeds results back (design §4, §5).

    transport ──events, frames──► Session ──effects──► transport, engine, voice activity, tools
                                     ▲                        │
                                     └──── results ───────────┘

Effects are performed in order and without an await; what they start runs as named tasks of one TaskGroup.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from voice.activity import ActivityService
from voice.engines.port import AudioDelta, Engine, LiveEngine
from voice.metrics import SessionMeter
from voice.named_tasks import Alarm, NamedTasks
from voice.protocol.client_events import ClientEvent
from voice.session import effects as do
from voice.session.appends import is_short, slices
from voice.session.session import Session
from voice.session_work import Input, SessionWork, ToolWork
from voice.tooling import PhoneCall, RemoteTools, ServiceTools
from voice.transport import Transport
from voice.turn_finding import TurnFinder
from voice.turn_judge import TurnJudge


class Runner:
    """Runs a session until its client is gone, its time is over, or `stop` is called."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        transport: Transport,
        activity: ActivityService,
        tools: ServiceTools,
        meter: SessionMeter,
        *,
        agent_name: str = "",
        remote: RemoteTools | None = None,
        judge: TurnJudge | None = None,
        phone: PhoneCall | None = None,
    ) -> None:
        """`remote` reaches the MCP servers of this session; None goes with `SessionTraits.serves_mcp=False`.

        So does `judge`, which tells whether a turn is complete, with `serves_semantic_vad`. `phone` is for tools.
        """
        self._session = session
        self._engine = engine
        self._live = engine if isinstance(engine, LiveEngine) else None
        self._transport = transport
        self._meter = meter
        self._remote = remote
        self._work = SessionWork(self._step, session, engine, transport, judge)
        self._tool_work = ToolWork(self._step, session, tools, remote, meter, agent_name=agent_name, phone=phone)
        voice = activity.open_stream(self._receive_voice_activity)
        self._turns = TurnFinder(voice, self._live, lambda: session.engine_detects_turns)
        self._pending: deque[do.Effect] = deque()
        self._is_performing = False
        self._over = asyncio.Event()
        self._close_code, self._close_reason = 1000, ""
        self._alarm = Alarm(self._receive_timer)
        self._running: NamedTasks | None = None
        self._fault: Exception | None = None
        self._now_s: Callable[[], float] = time.monotonic
        """The loop's clock, once there is a loop: asking for the loop is a system call, each time."""
        self._perform_by_type = self._performers()

    async def run(self) -> None:
        """Run to the end, and close the engine and the transport.

        Raises: EngineError when the engine cannot open; ExceptionGroup for a fault of ours. The transport is open then.
        """
        try:
            self._now_s = asyncio.get_running_loop().time
            if self._live is not None:
                self._live.offer_to(self._take_sound)
            await self._engine.open(self._session.engine_settings)
            async with asyncio.TaskGroup() as group:
                self._running = NamedTasks(group)
                self._step(self._session.start, self._now_s())
                self._tasks.spawn("client events", self._read_events())
                self._tasks.spawn("frames", self._read_frames())
                if self._live is not None:
                    self._tasks.spawn("engine notices", self._read_notices(self._live))
                if self._transport.plays_in_real_time:
                    self._tasks.spawn("drained", self._watch_drained())
                await self._over.wait()
                self._running.cancel_all()
                if self._fault is not None:
                    raise self._fault
        finally:
            self._over.set()  # however it ended: nothing more is taken
            self._alarm.cancel()
            self._turns.close()
            try:
                await self._engine.aclose()
            finally:
                if self._remote is not None:
                    await self._remote.aclose()
                self._session.forget()
        await self._transport.aclose(self._close_code, self._close_reason)

    def stop(self, code: int = 1000, reason: str = "") -> None:
        """End the session; `run` returns once everything of it has stopped."""
        if not self._over.is_set():
            self._close_code, self._close_reason = code, reason
            self._over.set()

    async def receive(self, event: ClientEvent) -> None:
        """Take a client event from aside, between two of the transport's own."""
        if self._running is None:
            return
        try:
            await self._take(event)
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._fail(error)

    # --- Reading --------------------------------------------------------------------------------------------------

    async def _read_events(self) -> None:
        async for event in self._transport.client_events(self._take_now):
            if is_short(event):
                self._step(self._session.receive_client_event, event)
            else:
                await self._take(event)
        self.stop()

    def _take_now(self, event: ClientEvent) -> bool:
        """Give the session a client's event where it arrived; False for one that takes long, or comes too late."""
        if self._over.is_set() or not is_short(event):
            return False
        self._step_aside(self._session.receive_client_event, event)
        return True

    async def _take(self, event: ClientEvent) -> None:
        """Give the session a client's event; a long append in slices, between which everything else goes on."""
        is_pcm = self._session.config.audio.input.format.type == "audio/pcm"
        for part in slices(event, is_pcm=is_pcm):
            if self._over.is_set():
                return
            self._step(self._session.receive_client_event, part)
            if part is not event:
                await asyncio.sleep(0)
                await self._turns.wait_for_verdicts()

    async def _read_frames(self) -> None:
        async for frame in self._transport.frames():
            self._step(self._session.receive_audio, frame)

    async def _read_notices(self, engine: LiveEngine) -> None:
        async with aclosing(engine.notices()) as notices:
            async for notice in notices:
                self._step(self._session.receive_engine_notice, notice)

    async def _watch_drained(self) -> None:
        while True:
            self._step(self._session.receive_drained, await self._transport.wait_drained())

    def _take_sound(self, response_id: str, event: AudioDelta) -> bool:
        """Give the session an engine's sound where it arrived; False while the transport has no room for more."""
        if self._over.is_set() or not self._transport.is_playable:
            return False
        self._step_aside(self._session.receive_engine_event, response_id, event)
        return True

    def _receive_voice_activity(self, probability: float, window_start: int, window_end: int) -> None:
        self._step_aside(self._session.receive_voice_activity, probability, window_start, window_end)

    def _receive_timer(self) -> None:
        self._step_aside(self._session.handle_timer, self._now_s())
        self._alarm.set(self._session.next_deadline())

    def _step_aside(self, receive: Callable[[*Input], list[do.Effect]], *given: *Input) -> None:
        """Step from a callback, outside the TaskGroup: a fault of ours ends the session as it would from a task."""
        try:
            self._step(receive, *given)
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._fault = error
        self.stop()

    # --- Performing -----------------------------------------------------------------------------------------------

    def _performers(self) -> dict[type[do.Effect], Callable[[Any], None]]:
        transport, engine, session = self._transport, self._engine, self._session
        return {
            do.SendEvent: self._send_event,
            do.PlayAudio: self._play_audio,
            do.FinishAudio: transport.finish_audio,
            do.FlushAudio: self._flush_audio,
            do.StartResponse: lambda effect: self._tasks.spawn(
                effect.request.response_id, self._work.respond(effect.request)
            ),
            do.CancelResponse: lambda effect: self._tasks.cancel(effect.response_id),
            do.StartTranscription: lambda effect: self._tasks.spawn(
                f"transcribe {effect.request.item_id}", self._work.transcribe(effect.request)
            ),
            do.CancelTranscription: lambda effect: self._tasks.cancel(f"transcribe {effect.item_id}"),
            do.DetectVoice: self._turns.detect,
            do.ResetVoice: self._turns.reset,
            do.JudgeTurn: self._start_judging,
            do.HearAudio: lambda effect: engine.hear(effect.item_id, effect.frame),
            do.DropAudio: lambda effect: engine.drop(effect.item_id),
            do.TellCut: self._tell_cut,
            do.ConfigureEngine: lambda _: engine.configure(session.engine_settings),
            do.RunTool: lambda effect: self._tasks.spawn(effect.call_id, self._tool_work.run(effect)),
            do.ListMcpTools: lambda effect: self._tasks.spawn(effect.list_id, self._tool_work.list_remote(effect)),
            do.RunMcpTool: lambda effect: self._tasks.spawn(effect.call_id, self._tool_work.run_remote(effect)),
            do.AnswerApproval: self._answer_approval,
            do.CancelTool: lambda effect: self._tasks.cancel(effect.call_id),
            do.CloseSession: lambda effect: self.stop(effect.code, effect.reason),
        }

    def _step(self, receive: Callable[[*Input], list[do.Effect]], *given: *Input) -> None:
        """Give the session an input at the time that it is, and perform what it decides."""
        self._session.advance(self._now_s())
        self._perform(receive(*given))

    def _perform(self, effects: list[do.Effect]) -> None:
        """Perform effects behind all that are waiting: what a flush reports comes after the events it goes with."""
        if not effects or self._over.is_set():
            return  # most verdicts on voice change nothing
        if self._is_performing:
            self._pending.extend(effects)
            return
        self._is_performing = True
        try:
            for effect in effects:
                self._perform_by_type[type(effect)](effect)
            while self._pending:
                effect = self._pending.popleft()
                self._perform_by_type[type(effect)](effect)
        finally:
            self._is_performing = False
        self._alarm.set(self._session.next_deadline())

    def _send_event(self, effect: do.SendEvent) -> None:
        self._transport.send_event(effect.event)
        self._meter.note_event(effect.event)

    def _play_audio(self, effect: do.PlayAudio) -> None:
        self._transport.play_audio(effect)
        self._meter.note_audio()

    def _flush_audio(self, effect: do.FlushAudio) -> None:
        flushed = self._transport.flush_audio()
        if flushed is not None:
            self._step(self._session.receive_flushed, flushed.item_id, flushed.played_ms)

    def _tell_cut(self, effect: do.TellCut) -> None:
        if self._live is not None:
            self._live.cut(effect.item)

    def _answer_approval(self, effect: do.AnswerApproval) -> None:
        if self._live is not None:
            self._live.approve(effect.call_id, approve=effect.approve, reason=effect.reason)

    def _start_judging(self, effect: do.JudgeTurn) -> None:
        name = f"judge {effect.item_id}"
        self._tasks.cancel(name)
        self._tasks.spawn(name, self._work.judge_turn(effect))

    @property
    def _tasks(self) -> NamedTasks:
        if self._running is None:
            raise RuntimeError("effects are performed inside run()")
        return self._running
