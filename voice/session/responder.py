"""Who speaks when: starts responses, adopts speculations, interrupts, and goes on after the service's tools.

One default response at a time; any number out of band (contract 4.9). What is *due* is an answer that is owed but
cannot start yet: the caller holds the floor, or a response still runs.

    caller falls silent ─► speculate ─┬─ speaks on ──► dropped: never audible, never in the conversation
                                      └─ turn ends ──► adopted: its events so far are replayed, in order
"""

from collections.abc import Sequence
from dataclasses import replace

from voice.engines.port import AudioDelta, HostedCall, ResponseEvent, ResponseRequest
from voice.errors import ContextTooLong, ContractError, EngineError, EngineProtocolError
from voice.protocol.response_params import ResponseParams
from voice.session.core import Core
from voice.session.due_answer import DueAnswer
from voice.session.effects import AnswerApproval, CancelResponse, FlushAudio, StartResponse
from voice.session.items import AnyItem, ApprovalResponse, Item, Message
from voice.session.mcp import Approvals
from voice.session.output import CallOutput
from voice.session.playout import PlayoutLedger
from voice.session.requests import fit, make_request
from voice.session.response import CancelReason, Response, ResponseShape
from voice.session.settings import response_shape
from voice.session.speculation import Speculation
from voice.tooling import ToolResult


class Responder:
    """Owns the responses of a session."""

    def __init__(self, core: Core, ledger: PlayoutLedger) -> None:
        self._core = core
        self._ledger = ledger
        self._responses: dict[str, Response] = {}
        self._active: Response | None = None
        self._speculation = Speculation(core)
        self._detached: dict[str, tuple[CallOutput, bool]] = {}
        """Tools that outlive their response, and whether their result is to be spoken about."""
        self._approvals = Approvals(core.out, core.conversation)
        self._due = DueAnswer()
        self.floor_is_taken = False
        """The caller is speaking; set by the turn."""

    @property
    def active(self) -> Response | None:
        """The default response under way."""
        return self._active

    # --- Starting -------------------------------------------------------------------------------------------------

    def greet(self, words: str) -> None:
        """Speak first."""
        self._start(make_request(self._core, (), say=words), response_shape(self._core.config))

    def answer_turn(self) -> None:
        """The caller's turn is in the conversation: answer it, by the speculation where that still holds."""
        guess = self._speculation.take() if self._active is None else None
        self._due.start_anew()
        if guess is not None:
            request = replace(guess.request, items=self._core.conversation.items, speculative=False)
            self._start(request, response_shape(self._core.config), guess.events)
            return
        self._speculation.drop()
        self._due.owe()
        self.go_on()

    def create(self, params: ResponseParams | None, items: tuple[Item, ...] | None) -> None:
        """A client asks for a response. `items` is its own context, None for the conversation's.

        Raises: ContractError when a default response is under way (contract 4.9).
        """
        in_conversation = params is None or params.conversation != "none"
        if in_conversation and self._active is not None:
            if self._due.was_raced_for(self._active.id):
                return  # what is asked for is under way
            raise ContractError(
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
                code="conversation_already_has_active_response",
            )
        if in_conversation:
            self._due.start_anew()
            self._speculation.drop()
        request = make_request(self._core, items, params=params, in_conversation=in_conversation)
        self._start(request, response_shape(self._core.config, params))

    def go_on(self) -> None:
        """Start the answer that is due, if nobody speaks."""
        if self._due.is_due and self._active is None and not self.floor_is_taken:
            request = make_request(self._core, may_call=not self._due.is_last_round)
            self._start(request, response_shape(self._core.config))

    # --- Speculating ----------------------------------------------------------------------------------------------

    def speculate(self, turn: Message) -> None:
        """The caller has just fallen silent: begin to think about what was said so far."""
        self._speculation.drop()
        if self._active is None and self._core.capabilities.speculates:
            self._speculation.begin(turn)

    def drop_speculation(self) -> None:
        """The caller goes on, or the context changed: nothing of it happened."""
        self._speculation.drop()

    # --- What the engine and the tools give back --------------------------------------------------------------------

    def receive_engine_event(self, response_id: str, event: ResponseEvent) -> None:
        """Take an event; one of a response that is over is dropped (design §4)."""
        if self._speculation.receive(response_id, event):
            return
        response = self._responses.get(response_id)
        if response is None or not response.is_generating:
            return
        try:
            response.receive(event)
        except EngineProtocolError as error:
            self._core.out.add(CancelResponse(response_id))
            self.receive_engine_failure(response_id, error)
            return
        if isinstance(event, AudioDelta) and event.frame.pcm and response.spoken_item_id is not None:
            self._core.agent_has_spoken = True
            self._core.idle.note_audio(event.frame.duration_ms, self._core.now_s)
            self._ledger.note_audio(response_id, response.spoken_item_id)
        self._settle(response)

    def receive_engine_failure(self, response_id: str, error: EngineError) -> None:
        """The engine gave up on a response. A failed speculation is forgotten: the turn's end asks again."""
        self._speculation.receive_failure(response_id)
        response = self._responses.get(response_id)
        if response is not None and response.is_generating:
            self._detach(response.fail(error), speak=response is self._active)
            self._settle(response)

    def receive_tool_output(self, call_id: str, result: ToolResult) -> None:
        """A tool of the service has ended. Its answer follows as soon as nobody speaks."""
        if call_id in self._detached:
            call, speak = self._detached.pop(call_id)
            call.finish_tool(result)
            if speak:
                self._due.owe_follow_up(raced=call.tool.remote is not None)
        for response in list(self._responses.values()):
            if response.waits_for(call_id):
                response.receive_tool_output(call_id, result)
                self._settle(response)
        self.go_on()

    def receive_hosted(self, event: HostedCall) -> None:
        """A tool that the engine runs itself goes on after the engine's answer, or after its response."""
        for response in list(self._responses.values()):
            if response.waits_for(event.call_id):
                response.receive(event)
                self._settle(response)
                return
        if event.result is not None:
            self.receive_tool_output(event.call_id, event.result)
        elif event.state == "running" and event.call_id in self._detached:
            self._detached[event.call_id][0].run()

    def check_approval(self, answer: ApprovalResponse) -> None:
        """Raises: ContractError when nothing waits for that answer."""
        self._approvals.check(answer)

    def receive_approval(self, answer: ApprovalResponse) -> None:
        """The client allows a call, or does not. The call's response is over; the call goes on without it."""
        call = self._approvals.take(answer)
        is_hosted = call.tool.is_hosted
        if is_hosted:
            self._core.out.add(AnswerApproval(call.item.call_id, answer.approve, answer.reason))
        if answer.approve:
            if not is_hosted:
                call.run()
            self._detach([call], speak=True)
        else:
            call.deny(answer.reason)
            if is_hosted or self._core.traits.mcp_auto_continue:
                self._due.owe_follow_up(raced=True)
            self.go_on()

    # --- Ending ---------------------------------------------------------------------------------------------------

    def hush(self) -> None:
        """Stop sound and thought at once, before any event is written (design §4, barge-in)."""
        self._core.idle.note_cut()
        if self._ledger.is_playing:
            self._core.out.add(FlushAudio())
        if self._active is not None and self._active.is_generating:
            self._core.out.add(CancelResponse(self._active.id))

    def end_active(self, reason: CancelReason) -> None:
        """Write the tail of the default response that `hush` has stopped."""
        if self._active is not None:
            self._end(self._active, reason)

    def cancel(self, response_id: str | None) -> None:
        """A client cancels. Raises: ContractError when there is nothing to cancel (contract 4.8)."""
        response = self._active if response_id is None else self._responses.get(response_id)
        if response is None:
            raise ContractError("Cancellation failed: no active response found", code="response_cancel_not_active")
        if response.is_generating:
            self._core.out.add(CancelResponse(response.id))
        if response is self._active:  # one out of band owes the caller nothing
            self._due.forget()
            self._core.idle.note_cut()
        self._end(response, "client_cancelled")

    def snapshot(self, item_id: str) -> AnyItem | None:
        """Return an item of the conversation that is under way, as it stands."""
        return self._active.snapshot(item_id) if self._active is not None else None

    def is_under_way(self, item_id: str) -> bool:
        """True for an item of the conversation that is not final, be it deleted: its end is still to come."""
        calls = (*(call for call, _ in self._detached.values()), *self._approvals.waiting)
        return self.snapshot(item_id) is not None or any(call.item.id == item_id for call in calls)

    def cut_active(self, item_id: str, played_ms: int) -> bool:
        """A client truncates an item that is still being generated; False when it is none of the active response."""
        return self._active is not None and self._active.cut(item_id, played_ms)

    def forget(self) -> None:
        """Let go of the responses."""
        self._responses.clear()
        self._active = None

    # --- Inside ---------------------------------------------------------------------------------------------------

    def _start(
        self, request: ResponseRequest, shape: ResponseShape, replay: Sequence[ResponseEvent] | None = None
    ) -> None:
        """Begin a response. `replay`: the engine was asked before, and this is what it has said so far."""
        try:
            request = fit(self._core, request)
        except ContextTooLong as error:
            if replay is not None:  # the turn grew until its end, or truncation was forbidden after the guess
                self._core.out.add(CancelResponse(request.response_id))
            self._open(request, shape)
            self.receive_engine_failure(request.response_id, error)
            return
        self._open(request, shape)
        if replay is None:
            self._core.out.add(StartResponse(request))
            return
        for event in replay:
            self.receive_engine_event(request.response_id, event)

    def _open(self, request: ResponseRequest, shape: ResponseShape) -> None:
        core = self._core
        reports = core.capabilities.reports_limits
        response = Response(
            core.out, core.conversation, core.meter, self._approvals, request, shape, engine_reports_limits=reports
        )
        self._responses[response.id] = response
        if request.in_conversation:
            self._active = response
            self._core.idle.disarm()
            self._due.begin(response.id)
        response.open()

    def _end(self, response: Response, reason: CancelReason) -> None:
        self._detach(response.cancel(reason), speak=reason == "turn_detected")
        self._settle(response)

    def _detach(self, calls: list[CallOutput], *, speak: bool) -> None:
        for call in calls:
            goes_on = call.tool.remote is None or self._core.traits.mcp_auto_continue
            self._detached[call.item.call_id] = (call, speak and goes_on)

    def _settle(self, response: Response) -> None:
        """A response that is done gives its place up; what it owes is noted."""
        if not response.is_done or response.id not in self._responses:
            return
        del self._responses[response.id]
        self._ledger.note_done(response.id)
        if response is self._active:
            self._active = None
            if not self.floor_is_taken:
                self._core.idle.arm(self._core.now_s, is_playing=self._ledger.is_playing)
            offered = response.offers_follow_up
            if response.wants_follow_up or (offered and self._core.traits.mcp_auto_continue):
                self._due.owe_follow_up(raced=offered)
        self.go_on()
