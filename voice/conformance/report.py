"""Shows a run: a table for people, one JSON object for programs, a folder of transcripts for whoever looks closer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from voice.conformance.results import EventResult, FlowResult, Report, count

_MARKS = {
    "held": "[green]held[/]",
    "failed": "[bold red]FAILED[/]",
    "not served": "[yellow]not served[/]",
    "skipped": "[dim]skipped[/]",
}
_SHOWN_CHARS = 600
_SHOWN_VIOLATIONS = 3
_TITLES = {"flow": "Flows", "error": "Error cases", "rest": "REST calls and handshakes"}


def print_report(report: Report, console: Console) -> None:
    """Print everything, failures with the frames that show them, the sums last."""
    for kind, title in _TITLES.items():
        results = report.of(kind)
        if results:
            console.print(f"\n[bold]{title}[/]")
            for result in results:
                _print_result(result, console)
    client_events, server_events = report.client_events(), report.server_events()
    _print_events("Client events", client_events, console)
    _print_events("Server events", server_events, console)
    console.print(f"\n[bold]{escape(report.url)}[/]")
    console.print(f"  {'Client events':<26} {count(client_events)}")
    console.print(f"  {'Server events':<26} {count(server_events)}")
    for kind, title in _TITLES.items():
        if results := report.of(kind):
            console.print(f"  {title:<26} {count(results)}{_others(results)}")
    for note in report.notes:
        console.print(f"  [yellow]{escape(note)}[/]")


def _print_result(result: FlowResult, console: Console) -> None:
    reason = f"  {result.reason}" if result.outcome in ("not served", "skipped") else ""
    name = escape(f"{result.flow.family}: {result.flow.name}" if result.flow.kind == "flow" else result.flow.name)
    console.print(f"  {name:<52} {_MARKS[result.outcome]}{escape(reason)}")
    for violation in result.violations[:_SHOWN_VIOLATIONS]:
        console.print(f"      {escape(violation.text)}")
        if violation.frame is not None:
            console.print(f"      [dim]{escape(_cut(json.dumps(violation.frame, ensure_ascii=False)))}[/]")
    left = len(result.violations) - _SHOWN_VIOLATIONS
    if left > 0:
        console.print(f"      and {left} more: --json shows all")


def _print_events(title: str, events: Sequence[EventResult], console: Console) -> None:
    console.print(f"\n[bold]{title}[/]")
    for event in events:
        reason = f"  {escape(event.reason)}" if event.reason else ""
        console.print(f"  {event.type:<52} {_MARKS[event.outcome]}{reason}")


def _others(results: Sequence[FlowResult]) -> str:
    found = [
        f"{number} {outcome}"
        for outcome in ("failed", "not served", "skipped")
        if (number := sum(result.outcome == outcome for result in results))
    ]
    return f" ({', '.join(found)})" if found else ""


def to_json(report: Report) -> dict[str, Any]:
    """Return the run as one object."""
    return {
        "url": report.url,
        "conforms": not report.has_failed,
        "client_events": [_event_to_json(event) for event in report.client_events()],
        "server_events": [_event_to_json(event) for event in report.server_events()],
        "flows": [_result_to_json(result) for result in report.results],
        "notes": report.notes,
    }


def _event_to_json(event: EventResult) -> dict[str, Any]:
    return {"type": event.type, "outcome": event.outcome, "reason": event.reason or None}


def _result_to_json(result: FlowResult) -> dict[str, Any]:
    return {
        "name": result.flow.name,
        "family": result.flow.family,
        "kind": result.flow.kind,
        "summary": result.flow.summary,
        "outcome": result.outcome,
        "reason": result.reason or None,
        "took_s": round(result.took_s, 3),
        "violations": [
            {"text": violation.text, "event": violation.event, "frame": violation.frame}
            for violation in result.violations
        ],
    }


def record(result: FlowResult, folder: Path) -> None:
    """Write the transcript of a flow, a frame a line; what connects by itself has none. Raises: OSError."""
    if result.transcript:
        lines = (json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in result.transcript)
        (folder / f"{file_name(result)}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def file_name(result: FlowResult) -> str:
    """Return a name for a flow's file."""
    text = f"{result.flow.family}-{result.flow.name}".lower()
    return "".join(each if each.isalnum() and each.isascii() else "-" for each in text.replace("μ", "u"))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} …"
