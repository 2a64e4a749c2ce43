"""Barge-in in its three cases, and what of the answer stays in the context (contract 4.7, design §4)."""

from voice.engines.port import MessageStarted
from voice.session.effects import CancelResponse, FlushAudio, SendEvent

TAIL = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
    "rate_limits.updated",
]


def ask(stepper):
    stepper.speak()
    stepper.fall_silent()


def test_case_1_still_generating(stepper, types, speech):
    ask(stepper)
    stepper.answer(*speech("We open ", "at seven.", done=False))
    active = stepper.request().response_id
    effects = stepper.speak()
    assert effects.index(CancelResponse(active)) < next(
        index for index, effect in enumerate(effects) if isinstance(effect, SendEvent)
    )
    assert types(effects) == ["input_audio_buffer.speech_started", *TAIL]
    done = next(frame for frame in stepper.frames if frame["type"] == "response.done")
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["response"]["output"][0]["status"] == "incomplete"
    assert stepper.answer(*speech("Never heard."), response_id=active) == []


def test_case_2_generated_and_still_playing(make_session, types, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("We open ", "at seven.", ms=1000))
    item = stepper.session.conversation.items[-1]
    effects = stepper.speak()
    assert effects.index(FlushAudio()) < next(n for n, effect in enumerate(effects) if isinstance(effect, SendEvent))
    assert not [effect for effect in effects if isinstance(effect, CancelResponse)]
    assert types(effects) == ["input_audio_buffer.speech_started"]
    effects = stepper.take(stepper.session.receive_flushed(item.id, 1500))
    assert types(effects) == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    heard = stepper.session.conversation.get(item.id)
    assert heard.text == "We open at"
    assert heard.parts[0].transcript is None


def test_case_3_all_played(make_session, types, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("We open at seven."))
    item = stepper.session.conversation.items[-1]
    assert types(stepper.take(stepper.session.receive_drained(item.id))) == ["output_audio_buffer.stopped"]
    effects = stepper.speak()
    assert types(effects) == ["input_audio_buffer.speech_started"]
    assert FlushAudio() not in effects
    assert stepper.session.conversation.get(item.id).text == "We open at seven."


def test_a_server_that_plays_truncates_an_answer_cut_while_it_was_generated(make_session, types, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("One two three four.", ms=1000, done=False))
    item_id = stepper.played[-1].item_id
    effects = stepper.speak()
    assert types(effects) == ["input_audio_buffer.speech_started", *TAIL]
    effects = stepper.take(stepper.session.receive_flushed(item_id, 500))
    assert types(effects) == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert stepper.session.conversation.get(item_id).text == "One two"


def test_on_websocket_the_client_truncates(stepper, types, speech):
    ask(stepper)
    stepper.answer(*speech("We open ", "at seven ", "today.", ms=1000, done=False))
    stepper.speak()
    item_id = stepper.played[-1].item_id
    truncation = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 2000}
    assert types(stepper.send(truncation)) == ["conversation.item.truncated"]
    assert stepper.session.conversation.get(item_id).text == "We open at seven"
    stepper.send({"type": "conversation.item.retrieve", "item_id": item_id})
    part = stepper.frames[-1]["item"]["content"][0]
    assert "transcript" not in part
    import base64

    assert len(base64.b64decode(part["audio"])) == 2000 * 48


def test_noise_that_is_no_speech_leaves_the_answer_alone(stepper, types, speech):
    ask(stepper)
    stepper.answer(*speech("We open at seven.", done=False))
    effects = stepper.hear(32, 0.6) + stepper.hear(640, 0.2)
    assert types(effects) == []
    assert not [effect for effect in effects if isinstance(effect, CancelResponse)]


def test_interrupt_response_false_lets_the_answer_go_on_and_answers_afterwards(stepper, types, speech):
    detection = {"type": "server_vad", "interrupt_response": False}
    stepper.send(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}}
    )
    ask(stepper)
    first = stepper.request().response_id
    stepper.answer(*speech("We open ", done=False), response_id=first)
    assert types(stepper.speak()) == ["input_audio_buffer.speech_started"]
    assert "response.created" not in types(stepper.fall_silent())
    effects = stepper.answer(*speech("at seven."), response_id=first)
    assert types(effects)[-3:] == ["response.done", "rate_limits.updated", "response.created"]
    assert stepper.request().response_id != first


def test_an_interrupted_answer_is_in_the_next_context_as_far_as_it_was_heard(make_session, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("First. ", "Second. ", "Third.", ms=1000, done=False))
    item_id = stepper.played[-1].item_id
    stepper.speak()
    stepper.take(stepper.session.receive_flushed(item_id, 1000))
    stepper.fall_silent()
    texts = [item.text for item in stepper.request().items if item.role == "assistant"]
    assert texts == ["First."]


def test_what_was_queued_behind_the_answer_that_was_cut_was_not_heard(make_session, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("First.", ms=1000))
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Second.", ms=1000))
    first, second = stepper.session.conversation.items[-2:]
    stepper.speak()
    stepper.take(stepper.session.receive_flushed(first.id, 0))
    assert [stepper.session.conversation.get(item.id).text for item in (first, second)] == ["", ""]
    cut = [frame["item_id"] for frame in stepper.frames if frame["type"] == "conversation.item.truncated"]
    assert cut == [first.id, second.id]


def test_what_is_queued_behind_an_answer_starts_when_that_has_stopped(make_session, types, speech):
    stepper = make_session(server_plays=True)
    stepper.send({"type": "response.create"})
    first = stepper.request().response_id
    stepper.answer(*speech("One."))
    first_item = stepper.played[-1].item_id
    stepper.send({"type": "response.create"})
    second = stepper.request().response_id
    effects = stepper.answer(*speech("Two."))
    assert "output_audio_buffer.started" not in types(effects)
    effects = stepper.take(stepper.session.receive_drained(first_item))
    frames = [frame for frame in stepper.frames if frame["type"].startswith("output_audio_buffer.")]
    assert [(frame["type"].rpartition(".")[2], frame["response_id"]) for frame in frames] == [
        ("started", first),
        ("stopped", first),
        ("started", second),
    ]


def test_what_was_never_heard_is_not_said_to_be_cleared(make_session, speech):
    stepper = make_session(server_plays=True)
    for words in ("One.", "Two."):
        stepper.send({"type": "response.create"})
        stepper.answer(*speech(words))
    items = list(dict.fromkeys(effect.item_id for effect in stepper.played))
    stepper.take(stepper.session.receive_flushed(items[0], 100))
    frames = [frame for frame in stepper.frames if frame["type"] == "output_audio_buffer.cleared"]
    assert len(frames) == 1
    cut = [frame for frame in stepper.frames if frame["type"] == "conversation.item.truncated"]
    assert [(frame["item_id"], frame["audio_end_ms"]) for frame in cut] == [(items[0], 100), (items[1], 0)]


def test_clearing_the_output_stops_an_answer_that_nobody_has_cancelled(make_session, types, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("One two three four.", ms=1000, done=False))
    active, item_id = stepper.request().response_id, stepper.played[-1].item_id
    effects = stepper.send({"type": "output_audio_buffer.clear"})
    assert CancelResponse(active) in effects
    assert types(effects) == TAIL
    assert effects[-1] == FlushAudio()
    done = next(frame for frame in stepper.frames if frame["type"] == "response.done")
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    effects = stepper.take(stepper.session.receive_flushed(item_id, 500))
    assert types(effects) == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert stepper.session.conversation.get(item_id).text == "One two"
    assert stepper.answer(*speech("five."), response_id=active) == []


def test_clearing_the_output_leaves_an_answer_alone_that_is_still_thought_of(make_session, types, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("One.", ms=1000))
    stepper.send({"type": "response.create"})
    effects = stepper.send({"type": "output_audio_buffer.clear"})
    assert effects == [FlushAudio()]
    stepper.take(stepper.session.receive_flushed(stepper.played[-1].item_id, 500))
    assert "output_audio_buffer.started" in types(stepper.answer(*speech("Two.")))


def test_what_was_heard_whole_stays_whole_while_the_news_of_it_is_on_its_way(make_session, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(
        *speech("We open at seven.", done=False), MessageStarted(), *speech("Shall I ", "book?", ms=1000, done=False)
    )
    stepper.send({"type": "response.create", "response": {"conversation": "none"}})
    stepper.answer(*speech("Aside.", done=False))
    first, second = [item.id for item in stepper.session.conversation.items[1:]]
    stepper.speak()
    stepper.take(stepper.session.receive_flushed(second, 1000))  # `receive_drained` of the first has not come yet
    assert stepper.session.conversation.get(first).text == "We open at seven."
    assert stepper.session.conversation.get(second).text == "Shall I"
    truncated = [frame["item_id"] for frame in stepper.frames if frame["type"] == "conversation.item.truncated"]
    assert truncated == [second]
    assert stepper.take(stepper.session.receive_drained(first)) == []
