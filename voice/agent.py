"""What an agent is: who answers a session, as the configuration describes it (design §4, "Who answers")."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Agent:
    """One entry of `agents:` in config.yaml, or an alias of an engine such as `gpt-realtime`."""

    name: str
    """What `?model=` names."""
    engine: str
    """Key of `engines:` in config.yaml."""
    instructions: str = ""
    greeting: str | None = None
    """Spoken as the first response of a session, word for word; None: the agent waits for the caller."""
    voice: str = "alloy"
    tools: tuple[str, ...] = ()
    """Import paths (`package.module:function`) of the service's own tools."""
    turn_detection: dict[str, Any] | None = None
    """Overrides of the contract's `server_vad` or `semantic_vad` object; None: the service's defaults."""
    bare: bool = False
    """True for an alias: no instructions, greeting or tools; the client configures the session itself."""
    description: str = ""
