"""Tools that the engine runs itself: shown as `mcp_call` items, asked for by the client, answered like our own."""

from voice.engines.port import EngineDone, HostedCall, TextDelta, ToolCallDone, ToolCallStarted
from voice.session.effects import AnswerApproval, RunMcpTool, RunTool, StartResponse
from voice.tooling import ToolResult

CALLED = (ToolCallStarted("mcp_u", "price", "shop"), ToolCallDone("mcp_u", "price", "{}"))
RUNNING = HostedCall("mcp_u", "running")
OVER = HostedCall("mcp_u", "over", ToolResult("3 euros"))


def starts(effects):
    return [effect for effect in effects if isinstance(effect, StartResponse)]


def tell(stepper, notice):
    return stepper.take(stepper.session.receive_engine_notice(notice))


def test_a_call_is_shown_with_its_output_and_nobody_runs_it(stepper, types):
    stepper.send({"type": "response.create"})
    effects = stepper.answer(*CALLED, RUNNING, OVER, TextDelta("3 euros."), EngineDone())
    assert types(effects)[:8] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "response.output_item.done",
        "conversation.item.done",
        "response.output_item.added",
    ]
    assert not [effect for effect in effects if isinstance(effect, RunTool | RunMcpTool)]
    done = [frame for frame in stepper.frames if frame["type"] == "response.done"][-1]["response"]
    call = done["output"][0]
    assert (call["type"], call["server_label"], call["name"], call["output"]) == (
        "mcp_call", "shop", "price", "3 euros"
    )  # fmt: skip
    assert not starts(effects), "the engine has said what there is to say"


def test_a_call_that_the_engine_said_nothing_about_is_followed_by_an_answer(stepper):
    stepper.send({"type": "response.create"})
    effects = stepper.answer(*CALLED, RUNNING, OVER, EngineDone())
    (start,) = starts(effects)
    assert start.request.items[-1].output == "3 euros"


def test_a_response_waits_for_a_call_that_ends_after_the_engines_answer(stepper, types):
    stepper.send({"type": "response.create"})
    assert "response.done" not in types(stepper.answer(*CALLED, EngineDone()))
    tell(stepper, RUNNING)
    effects = tell(stepper, OVER)
    assert "response.done" in types(effects)
    assert starts(effects)


def test_a_failed_call_says_why(stepper, types):
    stepper.send({"type": "response.create"})
    failed = HostedCall("mcp_u", "over", ToolResult("bad", True, "http_error", 502))
    effects = stepper.answer(*CALLED, RUNNING, failed, EngineDone())
    assert "response.mcp_call.failed" in types(effects)
    done = [frame for frame in stepper.frames if frame["type"] == "response.done"][-1]["response"]
    assert done["output"][0]["error"] == {"type": "http_error", "code": 502, "message": "bad"}


def ask_for_approval(stepper):
    stepper.send({"type": "response.create"})
    stepper.answer(*CALLED, HostedCall("mcp_u", "asks"), EngineDone())
    items = [frame["item"] for frame in stepper.frames if frame["type"] == "conversation.item.added"]
    assert stepper.frames[-2]["type"] == "response.done"
    return next(item["id"] for item in items if item["type"] == "mcp_approval_request")


def answer_approval(stepper, request_id, *, approve):
    item = {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve}
    return stepper.send({"type": "conversation.item.create", "item": item})


def test_a_client_that_allows_a_call_is_told_its_result(stepper, types):
    request_id = ask_for_approval(stepper)
    effects = answer_approval(stepper, request_id, approve=True)
    assert [effect for effect in effects if isinstance(effect, AnswerApproval)] == [AnswerApproval("mcp_u", True, None)]
    assert not starts(effects)
    assert types(tell(stepper, RUNNING)) == ["response.mcp_call.in_progress"]
    effects = tell(stepper, OVER)
    assert types(effects)[:2] == ["response.mcp_call.completed", "conversation.item.done"]
    assert starts(effects)


def test_a_client_that_does_not_allow_a_call_hears_about_it(stepper):
    effects = answer_approval(stepper, ask_for_approval(stepper), approve=False)
    assert [effect for effect in effects if isinstance(effect, AnswerApproval)] == [
        AnswerApproval("mcp_u", False, None)
    ]
    (start,) = starts(effects)
    assert "not approved" in start.request.items[-1].error


def test_an_approval_out_of_band_cannot_be_asked_for(stepper, types):
    stepper.send({"type": "response.create", "response": {"conversation": "none"}})
    effects = stepper.answer(*CALLED, HostedCall("mcp_u", "asks"), EngineDone())
    assert "conversation.item.added" not in types(effects)
    done = [frame for frame in stepper.frames if frame["type"] == "response.done"][-1]["response"]
    assert "out of band" in done["output"][0]["error"]["message"]


def test_a_call_goes_on_when_the_caller_talks_over_it(stepper, types):
    stepper.send({"type": "response.create"})
    stepper.answer(*CALLED, RUNNING)
    stepper.send({"type": "response.cancel"})
    assert "response.mcp_call.completed" in types(tell(stepper, OVER))


def test_what_is_told_of_an_unknown_call_is_nothing(stepper, types):
    assert types(tell(stepper, HostedCall("mcp_x", "running"))) == []
    assert types(tell(stepper, HostedCall("mcp_x", "over", ToolResult("?")))) == []
