"""The port through which a session reaches the tools that the service owns (implemented in `tools/`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

OnInterrupt = Literal["cancel", "finish"]
"""What a barge-in does to a running tool: stop it, or let it finish and speak of its result afterwards."""


FailureKind = Literal["tool_execution_error", "protocol_error", "http_error"]
"""Why a call failed (contract 3.9): the tool itself, the talk with its server, or the way there."""


@dataclass(frozen=True, slots=True)
class RemoteOrigin:
    """Where a tool of an MCP server comes from."""

    list_id: str
    """The `mcp_list_tools` item that brought it; `RemoteTools` knows its server by that id."""
    name: str
    """What the server calls it; `ToolSpec.name` is another where two tools of a session would have the same."""
    needs_approval: bool = True
    """The client has to allow each call."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as an engine sees it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of an object."""
    server_label: str | None = None
    """The label of its `mcp_call` items, for a tool that the service runs. None: the client runs it."""
    on_interrupt: OnInterrupt = "finish"
    remote: RemoteOrigin | None = None
    """Set for a tool of an MCP server that the client named. None: the client's own, or the agent's."""
    is_hosted: bool = False
    """The engine runs it itself, and tells of it."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back. A failure is a result too: words that the agent may speak about."""

    output: str
    failed: bool = False
    kind: FailureKind = "tool_execution_error"
    code: int | None = None
    """Of a `protocol_error` the JSON-RPC code, of an `http_error` the status; they always have one."""


class PhoneCall(Protocol):
    """The phone call that a session is, for its tools and for whoever steers it from aside."""

    @property
    def trunk(self) -> str:
        """The name in `sip.trunks` by which it came; `loopback` for a call of this machine."""
        ...

    @property
    def caller(self) -> str:
        """The caller's number or name, as the trunk asserts it."""
        ...

    @property
    def called(self) -> str:
        """The number or name that was dialled."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Those of the INVITE in their order, with repeats, without credentials."""
        ...

    def press(self, keys: str) -> bool:
        """Press keys at the other end, one after the other; a comma is a pause of half a second.

        False when the other side takes none by any means that is allowed, or is gone. Playout stands still meanwhile.
        Raises: ValueError for anything but up to 64 of 0-9 * # A-D and comma.
        """
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call that it serves."""

    session_id: str
    agent: str
    said: str
    """The words of the user's last turns, for tools that want to check an argument against them."""
    phone: PhoneCall | None = None
    """The phone call that it is; None for a session that came another way."""


class ServiceTools(Protocol):
    """The tools of one agent."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return the tools, in the order of the configuration."""
        ...

    async def run(self, name: str, arguments: str, context: ToolContext) -> ToolResult:
        """Run one call to its end, its deadline or its cancellation. Never raises but `CancelledError`.

        `arguments` is the JSON text the model wrote; what does not fit the schema is a failed result.
        """
        ...


# --- MCP servers that a session's client names -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """How to reach an MCP server (contract 3.4). What is secret stays out of its text form."""

    label: str
    url: str
    authorization: str | None = field(default=None, repr=False)
    """An OAuth token, without `Bearer`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """A tool as its MCP server describes it, checked and bounded."""

    name: str
    description: str
    input_schema: dict[str, Any]
    """JSON Schema of an object."""
    annotations: dict[str, Any] | None = None
    """Hints, as the server sent them."""

    @property
    def is_read_only(self) -> bool:
        """True when the server says that the tool changes nothing; without a word of it, it may."""
        return bool(self.annotations and self.annotations.get("readOnlyHint") is True)


@dataclass(frozen=True, slots=True)
class RemoteListing:
    """What an MCP server offers, or why that could not be found out."""

    tools: tuple[RemoteTool, ...] = ()
    problem: str | None = None


class RemoteTools(Protocol):
    """The MCP servers of one session. Neither call raises but `CancelledError`; both have deadlines of their own."""

    async def list_tools(self, list_id: str, server: RemoteServer) -> RemoteListing:
        """Connect, and ask for the tools. The server is known as `list_id` from then on."""
        ...

    async def call(self, list_id: str, name: str, arguments: str) -> ToolResult:
        """Run one call; connects again where the connection was lost. `arguments` is the JSON text the model wrote."""
        ...

    async def aclose(self) -> None:
        """Let go of every connection, within about a second. Safe to call twice."""
        ...
