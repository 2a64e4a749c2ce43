"""The tool calls of one response (contract 4.10, 4.11).

start ─► open ──arguments done──► a client's: over
            │                     the service's, an engine's: running ──output──► over
            │                     one that needs an approval: asked for, and the session's from here on
            └── cut short ──► over, incomplete and never run (contract 4.10)
"""

from voice.engines.port import HostedCall, ResponseRequest, ToolCallStarted
from voice.errors import EngineProtocolError
from voice.session.mcp import Approvals
from voice.session.output import CallOutput, Place
from voice.tooling import ToolResult, ToolSpec

_UNASKED = ToolResult("the call needs an approval, which cannot be asked for out of band", failed=True)
"""Nobody could answer: out of band, no item of the conversation may be written (contract 4.9)."""


class Calls:
    """Knows which calls are open and which tools run, and of which kinds they were."""

    def __init__(self, approvals: Approvals, request: ResponseRequest) -> None:
        self._approvals = approvals
        self._may_ask = request.in_conversation
        self._tools = {tool.name: tool for tool in request.settings.tools}
        self._open: dict[str, CallOutput] = {}
        self.running: dict[str, CallOutput] = {}
        """Those whose outputs the response waits for."""
        self.ran_own = False
        """A tool of the service has run."""
        self.ran_remote = False
        """One of an MCP server that the client named has run."""
        self.asked_client = False
        """The client has been given a call of its own to make."""

    @property
    def are_open(self) -> bool:
        """True while the arguments of one are being written."""
        return bool(self._open)

    def start(self, event: ToolCallStarted, place: Place) -> CallOutput:
        """Begin a call. Raises: EngineProtocolError for a tool that the engine was not given."""
        if event.server_label is not None:
            tool: ToolSpec | None = ToolSpec(event.name, "", {}, event.server_label, is_hosted=True)
        else:
            tool = self._tools.get(event.name)
        if tool is None:
            raise EngineProtocolError(f"the engine called a tool that it was not given: '{event.name}'")
        call = self._open[event.call_id] = CallOutput(place, event.call_id, tool)
        call.open()
        return call

    def add_arguments(self, call_id: str, delta: str) -> None:
        """Take more of the arguments' JSON text. Raises: EngineProtocolError for a call that is not open."""
        self._find(call_id).add_arguments(delta)

    def finish_arguments(self, call_id: str, arguments: str) -> None:
        """A call is complete: have it run, by whom it may concern. Raises: EngineProtocolError as `add_arguments`."""
        call = self._find(call_id)
        del self._open[call_id]
        call.finish_arguments(arguments)
        origin = call.tool.remote
        if not call.is_ours:
            self.asked_client = True
        elif call.tool.is_hosted:
            self.running[call_id] = call
        elif origin is None or not origin.needs_approval:
            self.ran_own |= origin is None
            self.ran_remote |= origin is not None
            self.running[call_id] = call
            call.run()
        elif self._may_ask:
            self._approvals.ask(call)
        else:
            call.finish_tool(_UNASKED)

    def receive_hosted(self, event: HostedCall) -> None:
        """A tool that the engine runs itself goes on; its output is in the engine's own context as well."""
        call = self.running.get(event.call_id)
        if call is None:
            return
        if event.state == "running":
            call.run()
        elif event.state == "asks" and self._may_ask:
            self._approvals.ask(self.running.pop(event.call_id))
        else:
            self.finish_tool(event.call_id, event.result or _UNASKED)

    def finish_tool(self, call_id: str, result: ToolResult) -> None:
        """A tool that runs has ended."""
        self.running.pop(call_id).finish_tool(result)

    def close(self) -> None:
        """End the calls whose arguments were cut short: they are never run."""
        for call in self._open.values():
            call.close("incomplete")
        self._open.clear()

    def cut_short(self) -> list[CallOutput]:
        """End them all; tools that stop with a barge-in stop, and those that go on are returned."""
        self.close()
        detached = []
        for call in self.running.values():
            if call.tool.on_interrupt == "cancel":
                call.cancel()
            else:
                call.close_output()
                detached.append(call)
        self.running.clear()
        return detached

    def _find(self, call_id: str) -> CallOutput:
        call = self._open.get(call_id)
        if call is None:
            raise EngineProtocolError(f"the engine went on with a tool call that is not open: '{call_id}'")
        return call
