"""What a session asks for that takes time: thinking, writing down, judging, tools.

Each method is a task of the runner's, may be cancelled at each await, and gives the session what comes of it, step by
step. What a model or a tool does wrong is an input as well: it costs a response or an output, and never the session.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar, TypeVarTuple

import structlog

from voice.engines.port import AudioDelta, Engine, EngineDone, ResponseRequest, TranscriptDone, TranscriptionRequest
from voice.errors import EngineError, EngineProtocolError
from voice.metrics import SessionMeter
from voice.session import effects as do
from voice.session.session import Session
from voice.tooling import PhoneCall, RemoteTools, ServiceTools, ToolContext, ToolResult
from voice.transport import Transport
from voice.turn_judge import TurnJudge

_log = structlog.get_logger(__name__)

_Event = TypeVar("_Event")
Input = TypeVarTuple("Input")


class Step(Protocol):
    """Gives the session an input and performs what it decides. Returns at once."""

    def __call__(self, receive: Callable[[*Input], list[do.Effect]], /, *given: *Input) -> None:
        """`receive` is a method of the session's, `given` what it takes."""
        ...


class SessionWork:
    """What the models do for a session."""

    def __init__(
        self, step: Step, session: Session, engine: Engine, transport: Transport, judge: TurnJudge | None
    ) -> None:
        """`judge` tells whether a turn is complete; without it nothing is ever said about that."""
        self._step = step
        self._session = session
        self._engine = engine
        self._transport = transport
        self._judge = judge

    async def respond(self, request: ResponseRequest) -> None:
        """Have the engine answer, no further ahead of what is heard than the transport takes."""
        last = None
        try:
            async with aclosing(_from_engine(self._engine.respond(request))) as events:
                async for last in events:
                    self._step(self._session.receive_engine_event, request.response_id, last)
                    if isinstance(last, AudioDelta):
                        await self._transport.wait_playable()
            if not isinstance(last, EngineDone):
                raise EngineProtocolError("the engine ended a response without saying so")
        except EngineError as error:
            self._step(self._session.receive_engine_failure, request.response_id, error)

    async def transcribe(self, request: TranscriptionRequest) -> None:
        """Have the engine write an item down."""
        last = None
        try:
            async with aclosing(_from_engine(self._engine.transcribe(request))) as events:
                async for last in events:
                    self._step(self._session.receive_transcription_event, request.item_id, last)
            if not isinstance(last, TranscriptDone):
                raise EngineProtocolError("the engine ended a transcription without saying so")
        except EngineError as error:
            self._step(self._session.receive_transcription_failure, request.item_id, error)

    async def judge_turn(self, effect: do.JudgeTurn) -> None:
        """Ask whether the caller has finished."""
        probability = await self._judge.judge(effect.frame) if self._judge is not None else None
        if probability is not None:
            self._step(self._session.receive_turn_judgement, effect.item_id, effect.silence_start, probability)


class ToolWork:
    """What tools do for a session: the service's own, and those of the MCP servers that its client names."""

    def __init__(
        self,
        step: Step,
        session: Session,
        tools: ServiceTools,
        remote: RemoteTools | None,
        meter: SessionMeter,
        *,
        agent_name: str,
        phone: PhoneCall | None,
    ) -> None:
        """`remote` reaches the MCP servers; None where the session serves none."""
        self._step = step
        self._session = session
        self._tools = tools
        self._remote = remote
        self._meter = meter
        self._agent_name = agent_name
        self._phone = phone

    async def run(self, effect: do.RunTool) -> None:
        """Run a tool of the service."""
        context = ToolContext(self._session.config.id, self._agent_name, self._session.said, self._phone)
        self._end(effect.call_id, await self._tools.run(effect.name, effect.arguments, context))

    async def list_remote(self, effect: do.ListMcpTools) -> None:
        """Ask an MCP server what it offers."""
        listing = await self._servers.list_tools(effect.list_id, effect.server)
        self._step(self._session.receive_mcp_tools, effect.list_id, listing)

    async def run_remote(self, effect: do.RunMcpTool) -> None:
        """Run a tool of an MCP server."""
        self._end(effect.call_id, await self._servers.call(effect.list_id, effect.name, effect.arguments))

    @property
    def _servers(self) -> RemoteTools:
        if self._remote is None:
            raise RuntimeError("a session that serves MCP runs with `remote`")
        return self._remote

    def _end(self, call_id: str, result: ToolResult) -> None:
        self._meter.metrics.tool_calls.labels("failed" if result.failed else "completed").inc()
        self._step(self._session.receive_tool_output, call_id, result)


async def _from_engine(events: AsyncGenerator[_Event, None]) -> AsyncGenerator[_Event, None]:
    """Pass an engine's events on. A fault of the engine costs the response, not the call."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except EngineError:
        raise
    except Exception as error:
        _log.exception("the engine failed")
        raise EngineProtocolError("The engine had an error.") from error
