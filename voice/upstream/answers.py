"""The answers that are under way on one line: which was asked for by whom, and which the upstream began by itself.

ask ─► response.created (found by its metadata) ─► events ─► response.done
       response.created without it, after a hosted tool: the upstream goes on by itself, and whoever asks for the
       answer to that tool, or has just asked, is given this one; a second one is stopped
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from voice.engines.port import EngineNotice, ResponseRequest, TokenUsage
from voice.errors import EngineError, EngineUnavailable
from voice.session.items import ToolCall
from voice.upstream.answer import failure, usage_of
from voice.upstream.answering import Answering
from voice.upstream.hosted import HostedCalls
from voice.upstream.mirror import Mirror
from voice.upstream.words import ANSWERS_FOR, Event

_SOUND: Final = "response.output_audio.delta"
_GIVES_WAY_S: Final = 0.1
"""It says so right behind the end of the tool."""

_log = structlog.get_logger(__name__)


class Answers:
    """Of one line."""

    def __init__(
        self,
        mirror: Mirror,
        send: Callable[[Event], None],
        *,
        tell: Callable[[EngineNotice], None],
        count: Callable[[TokenUsage], None],
    ) -> None:
        """`tell` is given what has become of hosted tools when nobody reads their answer any more, `count` what each
        answer has cost.
        """
        self._mirror = mirror
        self._send = send
        self._tell = tell
        self._count_usage = count
        self._asked: dict[str, Answering] = {}
        self._by_upstream_id: dict[str, Answering] = {}
        self._unasked: Answering | None = None
        self._goes_on = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.hosted = HostedCalls(tell)

    @property
    def is_idle(self) -> bool:
        """True while no answer of the conversation is under way there, nor a hosted tool."""
        return self._idle.is_set() and not self.hosted.is_waiting

    @property
    def has_gone_on(self) -> bool:
        """True while there is an answer that the upstream has begun by itself and nobody has asked for."""
        return self._unasked is not None

    def expect(self, request: ResponseRequest) -> Answering:
        """An answer is being asked for."""
        answering = Answering(in_conversation=request.in_conversation, follows_tool=self._follows_tool(request))
        self._asked[request.response_id] = answering
        if request.in_conversation:
            self._idle.clear()
        return answering

    async def give_way(self, request: ResponseRequest) -> None:
        """Give an upstream that goes on by itself after its tool a moment to: asked as well, it would answer twice."""
        if self._unasked is None and self._follows_tool(request):
            self._goes_on.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GIVES_WAY_S):
                    await self._goes_on.wait()

    def going_on(self, request: ResponseRequest) -> Answering | None:
        """Return the answer that the upstream has begun by itself, if it is the one that is asked for.

        One that is not is stopped; `wait_idle` then waits for its end.
        """
        unasked, self._unasked = self._unasked, None
        if unasked is None:
            return None
        if self._follows_tool(request):
            if not unasked.is_over:
                self._asked[request.response_id] = unasked
                self._idle.clear()
            return unasked
        if not unasked.is_over:
            self._stop(unasked)
        return None

    def cancel(self, response_id: str) -> None:
        """Stop an answer that nobody waits for any more. What the upstream says of it counts for the mirror only."""
        answering = self._asked.get(response_id)
        if answering is None or answering.is_over:
            return
        event: Event = {"type": "response.cancel"}
        if answering.upstream_id is not None:
            event["response_id"] = answering.upstream_id
        if answering.in_conversation or answering.upstream_id is not None:
            self._send(event)

    def leave(self, answering: Answering) -> None:
        """Nobody reads this answer any more; hosted tools that it began may go on."""
        if answering.answer.is_out_of_order:
            _log.warning("upstream events came out of order", response=answering.upstream_id)
        for event in answering.leave():
            self._tell(event)

    async def wait_idle(self, timeout_s: float) -> None:
        """Return when no answer of the conversation is under way. Raises: EngineUnavailable."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            raise EngineUnavailable("The upstream does not end an answer that was cancelled.") from None

    def receive(self, kind: str, event: Event) -> None:
        """Take the next event of a response."""
        if kind == "response.created":
            self._begin(event.get("response") or {})
            return
        response_id = event.get("response_id")
        if kind == _SOUND:  # nearly all that comes: nobody else wants to know
            if isinstance(response_id, str) and (speaking := self._by_upstream_id.get(response_id)) is not None:
                speaking.receive(event)
            return
        if kind == "response.done":
            response_id = (event.get("response") or {}).get("id")
        answering = self._by_upstream_id.get(response_id) if isinstance(response_id, str) else None
        if kind.startswith(("response.mcp", "response.output_item")) and self.hosted.receive(kind, event, answering):
            if answering is not None and answering.in_conversation:
                self._note_hosted(event.get("item") or {})
            return
        if answering is None:
            return
        if answering.in_conversation and kind == "response.output_item.added":
            self._note_output(event.get("item") or {})
        answering.receive(event)
        if kind == "response.done":
            self._count(event["response"])
            self._finish(answering)

    def refuse(self, response_id: str, code: str | None, message: str | None) -> bool:
        """The upstream would not answer; False when nobody has asked under that id."""
        answering = self._asked.get(response_id)
        if answering is None:
            return False
        if answering.upstream_id is not None:
            return True  # it has been given one that the upstream had begun by itself, and that one goes on
        answering.fail(failure(code, message))
        self._finish(answering)
        return True

    def lose(self, error: EngineError) -> None:
        """The line is lost: everything that waits fails."""
        self._idle.set()
        for answering in (*self._asked.values(), *self._by_upstream_id.values()):
            answering.fail(error)
        self.hosted.lose()

    def _begin(self, response: dict[str, Any]) -> None:
        upstream_id = response.get("id")
        if not isinstance(upstream_id, str):
            return
        asked_as = (response.get("metadata") or {}).get(ANSWERS_FOR)
        in_conversation = response.get("conversation_id") is not None
        if asked_as is None:
            answering = self._begin_unasked() if self.hosted and in_conversation else None
        else:
            answering = self._asked.get(str(asked_as))
            if in_conversation and (answering is None or answering.upstream_id is not None):
                second = Answering(in_conversation=True)
                self._name(second, upstream_id)
                self._stop(second)
                return
        if answering is not None:
            self._name(answering, upstream_id)

    def _name(self, answering: Answering, upstream_id: str) -> None:
        answering.upstream_id = upstream_id
        self._by_upstream_id[upstream_id] = answering

    def _begin_unasked(self) -> Answering:
        """The upstream goes on by itself after a hosted tool: for whoever has asked already, or else will."""
        _log.info("the upstream goes on by itself after a hosted tool")
        for asked in self._asked.values():
            if asked.follows_tool and asked.upstream_id is None:
                return asked
        self._unasked = Answering(in_conversation=True)
        self._goes_on.set()
        return self._unasked

    def _stop(self, answering: Answering) -> None:
        """Nobody wants that answer, and the next one waits for its end."""
        self._asked[str(answering.upstream_id)] = answering
        self._idle.clear()
        self.cancel(str(answering.upstream_id))

    def _follows_tool(self, request: ResponseRequest) -> bool:
        """Tell whether it asks for what comes of a hosted tool."""
        last = request.items[-1] if request.items else None
        if not request.in_conversation or request.say is not None:
            return False
        return isinstance(last, ToolCall) and last.call_id in self.hosted

    def _count(self, response: dict[str, Any]) -> None:
        """An answer costs what it costs, whether anybody has waited for its end or not."""
        try:
            usage = usage_of(response)
        except (TypeError, ValueError, AttributeError):
            return
        if usage is not None:
            self._count_usage(usage)

    def _note_output(self, item: dict[str, Any]) -> None:
        if item.get("type") == "message" and isinstance(item.get("id"), str):
            self._mirror.note_output(item["id"])
        elif item.get("type") == "function_call" and isinstance(item.get("id"), str):
            self._mirror.note_output(item["id"], str(item.get("call_id")))

    def _note_hosted(self, item: dict[str, Any]) -> None:
        if item.get("type") == "mcp_call" and isinstance(item.get("id"), str):
            self._mirror.note_hosted(item["id"])

    def _finish(self, answering: Answering) -> None:
        answering.is_over = True
        self.hosted.finish(answering)
        self._asked = {id: asked for id, asked in self._asked.items() if asked is not answering}
        if answering.upstream_id is not None:
            self._by_upstream_id.pop(answering.upstream_id, None)
        if not any(asked.in_conversation for asked in self._asked.values()):
            self._idle.set()
