"""What a flow is: a declared, small function that plays one part of the contract against a server.

    @flow("text turn", family="text", sends=("response.create",), shows=TEXT_RESPONSE)
    async def text_turn(client: Client) -> None:
        ...                                     # raises Failed, NotServed or Skipped; anything else it does holds

`shows` must all come for the flow to hold; `may` may come as well; any other type is a violation.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from voice.conformance.client import Client
from voice.conformance.target import Target

Kind = Literal["flow", "error", "rest"]


@dataclass(frozen=True, slots=True)
class Flow:
    """One part of the contract, and how it is played."""

    name: str
    family: str
    play: Callable[..., Awaitable[None]]
    summary: str
    kind: Kind = "flow"
    sends: Sequence[str] = ()
    shows: Sequence[str] = ()
    may: Sequence[str] = ()
    needs_speech: bool = False
    timeout_s: float = 60.0
    """For the whole flow."""
    query: dict[str, str | None] = field(default_factory=dict)
    """Over the usual query of the address; None leaves a parameter out."""
    connects: bool = True
    """False: it gets the target instead of a client, and connects by itself."""
    on_leg: bool = False
    """It takes a leg whose audio the server plays: WebRTC, or a live call that is joined."""


ClientFlow = Callable[[Client], Awaitable[None]]
TargetFlow = Callable[[Target], Awaitable[None]]

REGISTRY: list[Flow] = []


def flow(name: str, **options: Any) -> Callable[[ClientFlow], ClientFlow]:
    """Declare a flow. Its docstring's first line is its summary; `options` are the fields of `Flow`."""

    def declare(play: ClientFlow) -> ClientFlow:
        REGISTRY.append(Flow(name=name, play=play, summary=_first_line(play.__doc__), **options))
        return play

    return declare


def request(name: str, **options: Any) -> Callable[[TargetFlow], TargetFlow]:
    """Declare a check that connects by itself: handshakes and REST calls."""

    def declare(play: TargetFlow) -> TargetFlow:
        given: dict[str, Any] = {"kind": "rest", "connects": False} | options
        REGISTRY.append(Flow(name=name, play=play, summary=_first_line(play.__doc__), **given))
        return play

    return declare


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
