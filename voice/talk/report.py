"""What the person at the keyboard sees of a conversation: words on a terminal or in a pipe, or lines of JSON."""

import json
from typing import Any, Protocol, TextIO

from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voice.talk.recording import Recording
from voice.talk.turns import STAGES, Event, Turn

_TOKENS = ("response.output_audio_transcript.delta", "response.output_text.delta")


class Report(Protocol):
    """Told of everything as it happens."""

    def called(self, url: str, model: str) -> None:
        """The conversation stands."""
        ...

    def said(self, recording: Recording) -> None:
        """A recording begins to be sent."""
        ...

    def event(self, event: Event, turn: Turn) -> None:
        """The service sent something."""
        ...

    def finished(self, turns: list[Turn], recorded: str | None) -> None:
        """The conversation is over; `recorded` names the stereo file."""
        ...


def summary(turn: Turn) -> dict[str, Any]:
    """Return a turn as JSON: transcripts, tools, and milliseconds of each stage from the end of speech."""
    return {
        "turn": turn.number,
        "recording": turn.recording,
        "transcript": turn.transcript,
        "answer": turn.answer,
        "tools": [
            {
                "name": use.name,
                "arguments": use.arguments,
                "output": use.output,
                "failed": use.failed,
                "owner": use.owner,
            }
            for use in turn.tools
        ],
        "latency_ms": {stage: _rounded(turn.latency_ms(stage)) for stage in STAGES},
        "interrupted": turn.interrupted,
        "failure": turn.failure,
    }


class JsonReport:
    """One JSON object a line: `called`, `said`, `event` (audio without its payload), at the end `summary`."""

    def __init__(self, stream: TextIO) -> None:
        """`stream` is flushed after each line, so that a reader can follow."""
        self._stream = stream

    def called(self, url: str, model: str) -> None:
        """Write where and whom."""
        self._write({"type": "called", "url": url, "model": model})

    def said(self, recording: Recording) -> None:
        """Write what is being sent."""
        length_ms = round(recording.duration_ms)
        self._write(
            {
                "type": "said",
                "recording": recording.name,
                "duration_ms": length_ms,
                "speech_start_ms": recording.speech_start_ms,
                "speech_end_ms": recording.speech_end_ms,
            }
        )

    def event(self, event: Event, turn: Turn) -> None:
        """Write the event; audio deltas would drown everything else and are left out."""
        if event["type"] != "response.output_audio.delta":
            self._write({"type": "event", "turn": turn.number, "event": event})

    def finished(self, turns: list[Turn], recorded: str | None) -> None:
        """Write the summary of all turns."""
        self._write({"type": "summary", "turns": [summary(turn) for turn in turns], "recorded": recorded})

    def _write(self, line: dict[str, Any]) -> None:
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()


class TextReport:
    """Lines for a person: the agent's words stream on a terminal; in a pipe every line is whole when it comes."""

    def __init__(self, console: Console) -> None:
        """`console` knows whether it is a terminal."""
        self._console = console
        self._streaming: str | None = None
        """The item whose words are being written on the line that is open."""
        self._shown_tools: set[str] = set()

    def called(self, url: str, model: str) -> None:
        """Say where and whom."""
        self._line("call", f"{url} ({model})", "dim")

    def said(self, recording: Recording) -> None:
        """Say what is being sent."""
        self._line("caller", f"{recording.name}, {recording.duration_ms / 1000:.1f} s", "cyan")

    def event(self, event: Event, turn: Turn) -> None:
        """Show what belongs to the conversation."""
        kind = event["type"]
        if kind in _TOKENS:
            self._stream(event["item_id"], event["delta"])
        elif kind in ("response.output_audio_transcript.done", "response.output_text.done"):
            self._answered(event["item_id"], turn)
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._line("heard", event["transcript"].strip() or "(nothing)", "cyan")
        elif kind == "conversation.item.truncated":
            self._line("agent", f"(interrupted; {event['audio_end_ms'] / 1000:.1f} s of it were heard)", "yellow")
        elif kind in ("response.output_item.done", "conversation.item.done"):
            self._tool(event["item"], turn)
        elif kind == "response.done":
            self._done(turn)
        elif kind == "error":
            self._line("error", event["error"]["message"], "red")

    def finished(self, turns: list[Turn], recorded: str | None) -> None:
        """Show the table of latencies."""
        self._close_line()
        box = HEAVY_HEAD if self._console.is_terminal else None
        table = Table(title="milliseconds from the end of speech", title_justify="left", box=box)
        table.add_column("turn", justify="right")
        table.add_column("recording")
        for stage in STAGES:
            table.add_column(stage.replace("_", " "), justify="right")
        for turn in turns:
            cells = ["-" if (value := turn.latency_ms(stage)) is None else f"{value:.0f}" for stage in STAGES]
            table.add_row(str(turn.number), escape(turn.recording), *cells)
        self._console.print(table)
        if recorded:
            self._line("recorded", f"{recorded} (caller left, agent right)", "dim")

    def _stream(self, item_id: str, delta: str) -> None:
        if not self._console.is_terminal:
            return
        if self._streaming != item_id:
            self._close_line()
            self._console.print(_label("agent", "green"), end="")
            self._streaming = item_id
            delta = delta.lstrip()
        self._console.print(escape(delta), end="", highlight=False, soft_wrap=True)

    def _answered(self, item_id: str, turn: Turn) -> None:
        if self._streaming == item_id:
            self._close_line()
        elif not self._console.is_terminal and turn.answers.get(item_id):
            self._line("agent", turn.answers[item_id].strip(), "green")

    def _tool(self, item: Event, turn: Turn) -> None:
        use = turn.tool_uses.get(item.get("id", ""))
        if use is None or item["id"] in self._shown_tools:
            return
        self._shown_tools.add(item["id"])
        whose = "the client's" if use.owner == "client" else use.owner
        result = "" if use.output is None else f" -> {use.output}"
        self._line("tool", f"{use.name} ({whose}) {use.arguments}{result}", "red" if use.failed else "magenta")

    def _done(self, turn: Turn) -> None:
        if turn.failure:
            self._line("failed", turn.failure, "red")

    def _line(self, label: str, text: str, style: str) -> None:
        self._close_line()
        self._console.print(_label(label, style) + escape(text), highlight=False, soft_wrap=True)

    def _close_line(self) -> None:
        if self._streaming is not None:
            self._console.print()
            self._streaming = None


def _label(label: str, style: str) -> str:
    return f"[{style}]{label:>8}[/{style}]  "


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
