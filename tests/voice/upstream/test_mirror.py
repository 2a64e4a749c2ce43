"""The mirror makes an upstream's conversation ours with as little as has to be said."""

from dataclasses import replace

from voice.session.items import AudioPart, Message, TextPart, ToolCall
from voice.upstream.mirror import Mirror

HELLO = Message("item_1", "user", (TextPart("hello"),))
SPOKEN = Message("item_2", "assistant", (AudioPart(b"\0\0" * 24_000, 1000, "Good day to you."),))
CUT = replace(SPOKEN, parts=(AudioPart(b"", 400, None, heard="Good day", truncated=True),))
ASKED = Message("item_3", "user", (AudioPart(b"\0\0" * 4800, 200, "and you"),))


def kinds(events):
    return [event["type"] for event in events]


def test_a_fresh_mirror_replays_the_whole_conversation_in_order():
    events = Mirror().sync([HELLO, SPOKEN, ASKED])
    assert [event["item"]["id"] for event in events] == ["item_1", "item_2", "item_3"]
    assert [event["previous_item_id"] for event in events] == ["root", "item_1", "item_2"]
    assert events[1]["item"]["content"] == [{"type": "output_text", "text": "Good day to you."}]
    assert events[2]["item"]["content"][0]["type"] == "input_audio"


def test_what_is_there_is_not_sent_again():
    mirror = Mirror()
    mirror.sync([HELLO])
    assert mirror.sync([HELLO]) == []


def test_speech_without_its_sound_is_replayed_in_words():
    silent = replace(ASKED, parts=(AudioPart(b"", 200, "and you"),))
    assert Mirror().sync([silent])[0]["item"]["content"] == [{"type": "input_text", "text": "and you"}]


def test_agent_speech_that_was_cut_is_replayed_as_far_as_it_was_heard():
    assert Mirror().sync([CUT])[0]["item"]["content"] == [{"type": "output_text", "text": "Good day"}]


def test_an_answer_of_the_upstream_is_known_and_its_cut_is_told_once():
    mirror = Mirror()
    mirror.note_output("item_2")
    assert mirror.sync([SPOKEN]) == []
    assert mirror.cut(CUT) == [
        {"type": "conversation.item.truncate", "item_id": "item_2", "content_index": 0, "audio_end_ms": 400}
    ]
    assert mirror.sync([CUT]) == []


def test_an_answer_that_nobody_heard_is_deleted_there():
    mirror = Mirror()
    mirror.note_output("item_9")
    assert mirror.sync([HELLO])[0] == {"type": "conversation.item.delete", "item_id": "item_9"}


def test_an_item_that_was_deleted_here_is_deleted_there():
    mirror = Mirror()
    mirror.sync([HELLO, ASKED])
    assert mirror.sync([ASKED]) == [{"type": "conversation.item.delete", "item_id": "item_1"}]


def test_speech_that_is_being_committed_is_not_created_and_keeps_the_upstreams_name():
    mirror = Mirror()
    mirror.note_speech("item_3")
    assert mirror.sync([ASKED]) == []
    mirror.note_speech("item_3", "item_theirs")
    assert mirror.sync([]) == [{"type": "conversation.item.delete", "item_id": "item_theirs"}]


def test_the_output_of_a_call_that_this_service_ran_follows_the_call():
    call = ToolCall("mcp_1", "call_1", "book", "{}", server_label="agent")
    mirror = Mirror()
    mirror.note_output("item_7", "call_1")
    assert mirror.sync([call]) == []
    events = mirror.sync([replace(call, output="booked")])
    assert events[0]["previous_item_id"] == "item_7"
    assert events[0]["item"] == {
        "type": "function_call_output", "id": "mcp_1o", "call_id": "call_1", "output": "booked"
    }  # fmt: skip
    assert mirror.sync([replace(call, output="booked")]) == []


def test_a_call_that_was_cut_short_is_not_replayed():
    assert Mirror().sync([ToolCall("item_4", "call_1", "book", '{"a', "incomplete")]) == []


def test_a_change_to_what_we_created_replaces_it_in_its_place():
    mirror = Mirror()
    mirror.sync([SPOKEN, HELLO])
    events = mirror.sync([CUT, HELLO])
    assert kinds(events) == ["conversation.item.delete", "conversation.item.create"]
    assert events[1]["previous_item_id"] == "root"


def test_the_conversation_as_it_stands_there_needs_no_words_for_an_answer_beside_it():
    mirror = Mirror()
    mirror.sync([HELLO])
    assert mirror.context([HELLO]) is None
    (item,) = mirror.context([ASKED]) or []
    assert item["content"][0]["type"] == "input_audio"
    assert "id" not in item


def turn(number, seconds, words="said"):
    pcm = bytes(48_000 * seconds)
    return Message(f"item_{number}", "user", (AudioPart(pcm, 1000 * seconds, words),))


def part_types(events):
    return [event["item"]["content"][0]["type"] for event in events]


def test_of_a_long_conversation_the_last_minute_is_replayed_as_sound_and_the_rest_in_words():
    events = Mirror().sync([turn(number, 20) for number in range(5)], is_replay=True)
    assert part_types(events) == ["input_text", "input_text", "input_audio", "input_audio", "input_audio"]


def test_the_turn_that_is_to_be_answered_is_always_replayed_as_sound():
    assert part_types(Mirror().sync([turn(1, 20), turn(2, 90)], is_replay=True)) == ["input_text", "input_audio"]


def test_a_turn_that_nobody_wrote_down_sounds_for_another_minute():
    turns = [turn(1, 40, None), turn(2, 40, None), turn(3, 40)]
    assert part_types(Mirror().sync(turns, is_replay=True)) == ["input_audio", "input_audio", "input_audio"]
    assert part_types(Mirror().sync([turn(0, 40, None), *turns], is_replay=True)) == [
        "input_text",
        *["input_audio"] * 3,
    ]


def test_sound_that_is_let_go_here_stays_there():
    mirror = Mirror()
    mirror.sync([ASKED])
    assert mirror.sync([replace(ASKED, parts=(AudioPart(b"", 200, "and you"),))]) == []


def test_what_no_upstream_has_heard_is_told_as_sound_however_long_it_is():
    assert set(part_types(Mirror().sync([turn(number, 20) for number in range(9)]))) == {"input_audio"}
