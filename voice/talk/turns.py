"""Reads a conversation's events as turns: who said what, and how long each stage took. Pure.

    speech end ──► turn decided ──► transcript ──► first token ──► first audio ──► done
    (recording)    speech_stopped   …transcription  …transcript     …audio.delta   response.done,
                   or committed      .completed       .delta                        none open

Every stage is counted from the end of speech in the recording, on the caller's clock.
"""

from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

STAGES = ("decided", "transcript", "first_token", "first_audio")
"""Names of the latencies, in the order in which a cascade reaches them."""

_TOKEN_EVENTS = ("response.output_audio_transcript.delta", "response.output_text.delta")
_TOOL_ITEMS = ("mcp_call", "function_call")
_TOOL_DONE_EVENTS = ("response.output_item.done", "conversation.item.done")
"""Both carry the finished call; the second also when the tool outlives its response (contract 4.11)."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the agent called."""

    name: str
    arguments: str
    output: str | None
    """Of a service tool, once it has run; None for a tool of the client's."""
    failed: bool
    owner: str
    """`client`, or the server label of the service's tool."""


@dataclass(slots=True)
class Turn:
    """One recording and its answer."""

    number: int
    recording: str
    speech_start_s: float
    """On the caller's clock, as all moments here."""
    speech_end_s: float
    started_s: float | None = None
    """First `speech_started`."""
    decided_s: float | None = None
    transcript_s: float | None = None
    first_token_s: float | None = None
    first_audio_s: float | None = None
    last_audio_s: float | None = None
    interrupted: bool = False
    """The caller talked over this turn's answer: it was cancelled, or its playing was cut."""
    failure: str | None = None
    """Why a response failed, as the service says it."""
    said: dict[str, str] = field(default_factory=dict)
    """Transcript by item: one recording may hold several stretches of speech."""
    answers: dict[str, str] = field(default_factory=dict)
    """What the agent said, by item."""
    tool_uses: dict[str, ToolUse] = field(default_factory=dict)
    """Tools that were called, by item."""
    open_responses: set[str] = field(default_factory=set)
    closed_responses: int = 0
    follow_up_due: bool = False
    """The last response called a tool of the service's: another response is to come."""

    @property
    def transcript(self) -> str:
        """The caller's words, as the service understood them."""
        return " ".join(text for text in self.said.values() if text)

    @property
    def answer(self) -> str:
        """The agent's words."""
        return " ".join(text for text in self.answers.values() if text)

    @property
    def tools(self) -> list[ToolUse]:
        """The tools that were called, in order."""
        return list(self.tool_uses.values())

    @property
    def answered(self) -> bool:
        """True once nothing more of the answer is to come."""
        is_heard = self.started_s is None or self.decided_s is not None
        return is_heard and self.closed_responses > 0 and not self.open_responses and not self.follow_up_due

    def latency_ms(self, stage: str) -> float | None:
        """Return a stage of `STAGES`, counted from the end of speech; None where it was not reached."""
        at_s: float | None = getattr(self, f"{stage}_s")
        return None if at_s is None else (at_s - self.speech_end_s) * 1000


class TurnLog:
    """Attributes events to turns by their item and response ids."""

    def __init__(self) -> None:
        """Start before the first turn: a greeting belongs to none."""
        self.turns: list[Turn] = []
        self.greeting = Turn(0, "", 0.0, 0.0)
        """The responses before the first turn is decided."""
        self._answering = self.greeting
        self._by_item: dict[str, Turn] = {}
        self._by_response: dict[str, Turn] = {}

    def begin(self, recording: str, speech_start_s: float, speech_end_s: float) -> Turn:
        """Open the turn of a recording that begins to be sent now."""
        turn = Turn(len(self.turns) + 1, recording, speech_start_s, speech_end_s)
        self.turns.append(turn)
        return turn

    def turn_of(self, event: Event) -> Turn:
        """Return the turn that an event belongs to."""
        response_id = event.get("response_id") or (event.get("response") or {}).get("id")
        if response_id in self._by_response:
            return self._by_response[response_id]
        item_id = event.get("item_id") or (event.get("item") or {}).get("id")
        if item_id in self._by_item:
            return self._by_item[item_id]
        return self._answering

    def receive(self, event: Event, at_s: float) -> Turn:
        """Take the next event of the service; return the turn it belongs to."""
        kind = event["type"]
        if kind.startswith("input_audio_buffer."):
            return self._receive_input(kind, event, at_s)
        if kind == "response.created":
            self._by_response[event["response"]["id"]] = self._answering
            self._answering.open_responses.add(event["response"]["id"])
            self._answering.follow_up_due = False
            return self._answering
        turn = self.turn_of(event)
        if kind == "response.output_item.added":
            self._by_item[event["item"]["id"]] = turn
        if kind.startswith("conversation.item.input_audio_transcription."):
            _receive_transcript(turn, kind, event, at_s)
        elif kind in _TOOL_DONE_EVENTS and event["item"]["type"] in _TOOL_ITEMS:
            turn.tool_uses[event["item"]["id"]] = _tool_use(event["item"])
        elif kind.startswith("response."):
            _receive_answer(turn, kind, event, at_s)
        return turn

    def _receive_input(self, kind: str, event: Event, at_s: float) -> Turn:
        current = self.turns[-1] if self.turns else self.greeting
        item_id = event.get("item_id")
        if item_id is not None and item_id not in self._by_item:
            self._by_item[item_id] = current
        if kind == "input_audio_buffer.speech_started":
            current.started_s = at_s if current.started_s is None else current.started_s
            # Speech that goes on after a pause: what was answered to its first part does not count.
            current.decided_s = current.transcript_s = current.first_token_s = current.first_audio_s = None
        elif kind == "input_audio_buffer.speech_stopped":
            current.decided_s = at_s
            current.closed_responses = 0  # what was closed answered an earlier part
            self._answering = current
        elif kind == "input_audio_buffer.committed":
            current.decided_s = at_s if current.decided_s is None else current.decided_s
            self._answering = current
        return current


def _receive_transcript(turn: Turn, kind: str, event: Event, at_s: float) -> None:
    item_id = event["item_id"]
    if kind.endswith(".delta"):
        turn.said[item_id] = turn.said.get(item_id, "") + event["delta"]
    elif kind.endswith(".completed"):
        turn.said[item_id] = event["transcript"].strip()
        turn.transcript_s = at_s


def _receive_answer(turn: Turn, kind: str, event: Event, at_s: float) -> None:
    if kind in _TOKEN_EVENTS:
        turn.answers[event["item_id"]] = turn.answers.get(event["item_id"], "") + event["delta"]
        turn.first_token_s = at_s if turn.first_token_s is None else turn.first_token_s
    elif kind == "response.output_audio.delta":
        turn.first_audio_s = at_s if turn.first_audio_s is None else turn.first_audio_s
        turn.last_audio_s = at_s
    elif kind == "response.done":
        _receive_done(turn, event["response"])


def _receive_done(turn: Turn, response: Event) -> None:
    turn.open_responses.discard(response["id"])
    turn.closed_responses += 1
    details = response.get("status_details") or {}
    if response["status"] == "failed":
        turn.failure = (details.get("error") or {}).get("message") or "the response failed"
    if details.get("reason") == "turn_detected":
        turn.interrupted = True
    calls = any(item["type"] == "mcp_call" for item in response.get("output") or [])
    turn.follow_up_due = calls and response["status"] == "completed"


def _tool_use(item: Event) -> ToolUse:
    owner = item.get("server_label") or "client"
    error = item.get("error")
    words = error.get("message") if isinstance(error, dict) else error
    return ToolUse(item["name"], item["arguments"], item.get("output") or words, error is not None, owner)
