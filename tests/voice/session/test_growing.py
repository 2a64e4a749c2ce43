"""Words before the commit: push to talk with a transcription model that streams (contract 3.3)."""

from collections.abc import Callable
from typing import Any

import pytest

from voice.engines.port import Capabilities, TranscriptDelta, TranscriptDone
from voice.errors import EngineUnavailable
from voice.session.effects import CancelTranscription, DropAudio, HearAudio, StartTranscription

FOLLOWS = Capabilities(follows_speech=True)
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"


def configure(stepper: Any, *, model: str = "gpt-live-transcribe", turn_detection: Any = None) -> list[Any]:
    heard = {"turn_detection": turn_detection, "transcription": {"model": model}}
    result: list[Any] = stepper.send(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": heard}}}
    )
    return result


def transcriptions(stepper: Any) -> list[Any]:
    return [effect.request for effect in stepper.effects if isinstance(effect, StartTranscription)]


def write(stepper: Any, item_id: str, *events: Any) -> None:
    for event in events:
        stepper.take(stepper.session.receive_transcription_event(item_id, event))


def told(stepper: Any) -> list[tuple[str, str]]:
    """Return the words that the client was given, and `completed` with all of them."""
    frames = [frame for frame in stepper.frames if frame["type"] in (DELTA, COMPLETED)]
    return [(frame["type"].rpartition(".")[2], frame.get("delta", frame.get("transcript"))) for frame in frames]


@pytest.fixture
def stepper(make_session: Callable[..., Any]) -> Any:
    stepper = make_session(capabilities=FOLLOWS)
    configure(stepper)
    return stepper


def test_the_item_is_followed_from_its_first_sound_under_the_id_that_it_keeps(stepper: Any) -> None:
    stepper.hear(500)
    (request,) = transcriptions(stepper)
    assert (request.is_growing, request.pcm, request.model) == (True, b"", "gpt-live-transcribe")
    heard = [effect for effect in stepper.effects if isinstance(effect, HearAudio)]
    assert {effect.item_id for effect in heard} == {request.item_id}
    assert sum(effect.frame.duration_ms for effect in heard) == 500
    write(stepper, request.item_id, TranscriptDelta("We open"))
    assert stepper.frames[-1]["item_id"] == request.item_id
    effects = stepper.send({"type": "input_audio_buffer.commit"})
    assert effects.index(CancelTranscription(request.item_id)) < effects.index(
        StartTranscription(transcriptions(stepper)[-1])
    )
    assert not transcriptions(stepper)[-1].is_growing
    assert [item.id for item in stepper.session.conversation.items] == [request.item_id]


def test_the_whole_transcript_adds_what_was_not_given(stepper: Any) -> None:
    stepper.hear(500)
    item_id = transcriptions(stepper)[0].item_id
    write(stepper, item_id, TranscriptDelta("We open"), TranscriptDelta(" at"))
    stepper.send({"type": "input_audio_buffer.commit"})
    write(stepper, item_id, TranscriptDelta("We open at seven."), TranscriptDone("We open at seven."))
    assert told(stepper) == [
        ("delta", "We open"),
        ("delta", " at"),
        ("delta", " seven."),
        ("completed", "We open at seven."),
    ]


def test_words_that_turn_out_to_be_others_are_set_right_when_all_are_known(stepper: Any) -> None:
    stepper.hear(500)
    item_id = transcriptions(stepper)[0].item_id
    write(stepper, item_id, TranscriptDelta("We often"))
    stepper.send({"type": "input_audio_buffer.commit"})
    write(stepper, item_id, TranscriptDelta("We open."), TranscriptDone("We open."))
    assert told(stepper) == [("delta", "We often"), ("completed", "We open.")]


def test_what_is_cleared_was_no_item_and_the_next_one_is_another(stepper: Any) -> None:
    stepper.hear(500)
    first = transcriptions(stepper)[0].item_id
    write(stepper, first, TranscriptDelta("We"))
    effects = stepper.send({"type": "input_audio_buffer.clear"})
    assert CancelTranscription(first) in effects
    assert DropAudio(first) in effects
    stepper.hear(500)
    second = transcriptions(stepper)[-1].item_id
    assert second != first
    write(stepper, second, TranscriptDelta("Yes"))
    stepper.send({"type": "input_audio_buffer.commit"})
    write(stepper, second, TranscriptDone("Yes."))
    assert told(stepper) == [("delta", "We"), ("delta", "Yes"), ("delta", "."), ("completed", "Yes.")]


def test_a_commit_that_is_too_early_changes_nothing(stepper: Any, types: Callable[..., list[str]]) -> None:
    stepper.hear(50)
    effects = stepper.send({"type": "input_audio_buffer.commit"})
    assert types(effects) == ["error"]
    assert len(effects) == 1
    stepper.hear(500)
    assert len(transcriptions(stepper)) == 1


def test_other_models_and_other_engines_wait_for_the_commit(make_session: Callable[..., Any]) -> None:
    for capabilities, model in ((FOLLOWS, "whisper-1"), (Capabilities(), "gpt-live-transcribe")):
        stepper = make_session(capabilities=capabilities)
        configure(stepper, model=model)
        stepper.hear(500)
        assert transcriptions(stepper) == []


def test_following_ends_when_turns_are_found_again(stepper: Any) -> None:
    stepper.hear(500)
    item_id = transcriptions(stepper)[0].item_id
    assert CancelTranscription(item_id) not in configure(stepper)
    effects = configure(stepper, turn_detection={"type": "server_vad"})
    assert CancelTranscription(item_id) in effects
    stepper.speak()
    stepper.fall_silent()
    assert not transcriptions(stepper)[-1].is_growing


def test_following_that_fails_is_made_good_at_the_commit(stepper: Any) -> None:
    stepper.hear(500)
    item_id = transcriptions(stepper)[0].item_id
    write(stepper, item_id, TranscriptDelta("We"))
    stepper.take(stepper.session.receive_transcription_failure(item_id, EngineUnavailable("gone")))
    stepper.send({"type": "input_audio_buffer.commit"})
    write(stepper, item_id, TranscriptDelta("We open"), TranscriptDone("We open"))
    assert told(stepper) == [("delta", "We"), ("delta", " open"), ("completed", "We open")]
    assert not [frame for frame in stepper.frames if frame["type"].endswith(".failed")]


def test_a_transcript_that_fails_is_told_and_the_next_one_begins_anew(stepper: Any) -> None:
    stepper.hear(500)
    item_id = transcriptions(stepper)[0].item_id
    write(stepper, item_id, TranscriptDelta("We"))
    stepper.send({"type": "input_audio_buffer.commit"})
    stepper.take(stepper.session.receive_transcription_failure(item_id, EngineUnavailable("gone")))
    assert stepper.frames[-1]["type"] == "conversation.item.input_audio_transcription.failed"
