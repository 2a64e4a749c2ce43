"""Two instances of this service, one the other's engine: the first talks to clients, the second thinks for it.

Between them stands the upstream that misbehaves when it is told to, and shows what the two say to each other.
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import Fault

Frame = dict[str, Any]
Say = Callable[[str], Recording]
Front = tuple[ServiceProcess, int]

MODES = ("ours", "upstream")
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
MODELS = ("client-tool", "service-tool", "long-answer")
DATA = Path(__file__).parents[1] / "data" / "interop"


def configuration(port: int) -> str:
    """Every model of the second instance, in both ways of taking turns."""
    url = f"ws://127.0.0.1:{port}/v1/realtime"
    engines, agents = [], []
    for mode in MODES:
        for model in MODELS:
            engines.append(
                f"  {mode}-{model}: {{type: upstream, url: '{url}', model: {model}, turns: {mode}, "
                "connect_s: 1, answer_s: 1.5, next_s: 1}"
            )
            tools = ", tools: ['interop_tools:opening_hours']" if model == "service-tool" else ""
            agents.append(f"  {mode}-{model}: {{engine: {mode}-{model}{tools}}}")
    entries = "\n".join(["engines:", *engines, "agents:", *agents])
    return f"{entries}\naliases: {{gpt-realtime: ours-long-answer}}\nlog: {{level: info}}\n"


@pytest.fixture(scope="module")
def front(scripted: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The first instance, and the port at which it looks for its upstream."""
    port, folder = free_port(), tmp_path_factory.mktemp("front")
    (folder / "config.yaml").write_text(configuration(port))
    (folder / "interop_tools.py").write_text((DATA / "interop_tools.py").read_text())
    with ServiceProcess("--config", str(folder / "config.yaml"), ready_timeout_s=30) as service:
        yield service, port


def events(messages: Sequence[str], kind: str) -> list[Frame]:
    """The events of that type among the messages of a passage."""
    return [event for event in map(json.loads, messages) if event["type"] == kind]


def of(frames: list[Frame], kind: str) -> list[Frame]:
    return [frame for frame in frames if frame["type"] == kind]


def words(frames: list[Frame]) -> str:
    return " ".join(frame["transcript"] for frame in of(frames, "response.output_audio_transcript.done"))


async def configure(client: Any, **session: Any) -> None:
    heard = {"transcription": {"model": "gpt-4o-mini-transcribe"}}
    await client.connection.session.update(session={"type": "realtime", "audio": {"input": heard}, **session})
    await client.wait(lambda frames: of(frames, "session.updated"))


@pytest.mark.parametrize("mode", MODES)
async def test_three_spoken_turns_with_a_tool_call(
    stand_before: Any,
    mode: str,
    front: Front,
    scripted: ServiceProcess,
    hold: Any,
    say: Say,
    recorded: Any,
    violations: Any,
) -> None:
    service, port = front
    proxy = stand_before(scripted.url)
    turns: list[list[Frame]] = []

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = lambda arguments: f"sunny in {arguments['city']}"
        await configure(client, tools=[WEATHER], instructions="Be brief.")
        turns.append(await client.ask(recorded("cards_001")))
        turns.append(await client.ask(say("What is the weather in Paris?")))
        turns.append(await client.ask(recorded("spk1_snt4")))
        await client.wait(lambda frames: len(of(frames, TRANSCRIBED)) == 3)  # words may come behind the answer

    async with proxy.serving(port=port):
        frames = await hold(service, f"{mode}-client-tool", conversation)
    assert violations(frames) == []
    assert ["sunny in Paris" in words(turn) for turn in turns] == [False, True, False]
    assert all(words(turn) for turn in turns)
    assert len(of(frames, TRANSCRIBED)) == 3
    assert [frame["response"]["status"] for frame in of(frames, "response.done")] == ["completed"] * 4
    passage = proxy.passages[0]
    detection = events(passage.to_upstream, "session.update")[-1]["session"]["audio"]["input"]["turn_detection"]
    assert (detection is None) == (mode == "ours")
    assert len(events(passage.to_client, "input_audio_buffer.speech_started")) == (0 if mode == "ours" else 3)
    assert len(events(passage.to_client, "input_audio_buffer.committed")) == 3
    # Audio is passed on as it came: not one sample more or less at the caller than the upstream spoke.
    spoken = [event["delta"] for event in events(passage.to_client, "response.output_audio.delta")]
    assert spoken == [frame["delta"] for frame in of(frames, "response.output_audio.delta")]
    counted = [event["response"]["usage"] for event in events(passage.to_client, "response.done")]
    assert counted == [frame["response"]["usage"] for frame in of(frames, "response.done")]


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_of_the_first_instance_is_run_there(
    stand_before: Any,
    mode: str,
    front: Front,
    scripted: ServiceProcess,
    hold: Any,
    say: Say,
    violations: Any,
) -> None:
    service, port = front
    proxy = stand_before(scripted.url)

    async def conversation(client: Any) -> None:
        await client.ask(say("Please look up the opening hours for Friday."))

    async with proxy.serving(port=port):
        frames = await hold(service, f"{mode}-service-tool", conversation)
    assert violations(frames) == []
    assert "eleven" in words(frames)
    assert of(frames, "response.mcp_call.completed")
    output = next(
        event["item"]
        for event in events(proxy.passages[0].to_upstream, "conversation.item.create")
        if event["item"]["type"] == "function_call_output"
    )
    assert "five to eleven" in output["output"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_barge_in_while_the_answer_is_generated_cuts_it_on_both_sides(
    stand_before: Any,
    mode: str,
    front: Front,
    scripted: ServiceProcess,
    hold: Any,
    say: Say,
    violations: Any,
) -> None:
    service, port = front
    proxy = stand_before(scripted.url)

    async def conversation(client: Any) -> None:
        await client.say(say("Tell me a long story."))
        delta = await client.wait(lambda frames: of(frames, "response.output_audio.delta")[10:11])
        await client.say(say("Stop, please."))
        await client.connection.conversation.item.truncate(
            item_id=delta[0]["item_id"], content_index=0, audio_end_ms=500
        )
        await client.wait(lambda frames: len(of(frames, "response.done")) >= 2)

    async with proxy.serving(port=port):
        frames = await hold(service, f"{mode}-long-answer", conversation)
    assert violations(frames) == []
    first = of(frames, "response.done")[0]["response"]
    assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
    passage = proxy.passages[0]
    assert events(passage.to_upstream, "response.cancel")
    assert events(passage.to_client, "response.done")[0]["response"]["status"] == "cancelled"
    cut = [(event["item_id"], event["audio_end_ms"]) for event in of(frames, "conversation.item.truncated")]
    there = events(passage.to_client, "conversation.item.truncated")
    assert cut == [(event["item_id"], event["audio_end_ms"]) for event in there]
    assert cut == [(first["output"][0]["id"], 500)]
    assert not events(passage.to_client, "error")


@pytest.mark.parametrize("mode", MODES)
async def test_a_barge_in_while_the_answer_plays_and_one_after_it(
    stand_before: Any,
    mode: str,
    front: Front,
    scripted: ServiceProcess,
    hold: Any,
    say: Say,
    violations: Any,
) -> None:
    service, port = front
    proxy = stand_before(scripted.url)

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = lambda arguments: "sunny"
        await configure(client, tools=[WEATHER])
        turn = await client.ask(say("Good evening."))  # generated at once: nothing is left to cancel
        item_id = of(turn, "response.output_audio.delta")[0]["item_id"]
        await client.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=300)
        await client.ask(say("How are you?"))  # and here all of it has been played
        await client.ask(say("Good night."))

    async with proxy.serving(port=port):
        frames = await hold(service, f"{mode}-client-tool", conversation)
    assert violations(frames) == []
    passage = proxy.passages[0]
    assert not events(passage.to_upstream, "response.cancel")
    cut = [
        (event["item_id"], event["audio_end_ms"]) for event in events(passage.to_client, "conversation.item.truncated")
    ]
    assert [ms for _, ms in cut] == [300]
    assert cut == [(event["item_id"], event["audio_end_ms"]) for event in of(frames, "conversation.item.truncated")]
    assert [frame["response"]["status"] for frame in of(frames, "response.done")] == ["completed"] * 4
    assert not events(passage.to_client, "error")


async def test_an_upstream_killed_in_mid_answer_costs_no_call_and_no_item(
    stand_before: Any,
    front: Front,
    scripted: ServiceProcess,
    hold: Any,
    violations: Any,
) -> None:
    service, port = front
    proxy = stand_before(scripted.url, [Fault.CUT], after=3)

    async def conversation(client: Any) -> None:
        for text in ("A story, please.", "And the end?"):
            message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            await client.connection.conversation.item.create(item=message)
            known = len(of(client.frames, "response.done"))
            await client.connection.response.create()
            await client.wait(lambda frames: len(of(frames, "response.output_audio.delta")) > 8)
            if known == 0:
                await client.connection.response.cancel()
            await client.wait(lambda frames, known=known: len(of(frames, "response.done")) > known)

    async with proxy.serving(port=port):
        frames = await hold(service, "ours-long-answer", conversation)
    assert violations(frames) == []
    assert len(proxy.passages) == 2
    replayed = [event["item"]["id"] for event in events(proxy.passages[1].to_upstream, "conversation.item.create")]
    ours = [frame["item"]["id"] for frame in of(frames, "conversation.item.added")]
    mine = [item_id for item_id in ours if item_id in replayed or _is_known(proxy.passages[1].to_client, item_id)]
    assert mine == ours, "every item of the conversation is at the new upstream"


async def test_a_long_conversation_outlives_its_upstream(
    stand_before: Any, front: Front, scripted: ServiceProcess, hold: Any, violations: Any
) -> None:
    """Five minutes of the caller's speech, of which a new upstream is told the last two as sound."""
    service, port = front
    proxy = stand_before(scripted.url, [Fault.CUT], after=3)
    half_a_minute = base64.b64encode(bytes(30 * 48_000)).decode()

    async def conversation(client: Any) -> None:
        for _ in range(10):
            content = [{"type": "input_audio", "audio": half_a_minute}]
            message = {"type": "message", "role": "user", "content": content}
            await client.connection.conversation.item.create(item=message)
        await client.connection.response.create()
        await client.wait(lambda frames: len(of(frames, "response.output_audio.delta")) > 8)
        await client.connection.response.cancel()
        await client.wait(lambda frames: of(frames, "response.done"))

    async with proxy.serving(port=port):
        frames = await hold(service, "ours-long-answer", conversation)
    assert violations(frames) == []
    told = [
        [event["item"]["content"][0]["type"] for event in events(passage.to_upstream, "conversation.item.create")]
        for passage in proxy.passages
    ]
    assert told[0] == ["input_audio"] * 9, "and the last one is committed"
    assert told[1][:10] == ["input_text"] * 6 + ["input_audio"] * 4


def _is_known(messages: Sequence[str], item_id: str) -> bool:
    return any(event["item"]["id"] == item_id for event in events(messages, "conversation.item.added"))


async def test_pictures_replays_and_answers_beside_the_conversation_pass(
    stand_before: Any, front: Front, scripted: ServiceProcess, hold: Any, say: Say
) -> None:
    service, port = front
    proxy = stand_before(scripted.url, [Fault.CUT], after=2)

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = lambda arguments: "sunny"
        await configure(client, tools=[WEATHER], instructions="Be brief.")
        await client.ask(say("What is the weather in Paris?"))
        image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
        message = {"type": "message", "role": "user", "content": [image]}
        await client.connection.conversation.item.create(item=message)
        await client.connection.response.create(response={"conversation": "none", "output_modalities": ["text"]})
        await client.wait(lambda frames: len(of(frames, "response.done")) >= 3)

    async with proxy.serving(port=port):
        await hold(service, "ours-client-tool", conversation)
    sent = [json.loads(message) for passage in proxy.passages for message in passage.to_upstream]
    kinds = {"session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "conversation.item.create"}
    assert kinds | {"response.create"} <= {event["type"] for event in sent}
    created = [event["item"] for event in sent if event["type"] == "conversation.item.create"]
    assert "input_image" in [part["type"] for item in created for part in item.get("content", [])]
