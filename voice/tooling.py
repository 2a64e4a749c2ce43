"""The port through which a session reaches the tools that the service owns (implemented in `tools/`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

OnInterrupt = Literal["cancel", "finish"]
"""What a barge-in does to a running tool: stop it, or let it finish and speak of its result afterwards."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as an engine sees it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of an object."""
    server_label: str | None = None
    """Set for a tool of the service's own: the label of its `mcp_call` items. None: the client's."""
    on_interrupt: OnInterrupt = "finish"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back. A failure is a result too: words that the agent may speak about."""

    output: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call that it serves."""

    session_id: str
    agent: str
    said: str
    """The words of the user's last turns, for tools that want to check an argument against them."""
    extra: dict[str, str] = field(default_factory=dict)


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
