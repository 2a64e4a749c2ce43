"""What a run's results say of each event, and how they are shown."""

import io
import json

import pytest
from rich.console import Console

from voice.conformance.checks import Violation
from voice.conformance.flow import Flow
from voice.conformance.report import file_name, print_report, record, to_json
from voice.conformance.results import FlowResult, Report, count


async def nothing(_: object) -> None:
    raise AssertionError("not played here")


def flow(name: str = "text turn", **options) -> Flow:
    given = {"sends": ("response.create",), "shows": ("response.created", "response.done")} | options
    return Flow(name, "text", nothing, "What it shows.", **given)


def held(**options) -> FlowResult:
    seen = frozenset({"response.created", "response.done"})
    return FlowResult(flow(**options), "held", sent=frozenset({"response.create"}), seen=seen)


def failed(event: str | None = "response.done") -> FlowResult:
    violation = Violation("response.done: usage is missing", {"type": "response.done", "event_id": "event_7"}, event)
    seen = frozenset({"response.created", "response.done"})
    return FlowResult(flow(), "failed", violation.text, [violation], frozenset({"response.create"}), seen)


def outcomes(report: Report) -> dict[str, str]:
    return {event.type: event.outcome for event in (*report.client_events(), *report.server_events())}


def test_an_event_holds_when_it_came_and_was_right() -> None:
    found = outcomes(Report("ws://x", [held()]))
    assert found["response.create"] == found["response.created"] == found["response.done"] == "held"


def test_an_event_fails_when_one_of_it_was_wrong() -> None:
    found = outcomes(Report("ws://x", [held(), failed()]))
    assert found["response.done"] == "failed"
    assert found["response.created"] == "held"
    assert found["response.create"] == "held"


def test_an_event_that_should_have_come_and_did_not_fails() -> None:
    result = FlowResult(flow(), "failed", "response.done did not come", [Violation("response.done did not come")])
    assert outcomes(Report("ws://x", [result]))["response.done"] == "failed"


def test_what_cannot_be_shown_says_why() -> None:
    result = FlowResult(flow(), "not served", "there is no model")
    report = Report("ws://x", [result])
    reasons = {event.type: (event.outcome, event.reason) for event in report.server_events()}
    assert reasons["response.done"] == ("not served", "text turn: there is no model")
    assert reasons["conversation.item.created"][1] == "a name of the beta, not to be sent"
    assert reasons["output_audio_buffer.started"][1] == "only a WebRTC or SIP leg shows it"
    assert reasons["mcp_list_tools.failed"] == ("skipped", "no flow of this run shows it")


@pytest.mark.parametrize(("outcome", "fails"), [("held", False), ("skipped", False), ("not served", False)])
def test_only_a_failure_fails_the_run(outcome, fails) -> None:
    assert Report("ws://x", [FlowResult(flow(), outcome)]).has_failed is fails
    assert Report("ws://x", [FlowResult(flow(), outcome), failed()]).has_failed


def test_the_table_shows_failures_with_their_frames_and_the_sums() -> None:
    out = io.StringIO()
    report = Report("ws://x", [held(), failed()], ["a note"])
    print_report(report, Console(file=out, width=200, color_system=None))
    text = out.getvalue()
    assert '{"type": "response.done", "event_id": "event_7"}' in text
    assert "Flows                      1 of 2 (1 failed)" in text
    assert "Client events              1 of 11" in text
    assert "a note" in text


def test_the_json_holds_all_of_it() -> None:
    found = json.loads(json.dumps(to_json(Report("ws://x", [failed()]))))
    assert found["conforms"] is False
    assert (len(found["client_events"]), len(found["server_events"])) == (11, 46)
    assert found["flows"][0]["violations"][0]["frame"]["event_id"] == "event_7"


def test_a_transcript_is_a_line_a_frame(tmp_path) -> None:
    result = held(name="μ-law answer")
    result.transcript = [{"from": "server", "at_ms": 3, "event": {"type": "session.created"}}]
    record(result, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == "text-u-law-answer.jsonl"
    assert [json.loads(line) for line in file.read_text().splitlines()] == result.transcript
    assert file_name(result) == "text-u-law-answer"


def test_counting_is_of_what_held() -> None:
    assert count([held(), failed()]) == "1 of 2"
