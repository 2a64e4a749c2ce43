"""Events become turns: stages, words, tools and barge-in are counted to the recording they belong to."""

from typing import Any

from voice.talk.turns import TurnLog


class Story:
    """Feeds events into a log, a tenth of a second apart."""

    def __init__(self) -> None:
        self.log = TurnLog()
        self.now_s = 0.0

    def hear(self, kind: str, **fields: Any) -> None:
        self.now_s = round(self.now_s + 0.1, 3)
        self.log.receive({"type": kind, **fields}, self.now_s)

    def speech(self, item: str) -> None:
        self.hear("input_audio_buffer.speech_started", item_id=item)
        self.hear("input_audio_buffer.speech_stopped", item_id=item)
        self.hear("input_audio_buffer.committed", item_id=item)

    def answer(self, response: str, item: str, words: str) -> None:
        self.hear("response.created", response={"id": response})
        self.hear("response.output_audio_transcript.delta", response_id=response, item_id=item, delta=words)
        self.hear("response.output_audio.delta", response_id=response, item_id=item)

    def done(self, response: str, status: str = "completed", **fields: Any) -> None:
        self.hear("response.done", response={"id": response, "status": status, **fields})


def test_each_stage_is_counted_from_the_end_of_speech() -> None:
    story = Story()
    turn = story.log.begin("a.wav", 0.0, 0.1)
    story.speech("u1")
    story.hear("conversation.item.input_audio_transcription.delta", item_id="u1", delta="a tab")
    story.hear("conversation.item.input_audio_transcription.completed", item_id="u1", transcript=" A table? ")
    story.answer("r1", "a1", "Yes.")
    story.done("r1")
    assert [
        round(turn.latency_ms(stage) or 0) for stage in ("decided", "transcript", "first_token", "first_audio")
    ] == [
        100,
        400,
        600,
        700,
    ]
    assert (turn.transcript, turn.answer, turn.answered) == ("A table?", "Yes.", True)


def test_a_greeting_belongs_to_no_turn() -> None:
    story = Story()
    story.answer("r0", "a0", "Hello")
    turn = story.log.begin("a.wav", 0.0, 0.1)
    story.done("r0")
    assert story.log.greeting.answer == "Hello"
    assert story.log.greeting.answered
    assert not turn.answered


def test_a_barge_in_leaves_the_old_answer_with_its_turn() -> None:
    story = Story()
    first = story.log.begin("a.wav", 0.0, 0.1)
    story.speech("u1")
    story.answer("r1", "a1", "Let me")
    second = story.log.begin("b.wav", story.now_s, story.now_s)
    story.hear("input_audio_buffer.speech_started", item_id="u2")
    story.hear("response.output_audio_transcript.done", response_id="r1", item_id="a1", transcript="Let me")
    story.done("r1", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    story.hear("input_audio_buffer.speech_stopped", item_id="u2")
    story.answer("r2", "a2", "Sorry")
    story.hear("conversation.item.input_audio_transcription.completed", item_id="u1", transcript="First")
    assert (first.transcript, first.answer, first.interrupted) == ("First", "Let me", True)
    assert (second.answer, second.interrupted, second.answered) == ("Sorry", False, False)


def test_a_pause_in_the_recording_restarts_the_stages() -> None:
    story = Story()
    turn = story.log.begin("a.wav", 0.0, 1.0)
    story.speech("u1")
    story.answer("r1", "a1", "Wh")
    story.hear("input_audio_buffer.speech_started", item_id="u2")
    story.done("r1", "cancelled", status_details={"reason": "turn_detected"})
    assert turn.first_audio_s is None
    story.hear("input_audio_buffer.speech_stopped", item_id="u2")
    assert turn.decided_s == story.now_s


def test_the_answer_to_the_first_part_of_a_recording_is_not_the_whole() -> None:
    story = Story()
    turn = story.log.begin("a.wav", 0.0, 1.0)
    story.speech("u1")
    story.answer("r1", "a1", "Wh")
    story.hear("input_audio_buffer.speech_started", item_id="u2")
    story.done("r1", "cancelled", status_details={"reason": "turn_detected"})
    assert not turn.answered
    story.hear("input_audio_buffer.speech_stopped", item_id="u2")
    assert not turn.answered
    story.answer("r2", "a2", "Yes.")
    story.done("r2")
    assert turn.answered


def test_a_service_tool_makes_the_answer_wait_for_the_follow_up() -> None:
    story = Story()
    turn = story.log.begin("a.wav", 0.0, 0.1)
    story.speech("u1")
    story.hear("response.created", response={"id": "r1"})
    call = {
        "id": "m1",
        "type": "mcp_call",
        "name": "book",
        "arguments": "{}",
        "server_label": "service",
        "output": "ok",
    }
    story.hear("response.output_item.added", response_id="r1", item={**call, "output": None})
    story.hear("response.output_item.done", response_id="r1", item=call)
    story.done("r1", output=[call])
    assert not turn.answered
    story.answer("r2", "a2", "Booked.")
    story.done("r2", output=[])
    assert turn.answered
    assert [(use.name, use.owner, use.output, use.failed) for use in turn.tools] == [("book", "service", "ok", False)]


def test_a_client_tool_and_a_failed_response_are_shown() -> None:
    story = Story()
    turn = story.log.begin("a.wav", 0.0, 0.1)
    story.speech("u1")
    story.hear("response.created", response={"id": "r1"})
    call = {"id": "f1", "type": "function_call", "name": "lamp", "arguments": "{}", "call_id": "c1"}
    story.hear("response.output_item.done", response_id="r1", item=call)
    story.done("r1", "failed", status_details={"error": {"message": "the engine has died"}}, output=[call])
    assert turn.tools[0].owner == "client"
    assert turn.failure == "the engine has died"
    assert turn.answered


def test_push_to_talk_is_decided_by_the_commit() -> None:
    story = Story()
    turn = story.log.begin("a.wav", 0.0, 0.0)
    story.hear("input_audio_buffer.committed", item_id="u1")
    story.answer("r1", "a1", "Yes.")
    assert turn.latency_ms("decided") == 100
