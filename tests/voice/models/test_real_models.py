"""The real models behind the host; skipped where weights, or the runtimes of the extra `embedded`, are missing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from voice.audio.resample import Resampler
from voice.errors import EngineError, ModelError
from voice.models.client import GenerationDone, ModelHost
from voice.models.manifest import find
from voice.models.settings import HostSettings

FACTS = " ".join(f"Table {number} seats {number % 6 + 2} people." for number in range(1, 20))
PREFIX = f"<|im_start|>system\nYou are a receptionist. {FACTS}<|im_end|>\n"
PROMPT = f"{PREFIX}<|im_start|>user\nHow many people fit at table 3?<|im_end|>\n<|im_start|>assistant\n"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[ModelHost]:
    try:
        for name in ("moonshine-tiny-en", "qwen2.5-coder-0.5b", "hibari"):
            find(name)
        pytest.importorskip("xllamacpp", reason="needs the extra `embedded`")
    except ModelError as error:
        pytest.skip(f"{error} Type: {error.command}")
    async with ModelHost(HostSettings(nice=0)) as running:
        yield running


@pytest.fixture(autouse=True)
def _host_first(host: ModelHost) -> None:
    """Skip every test of this file together."""


async def answer(host: ModelHost, session: str, **more: object) -> tuple[str, GenerationDone]:
    request = {"max_tokens": 24, **more}
    async with contextlib.aclosing(host.generate(session, PROMPT, **request)) as pieces:  # type: ignore[arg-type]
        got = [piece async for piece in pieces]
    done = got.pop()
    assert isinstance(done, GenerationDone)
    return "".join(str(piece) for piece in got), done


async def test_what_it_says_it_understands(host: ModelHost) -> None:
    said = "We are open until late in the evening."
    speech = b"".join([pcm async for pcm in host.speak("s", said, voice="heart", speed=1.0)])
    resampler = Resampler(24_000, 16_000)
    heard = await host.transcribe("s", resampler.process(speech) + resampler.flush())
    assert heard.lower().rstrip(".") == "we are open until late in the evening"


async def test_speech_begins_without_a_pause(host: ModelHost) -> None:
    first = await anext(host.speak("s", "Hello.", voice="heart", speed=1.0))
    samples = memoryview(first).cast("h")
    assert any(abs(sample) > 100 for sample in samples[: 24_000 // 50])


async def test_an_unknown_voice_is_replaced(host: ModelHost) -> None:
    assert [pcm async for pcm in host.speak("s", "Hello.", voice="no such voice", speed=1.0)]


async def test_faster_speech_is_shorter(host: ModelHost) -> None:
    slow = b"".join([pcm async for pcm in host.speak("s", "Good evening.", voice="heart", speed=0.8)])
    fast = b"".join([pcm async for pcm in host.speak("s", "Good evening.", voice="heart", speed=1.5)])
    assert len(fast) < len(slow)


async def test_almost_no_audio_is_no_words(host: ModelHost) -> None:
    assert await host.transcribe("s", b"") == ""
    assert await host.transcribe("s", bytes(2000)) == ""


async def test_a_prefilled_prefix_serves_its_session_and_a_new_one(host: ModelHost) -> None:
    await host.prefill("first", PREFIX)
    _, first = await answer(host, "first")
    await host.prefill("second", PREFIX)
    text, second = await answer(host, "second")
    assert first.prompt_tokens - first.cached_tokens < 32
    assert second.prompt_tokens - second.cached_tokens < 32
    assert "5" in text


async def test_greedy_answers_repeat(host: ModelHost) -> None:
    assert (await answer(host, "first"))[0] == (await answer(host, "first"))[0]


async def test_a_grammar_is_kept_to(host: ModelHost) -> None:
    text, _ = await answer(host, "first", grammar='root ::= "tool" | "talk"')
    assert text in {"tool", "talk"}


async def test_a_stop_string_ends_it_and_is_not_said(host: ModelHost) -> None:
    text, done = await answer(host, "first", stop=["people"])
    assert "people" not in text
    assert done.reason == "stop"


async def test_a_bad_grammar_and_a_long_prompt_are_errors_of_that_request(host: ModelHost) -> None:
    with pytest.raises(EngineError, match="grammar"):
        await answer(host, "first", grammar="root ::= nowhere")
    with pytest.raises(EngineError, match="context"):
        await anext(host.generate("first", "word " * 6000, max_tokens=1))
    assert (await answer(host, "first"))[0]


async def test_a_prefill_makes_room_for_an_answer_and_is_finished_afterwards(host: ModelHost) -> None:
    prefill = asyncio.create_task(host.prefill("third", "Something else. " * 60))
    await asyncio.sleep(0.2)
    await answer(host, "first", max_tokens=2)
    await prefill
