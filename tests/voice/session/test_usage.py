"""Tokens by the contract's rates (contract §5)."""

from voice.engines.port import EngineSettings, ResponseRequest, TokenUsage
from voice.session.items import AudioPart, ImagePart, Message, TextPart
from voice.session.usage import UsageMeter, assistant_audio_tokens, text_tokens, user_audio_tokens


def request(*items, **settings):
    return ResponseRequest("resp", items, EngineSettings(**settings))


def test_rates():
    assert (user_audio_tokens(60_000), assistant_audio_tokens(60_000), text_tokens("x" * 9)) == (600, 1200, 3)


def test_speech_counts_as_audio_and_text_as_text():
    user = Message("u", "user", (AudioPart(duration_ms=1000),))
    agent = Message("a", "assistant", (AudioPart(duration_ms=1000),))
    system = Message("s", "system", (TextPart("abcd"),))
    usage = UsageMeter().count(request(user, agent, system, instructions="x" * 8), None, "hello!!!", 500)
    assert usage == TokenUsage(input_text=3, input_audio=30, output_text=2, output_audio=10)


def test_only_the_heard_part_of_an_answer_is_billed_again():
    cut = Message("a", "assistant", (AudioPart(duration_ms=250, truncated=True, heard="One"),))
    assert UsageMeter().count(request(cut), None, "", 0).input_audio == 5


def test_other_instructions_break_the_cache():
    meter = UsageMeter()
    item = Message("s", "system", (TextPart("x" * 40),))
    meter.count(request(item), None, "", 0)
    assert meter.count(request(item), None, "", 0).cached_text == 10
    assert meter.count(request(item, instructions="New."), None, "", 0).cached_text == 0


def test_a_picture_that_was_sent_before_is_cached():
    meter = UsageMeter()
    item = Message("u", "user", (ImagePart("data:image/png;base64,"),))
    first, second = meter.count(request(item), None, "", 0), meter.count(request(item), None, "", 0)
    assert first.cached_image == 0
    assert second.cached_image == second.input_image == first.input_image > 0


def test_an_engines_own_count_stands():
    own = TokenUsage(input_text=7, output_text=3)
    assert UsageMeter().count(request(), own, "whatever", 100) == own


def test_a_response_out_of_band_leaves_the_cache_of_the_conversation_alone():
    meter = UsageMeter()
    item = Message("s", "system", (TextPart("x" * 40),))
    meter.count(request(item), None, "", 0)
    meter.count(ResponseRequest("aside", (), EngineSettings(), in_conversation=False), None, "", 0)
    assert meter.count(request(item), None, "", 0).cached_text == 10
